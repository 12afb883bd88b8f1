"""MetaImage and NRRD files, folders of .tif slices and of DICOM slices, by SimpleITK, as they are stored."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK

from rembrandt_featgen.cohort import dicom_files, image_paths
from rembrandt_featgen.cohort.nifti_files import Raw
from rembrandt_featgen.core import file_sizes
from rembrandt_featgen.core.errors import InputError

SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # between ITK's and DICOM's mm (to the left, the back, up) and NIfTI's (RAS)
_BYTES = {
    **dict.fromkeys((SimpleITK.sitkUInt16, SimpleITK.sitkInt16, SimpleITK.sitkVectorInt16), 2),
    **dict.fromkeys((SimpleITK.sitkUInt32, SimpleITK.sitkInt32, SimpleITK.sitkFloat32, SimpleITK.sitkVectorFloat32), 4),
    **dict.fromkeys((SimpleITK.sitkUInt64, SimpleITK.sitkInt64, SimpleITK.sitkFloat64, SimpleITK.sitkVectorFloat64), 8),
}  # of a component of a voxel; 1 of the others, at least
_META_ORIENTATION = ("transformmatrix", "rotation", "orientation")
_NRRD_SPACES = frozenset(
    {"right-anterior-superior", "left-anterior-superior", "left-posterior-superior", "ras", "las", "lps"}
)


def read_meta(path: Path) -> Raw:
    """MetaImage: .mha, or .mhd with its file of voxels; any exception of a damaged file."""
    lines = _header_lines(path)
    names = [line.partition("=")[0].strip() for line in lines]
    packed = any(re.fullmatch(r"compresseddata\s*=\s*t.*", line) for line in lines)
    return _read(path, oriented=any(name in _META_ORIENTATION for name in names), packed=packed)


def read_nrrd(path: Path) -> Raw:
    """NRRD: .nrrd, or .nhdr with its file of voxels; any exception of a damaged file."""
    fields = dict(line.partition(":")[::2] for line in _header_lines(path))
    oriented = fields.get("space", "").strip().removesuffix("-time") in _NRRD_SPACES
    return _read(path, oriented=oriented, packed=fields.get("encoding", "").strip() != "raw")


def _header_lines(path: Path) -> list[str]:
    """The text at the beginning of a file, in lower case."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    lines = []
    for line in head.split(b"\n"):
        lines.append(line.decode("utf-8", errors="replace").strip().lower())
        if not lines[-1] or lines[-1].startswith("elementdatafile"):  # the last of a NRRD's, of a MetaImage's header
            break
    return lines


def _read(path: Path, *, oriented: bool, packed: bool) -> Raw:
    image_paths.check_data_files(path)
    check_claim([path], sum(file.stat().st_size for file in image_paths.files_of(path)), packed=packed)
    image = SimpleITK.ReadImage(str(path))
    return Raw(_array_of(image), _affine_of(image), oriented)


def check_claim(files: Sequence[Path], held: int, *, packed: bool) -> None:
    """ValueError where headers say more voxels than there can be, for which ITK would take memory before it reads.

    Args:
      files: each with a header.
      held: bytes of all files, those of voxels beside included.
      packed: whether voxels are packed, or written as text.
    """
    size = 0
    for file in files:
        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(str(file))
        reader.ReadImageInformation()
        count = math.prod(reader.GetSize()) * max(reader.GetNumberOfComponents(), 1)
        size += count * _BYTES.get(reader.GetPixelIDValue(), 1)
    if packed:
        file_sizes.check_unpacked(size, held, file_sizes.IMAGE_BYTES)
        size //= file_sizes.DEFLATE
    file_sizes.check_claim(size, held)


def _array_of(image: SimpleITK.Image) -> np.ndarray:
    """[x, y, ...], components of a voxel last."""
    array = SimpleITK.GetArrayFromImage(image)
    axes = list(range(image.GetDimension()))[::-1]
    return array.transpose([*axes, len(axes)] if array.ndim > len(axes) else axes)


def _affine_of(image: SimpleITK.Image) -> np.ndarray:
    """[4, 4] from indices of the first three axes to mm in RAS."""
    count = image.GetDimension()
    affine, used = np.eye(4), min(count, 3)
    direction = np.array(image.GetDirection()).reshape(count, count)[:used, :used]
    affine[:used, :used] = direction * np.array(image.GetSpacing())[:used]
    affine[:used, 3] = image.GetOrigin()[:used]
    return _LPS @ affine


def read_tif(folder: Path, *, mask: bool) -> Raw:
    """Numbered .tif slices of an image or a mask, of 1 mm: columns run to the patient's left, rows to the back, as
    pictures of axial slices are displayed; slices run up.

    Raises:
      InputError: there are none, or numbers are missing or there twice.
      Exception: any, of damaged files.
    """
    files = image_paths.tif_slices(folder, mask=mask)
    if not files:
        raise InputError(f"{folder}: no slices {'<name>_<n>_mask.tif' if mask else '<name>_<n>.tif'} in it; add them")
    numbers = [image_paths.slice_number(file) for file in files]
    wrong = [number for index, number in enumerate(numbers) if number != numbers[0] + index]
    if wrong:
        raise InputError(
            f"{folder}: slices {numbers[0]} to {numbers[-1]} are not all there once (see before {wrong[0]}); add those "
            "that are missing"
        )
    if mask:
        _check_numbers(folder, numbers)
    check_claim(files, sum(file.stat().st_size for file in files), packed=True)
    image = SimpleITK.ReadImage([str(file) for file in files])
    return Raw(_array_of(image), _LPS.copy(), oriented=False)


def _check_numbers(folder: Path, numbers: Sequence[int]) -> None:
    """InputError where the slices of a mask have other numbers than those of the image, if there are any."""
    images = [image_paths.slice_number(file) for file in image_paths.tif_slices(folder, mask=False)]
    if images and list(numbers) != images:
        raise InputError(
            f"{folder}: its mask has slices {numbers[0]} to {numbers[-1]}, its image {images[0]} to {images[-1]}; give "
            "each slice and its mask the same number"
        )


def read_dicom(folder: Path) -> Raw:
    """A folder with the slices of one DICOM series; InputError as `dicom_files.read_folder`."""
    array, affine = dicom_files.read_folder(folder)
    return Raw(array, _LPS @ affine, oriented=True)
