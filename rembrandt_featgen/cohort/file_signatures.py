"""What a file is, by its first bytes, and how it can be made a volume that is read here."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import NamedTuple

from rembrandt_featgen.core import system_errors

_BYTES = 4096  # of a file that are looked at
_IMPORT = "import its series by rembrandt_featgen.stages.import_dicom, or give the folder that holds nothing else"
_PICTURE = "a picture has lost the grey values; export the volume itself as NIfTI"
_UNPACK = "unpack it, and give the files within"
_AGAIN = "download the file again"
_CONVERT = "convert it to NIfTI"


class Signature(NamedTuple):
    """What a file is.

    Attributes:
      format: its name in the table of `image_files`, or "" for what is not read there.
      what: in words, with an article.
      fix: what to do with it.
    """

    format: str
    what: str
    fix: str


_MAGIC = (
    (128, b"DICM", Signature("dicom", "a DICOM file", _IMPORT)),  # what stands before may be anything
    (0, b"NRRD0", Signature("nrrd", "a NRRD file", "give its name the ending .nrrd")),
    (0, b"ObjectType", Signature("meta", "a MetaImage file", "give its name the ending .mha")),
    (0, b"NDims", Signature("meta", "a MetaImage file", "give its name the ending .mha")),
    (0, b"\x00\x00\x00\x01\x00", Signature("mgh", "an MGH file", "give its name the ending .mgz or .mgh")),
    (0, b"\x08\x00\x05\x00", Signature("dicom", "a DICOM file", _IMPORT)),
    (0, b"\x08\x00\x00\x00", Signature("dicom", "a DICOM file", _IMPORT)),
    (0, b"\xff\xd8\xff", Signature("", "a JPEG picture", _PICTURE)),
    (0, b"\x89PNG", Signature("", "a PNG picture", _PICTURE)),
    (0, b"GIF8", Signature("", "a GIF picture", _PICTURE)),
    (0, b"II*\x00", Signature("tif", "a TIFF picture", "give the folder of numbered slices, as FOLDER#0")),
    (0, b"MM\x00*", Signature("tif", "a TIFF picture", "give the folder of numbered slices, as FOLDER#0")),
    (0, b"%PDF", Signature("", "a PDF document", "give the volume")),
    (0, b"PK\x03\x04", Signature("", "a ZIP archive", _UNPACK)),
    (0, b"7z\xbc\xaf", Signature("", "a 7-Zip archive", _UNPACK)),
    (0, b"Rar!", Signature("", "a RAR archive", _UNPACK)),
    (0, b"BZh", Signature("", "packed by bzip2", _UNPACK)),
    (0, b"\xfd7zXZ", Signature("", "packed by xz", _UNPACK)),
    (0, b"\x28\xb5\x2f\xfd", Signature("", "packed by zstd", _UNPACK)),
    (257, b"ustar", Signature("", "a tar archive", _UNPACK)),
    (0, b"\x89HDF", Signature("", "an HDF5 file, as of MINC or MATLAB", _CONVERT)),
    (0, b"CDF", Signature("", "a NetCDF file, as of MINC", _CONVERT)),
    (0, b"MATLAB", Signature("", "a MATLAB file", _CONVERT)),
    (0, b"\x93NUMPY", Signature("", "a NumPy array, which has no geometry", _CONVERT)),
    (
        0,
        b"version https://git-lfs",
        Signature("", "a Git LFS pointer instead of the file", "fetch the file by `git lfs pull`"),
    ),
)
_PAGE = re.compile(rb"^\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(!doctype\s+html|html|head)", re.IGNORECASE | re.DOTALL)
_ANNEX = re.compile(rb"^[./]*/annex/objects/|^\S*\.git/annex/objects/")


def recognise(path: Path) -> Signature | None:
    """What a file is by its first bytes; None where they tell nothing."""
    try:
        with path.open("rb") as file:
            return of_bytes(file.read(_BYTES))
    except OSError as error:
        system_errors.raise_of_drive(error)
        return Signature("", f"cannot be read ({error.strerror})", "correct its permissions, or copy it again")


def of_bytes(head: bytes) -> Signature | None:
    """What the file is that begins with these bytes; None where they tell nothing."""
    if not head:
        return Signature("", "an empty file", "copy or download it again")
    if head[:2] == b"\x1f\x8b":
        return _packed(head)
    sizes = (int.from_bytes(head[:4], order) for order in ("little", "big"))
    if head[128:132] != b"DICM" and any(size in (348, 540) for size in sizes):  # DICOM begins with anything
        return Signature("nifti", "a NIfTI or Analyze file", "give its name the ending .nii, or .hdr beside an .img")
    for offset, magic, signature in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return signature
    if _PAGE.match(head):
        return Signature("", "an HTML page, which a download left in place of the file", _AGAIN)
    if _ANNEX.match(head):
        return Signature("", "a git-annex pointer instead of the file", "fetch the file by `git annex get`")
    if head.lstrip()[:1] in (b"<", b"{") and _is_text(head):
        return Signature("", "a text (XML or JSON)", f"give the volume; if this was a download, {_AGAIN}")
    if _is_text(head):
        return Signature("", f"a text that begins with {_first_line(head)!r}", f"give the volume, or {_AGAIN}")
    return None


def _packed(head: bytes) -> Signature | None:
    """Of gzip: what is within, which is read as if it were not packed where the format allows it."""
    try:
        within = zlib.decompressobj(31).decompress(head, _BYTES)
    except zlib.error:
        return None  # damaged: reading it tells more
    inner = of_bytes(within) if within else None
    if inner is None:
        return None if len(within) < 400 else Signature("", "gzip of something that is no known image", _CONVERT)
    if inner.format in ("nifti", "mgh"):
        return inner
    return Signature("", f"gzip of {inner.what.removeprefix('packed by ')}", f"unpack it and {inner.fix}")


def _is_text(head: bytes) -> bool:
    return not re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", head)


def _first_line(head: bytes) -> str:
    return next(iter(head.decode("utf-8", errors="replace").strip().splitlines()), "")[:40]
