"""Images of every format that is read here, as they are stored; `volumes` turns them. The table of formats."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rembrandt_featgen.cohort import file_signatures, image_paths, itk_files, nifti_files
from rembrandt_featgen.core import system_errors
from rembrandt_featgen.core.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class StoredImage:
    """An image as its file has it.

    Attributes:
      array: [x, y, slices] of numbers, in the order of the file's axes, scaled as the header says.
      affine: [4, 4] from indices of the array to mm, to the right, the front and up (RAS).
      header: of a NIfTI file of the same place, whose best affine it has.
      oriented: whether the file says how it lies; a NIfTI without sform and qform, Analyze and .tif slices do not.
      file_shape: shape in the file, with trailing axes of length 1; of a part of a series that of `array`.
    """

    array: np.ndarray
    affine: np.ndarray
    header: nifti_files.Header
    oriented: bool
    file_shape: tuple[int, ...]


class _Format(NamedTuple):
    """A format: its name in `file_signatures`, in words, and what reads it."""

    name: str
    title: str
    read: Callable[[Path], nifti_files.Raw]


_NIFTI = _Format("nifti", "NIfTI file", nifti_files.read_nifti)
_FORMATS = {
    **dict.fromkeys((".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz"), _NIFTI),
    **dict.fromkeys((".mha", ".mhd"), _Format("meta", "MetaImage file", itk_files.read_meta)),
    **dict.fromkeys((".nrrd", ".nhdr"), _Format("nrrd", "NRRD file", itk_files.read_nrrd)),
    **dict.fromkeys((".mgz", ".mgh"), _Format("mgh", "MGH file", nifti_files.read_mgh)),
}
ENDINGS = tuple(_FORMATS)  # of files that are images


def load(path: str | Path, flag: str = "--cohort") -> StoredImage:
    """Reads an image as it is stored.

    Args:
      path: of a file or a folder, and maybe of a part of it, as `image_paths` has them.
      flag: the flag that led to the file, for messages.

    Raises:
      InputError: the file is missing, damaged, something else than its name says, no 3-D image of plain numbers, or
        its affine gives no orientation.
    """
    path = Path(path)
    base, part = image_paths.split(path)
    out = f"or give another {flag}" if flag == "--image" else f"or leave this patient out of {flag}"
    if not base.exists():
        raise InputError(f"{base}: no such file; add it, {out}")
    chosen = _format_of(base, part, out)
    try:
        raw = chosen.read(base)
        part = "" if base.is_dir() and part == image_paths.MASK_PART else part
        stored = np.asanyarray(_part_of(raw.array, part, path, flag=flag))
    except InputError as error:
        raise InputError(f"{error}, {out}") from error
    except Exception as error:  # nibabel, zlib, struct, ITK ... have exceptions of their own for damaged files
        system_errors.raise_of_drive(error)
        system_errors.check_drive(*[base] * base.is_file())
        reason = " ".join(f"{type(error).__name__}: {error}".split())[-300:]
        raise InputError(
            f"{path}: not a readable {chosen.title}, perhaps truncated ({reason}); copy or download it again, {out}"
        ) from error
    shape = tuple(stored.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    problem = _problem(stored.dtype, shape, raw.affine)
    if problem:
        raise InputError(f"{path}: {problem}, {out}")
    header = raw.header
    if header is None:
        header = nifti_files.header_of(shape, raw.affine, oriented=raw.oriented)
    return StoredImage(
        stored.reshape(shape),
        raw.affine,
        header=header,
        oriented=raw.oriented,
        file_shape=tuple(stored.shape),
    )


def _format_of(base: Path, part: str, out: str) -> _Format:
    """How a file or folder is read; InputError where it is something else than an image, saying what."""
    if base.is_dir():
        if part:
            mask = part == image_paths.MASK_PART
            return _Format("tif", "folder of .tif slices", functools.partial(itk_files.read_tif, mask=mask))
        if image_paths.tif_slices(base, mask=False):
            raise InputError(f"{base}: a folder of .tif slices; name a channel of them, such as {base}#0, {out}")
        return _Format("dicom", "DICOM series", itk_files.read_dicom)
    chosen, looked_at = _FORMATS.get(image_paths.ending(base)), base
    if image_paths.ending(base).startswith(".img"):  # which is bare voxels
        looked_at = nifti_files.beside(base, (".hdr", ".hdr.gz"))
    signature = file_signatures.recognise(looked_at) if looked_at.is_file() else None
    if signature and (chosen is None or signature.format != chosen.name):
        raise InputError(f"{looked_at}: {signature.what}; {signature.fix}, {out}")
    if chosen is None:
        raise InputError(
            f"{base}: by its name it is no image that is read here ({', '.join(ENDINGS)}, or a folder); convert it to "
            f"NIfTI, {out}"
        )
    return chosen


def _part_of(array: Any, part: str, path: Path, *, flag: str) -> Any:
    """The volume of a series, or the channel, that `part` names; where there is one alone, that.

    Args:
      array: [x, y, slices, ...].
      part: its number; "" where none is named.
      path: with the part, for messages.
      flag: that led to it, for messages.
    """
    shape = tuple(array.shape)
    several = [axis for axis in range(3, len(shape)) if shape[axis] != 1]
    if not several:
        if part in ("", "0"):
            return array
        raise InputError(f"{path}: there is one volume, and no #{part}; leave the # and what follows out")
    if len(several) > 1 or 0 in shape:
        raise InputError(f"{path}: shape {shape} is not 3-D; give one volume a file (split a series)")
    count = shape[several[0]]
    if not part.isdecimal() or int(part) >= count:
        base = str(path).removesuffix(f"{image_paths.PART}{part}") if part else str(path)
        where = "" if flag == "--image" else " in a manifest"  # no other cohort names files
        raise InputError(
            f"{path}: shape {shape} is not 3-D, but {count} volumes or channels; name one of them{where}, {base}#0 to "
            f"{base}#{count - 1}, or give one volume a file"
        )
    picked = [slice(None)] * 3 + [int(part) if axis in several else 0 for axis in range(3, len(shape))]
    return array[tuple(picked)]


def _problem(dtype: np.dtype, shape: tuple[int, ...], affine: np.ndarray) -> str:
    """What is wrong with a file that could be parsed, and how to fix it; empty if nothing is."""
    if 0 in shape:
        return f"empty, its shape is {shape}; export it again"
    if len(shape) != 3:
        return f"shape {shape} is not 3-D; give one volume a file (split a series)"
    if dtype.kind not in "biuf":
        return f"voxels of type {dtype} are not plain numbers; convert it to a grey-scale volume"
    if not nifti_files.has_orientation(affine):
        return "its affine gives no orientation; set a valid sform or qform"
    return ""
