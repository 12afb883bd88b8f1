"""Paths of images, which may name a part of a file or folder after `#`: a volume of a series, a channel, the mask.

BRATS_001.nii.gz               a volume
BRATS_001.nii.gz#1             the second volume of a series, or the second channel
TCGA_CS_4941_19960909          a folder with one DICOM series
TCGA_CS_4941_19960909#1        a folder of numbered .tif slices: their second channel (#0 where they are grey)
TCGA_CS_4941_19960909#mask     and the slices of its mask, `_<n>_mask.tif`
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from rembrandt_featgen.core import system_errors

PART = "#"
MASK_PART = "mask"
TIFS = (".tif", ".tiff")
_NUMBERED = re.compile(r"_(\d+)(_mask)?\.tiff?$", re.IGNORECASE)
# Files that have another beside them, by ending: what may stand beside instead of it.
_BESIDE = {".hdr": (".img", ".img.gz", ".mat"), ".img": (".hdr", ".hdr.gz", ".mat")}
_META = re.compile(r"^\s*ElementDataFile\s*=\s*(.+?)\s*$", re.IGNORECASE)
_NRRD = re.compile(r"^\s*data ?file\s*:=?\s*(.+?)\s*$", re.IGNORECASE)
_DATA_FILE = {".mhd": _META, ".mha": _META, ".nhdr": _NRRD, ".nrrd": _NRRD}
_MOST_FILES = 100_000  # of voxels, that a text header names
_HEAD = 2**20  # bytes of a text header that are looked at


def split(path: str | Path) -> tuple[Path, str]:
    """The file or folder, and the part of it after `#`; "" where there is none, or `#` is of a file's own name."""
    path = Path(path)
    name, mark, part = path.name.rpartition(PART)
    if not mark or not name or path.exists():
        return path, ""
    return path.with_name(name), part


def ending(path: Path) -> str:
    """The ending of an image's name in lower case, .gz with what stands before it."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return "".join(suffixes[-2:]) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


def stem(path: Path) -> str:
    """The name of an image without its ending."""
    return path.name[: len(path.name) - len(ending(path))]


def exists(path: str | Path) -> bool:
    """Whether there is something behind the path: the file, or files in the folder."""
    try:
        base, _ = split(path)
        return base.is_file() or (base.is_dir() and bool(files_of(path)))
    except (OSError, ValueError) as error:
        system_errors.raise_of_drive(error)  # others are of what no file can be called: too long, a null character
        return False


def tif_slices(folder: Path, *, mask: bool) -> list[Path]:
    """The numbered .tif files of a folder, of its image or its mask, in the order of their numbers."""
    numbered = []
    for file in sorted(folder.iterdir()):
        found = _NUMBERED.search(file.name)
        if found and bool(found[2]) == mask and not file.name.startswith("."):
            numbered.append((int(found[1]), file))
    return [file for _, file in sorted(numbered)]


def slice_number(file: Path) -> int:
    """The number of a file of `tif_slices`."""
    found = _NUMBERED.search(file.name)
    if not found:
        raise ValueError(f"{file} is no numbered .tif file")
    return int(found[1])


def files_of(path: str | Path) -> list[Path]:
    """All files that are read for an image, sorted; none where nothing is there.

    A header brings the file of its voxels with it (.hdr and .img, .mhd and .raw), a folder the slices in it.
    """
    base, part = split(path)
    if base.is_dir():
        if part:
            return sorted(tif_slices(base, mask=part == MASK_PART))
        return sorted(file for file in base.iterdir() if file.is_file() and not file.name.startswith("."))
    if not base.is_file():
        return []
    kind = ending(base).removesuffix(".gz")
    beside = [base.with_name(stem(base) + other) for other in _BESIDE.get(kind, ())]
    if kind in _DATA_FILE:
        beside = _data_files(base, _DATA_FILE[kind])
    return sorted({base, *(file for file in beside if file.is_file())})


def files_of_all(paths: Iterable[str | Path]) -> list[Path]:
    """All files that are read for some images, each once, sorted."""
    return sorted({file for path in paths for file in files_of(path)})


def _data_files(header: Path, pattern: re.Pattern) -> list[Path]:
    """The files that a text header names: one, or those of a list or a numbered pattern, which are all files beside."""
    named = [name for name, _ in _named(header, pattern)]
    if any(name.upper().startswith("LIST") or "%" in name for name in named):
        return [file for file in header.parent.iterdir() if file.is_file()]
    return [header.parent / name for name in named if name.upper() != "LOCAL"]


def _named(header: Path, pattern: re.Pattern) -> list[tuple[str, list[str]]]:
    """What a text header names as its file of voxels, at each place where it does, and the lines that follow."""
    with header.open("rb") as file:
        lines = file.read(_HEAD).decode("utf-8", errors="replace").splitlines()
    found = ((pattern.match(line), lines[number + 1 :]) for number, line in enumerate(lines))
    return [(match[1], rest) for match, rest in found if match]


def check_data_files(header: Path) -> None:
    """ValueError where a text header names as its voxels what is no file: ITK would read a device for ever."""
    for name, rest in _named(header, _DATA_FILE[ending(header)]):
        names = [name]
        if name.upper().startswith("LIST"):
            names = [line.strip() for line in rest if line.strip()]
        elif "%" in name:
            pattern, *numbers = name.split()
            first, last, step = ([int(number) for number in numbers] + [1, 1, 1])[:3]
            if step == 0 or abs(last - first) > _MOST_FILES or not re.fullmatch(r"[^%]*%0?\d{0,2}d[^%]*", pattern):
                raise ValueError(f"it names its files of voxels as {name[:60]!r}")
            names = [pattern % number for number in range(first, last + (1 if step > 0 else -1), step)]
        for one in names:
            if one.upper() != "LOCAL" and not (header.parent / one).is_file():
                raise ValueError(f"it names {one[:60]!r} as its voxels, which is no file")


def digest(path: str | Path) -> bytes:
    """SHA-256 of the content of all files behind an image, and of the part of them that it is."""
    files, (_, part) = files_of(path), split(path)
    if len(files) == 1 and not part:
        return hashlib.sha256(files[0].read_bytes()).digest()  # as for a file that has no parts
    whole = hashlib.sha256(part.encode())
    for file in files:
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.digest()
