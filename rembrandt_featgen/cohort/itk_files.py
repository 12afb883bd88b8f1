"""MetaImage and NRRD files, folders of .tif slices and of DICOM slices, by SimpleITK, as they are stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK

from rembrandt_featgen.cohort import dicom_files, image_paths
from rembrandt_featgen.cohort.nifti_files import Raw
from rembrandt_featgen.core.errors import InputError

SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # between ITK's and DICOM's mm (to the left, the back, up) and NIfTI's (RAS)
_META_ORIENTATION = ("transformmatrix", "rotation", "orientation")
_NRRD_SPACES = frozenset(
    {"right-anterior-superior", "left-anterior-superior", "left-posterior-superior", "ras", "las", "lps"}
)


def read_meta(path: Path) -> Raw:
    """MetaImage: .mha, or .mhd with its file of voxels; any exception of a damaged file."""
    names = [line.partition("=")[0].strip() for line in _header_lines(path)]
    return _read(path, oriented=any(name in _META_ORIENTATION for name in names))


def read_nrrd(path: Path) -> Raw:
    """NRRD: .nrrd, or .nhdr with its file of voxels; any exception of a damaged file."""
    fields = dict(line.partition(":")[::2] for line in _header_lines(path))
    return _read(path, oriented=fields.get("space", "").strip().removesuffix("-time") in _NRRD_SPACES)


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


def _read(path: Path, *, oriented: bool) -> Raw:
    image = SimpleITK.ReadImage(str(path))
    return Raw(_array_of(image), _affine_of(image), oriented)


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
    image = SimpleITK.ReadImage([str(file) for file in files])
    return Raw(_array_of(image), _LPS.copy(), oriented=False)


def read_dicom(folder: Path) -> Raw:
    """A folder with the slices of one DICOM series; InputError as `dicom_files.read_folder`."""
    array, affine = dicom_files.read_folder(folder)
    return Raw(array, _LPS @ affine, oriented=True)
