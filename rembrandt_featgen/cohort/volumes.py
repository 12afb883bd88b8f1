"""The volumes and the mask of a patient in, on one grid; predictions out, on that of the file.

Whatever way a file stores its axes, arrays here run left to right, posterior to anterior, inferior to superior (RAS),
so that `voxels[:, :, k]` is an axial slice, or so that it is a coronal or sagittal one (`geometry.AXES`). What is
written goes back the way it came.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.cohort import geometry, image_files, nifti_files
from rembrandt_featgen.cohort.geometry import Grid
from rembrandt_featgen.cohort.image_files import StoredImage
from rembrandt_featgen.cohort.reading_choice import AS_STORED, Reading
from rembrandt_featgen.core import withheld
from rembrandt_featgen.core.errors import InputError

_MOST_LABELS = 32  # of a mask: more are the grey values of an image
_MOST_OF_A_VOLUME = 0.5  # for a mask; what covers more is one of the background, the head or the brain
_MOST_OUTSIDE = 0.1  # of a tumour, of the image that its mask is resampled onto
_INTEGER_TOLERANCE = 1e-3  # labels that were stored with a scale factor come back with rounding errors
_LONGEST = 2048  # voxels along an axis that --spacing may ask for
_MOST_VOXELS = 2**29  # that it may: 512 x 512 x 2048


@dataclasses.dataclass(frozen=True, eq=False)
class Volume:
    """An image, and what it takes to write another in the same file geometry.

    Attributes:
      voxels: [x, y, slices] float32; their axes lead where `axes` says.
      path: the file that it was read from.
      affine: [4, 4] from their indices to mm.
      axes: one of `geometry.AXES`, "RAS" for axial slices.
      oriented: whether a header says where the axes lead.
      file: where the file's own voxels lie, with the same axes; the same grid, but for another spacing.
      file_shape: shape in the file, in its own axis order and with trailing axes of length 1.
      orientation: [3, 2] nibabel's orientation of the file's own axes.
      header: of a NIfTI file of the same place, with the affine of its axes and nothing else.
      moved: what --geometry did to bring it to the patient's first image, such as "t1.nii.gz resampled, corners 30 mm
        away"; "" where it lay there.
    """

    voxels: np.ndarray
    path: Path
    affine: np.ndarray
    axes: str
    oriented: bool
    file: Grid
    file_shape: tuple[int, ...]
    orientation: np.ndarray
    header: nifti_files.Header
    moved: str = ""

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        return Grid(self.voxels.shape, self.affine)

    @property
    def plane(self) -> str:
        """That of `voxels[:, :, k]`: a key of `geometry.AXES`."""
        return next(plane for plane, axes in geometry.AXES.items() if axes == self.axes)

    @property
    def file_axes(self) -> str:
        """Where the axes of the file lead, or are taken to lead, such as "LPS"."""
        return geometry.axes_of(self.orientation)


class PlacedMask(NamedTuple):
    """A mask on the grid of an image.

    Attributes:
      voxels: [x, y, slices] uint8 in {0, 1}, of the image's axes and shape.
      moved: as `Volume` has it.
    """

    voxels: np.ndarray
    moved: str


def read_volume(path: str | Path, flag: str = "--cohort", reading: Reading = AS_STORED) -> Volume:
    """Reads a 3-D image.

    Args:
      path: of `image_files.load`.
      flag: the flag that led to the file, for messages.
      reading: along which axes, at which spacing; by default axial slices as they are.

    Returns:
      The volume; its voxels are finite and not all equal.

    Raises:
      InputError: the file is missing, truncated, corrupt, not 3-D, or its voxels are NaN, infinite or all equal.
    """
    path = Path(path)
    stored = image_files.load(path, flag)
    plane = geometry.acquired_plane(stored.affine) if reading.slice_axis == "auto" else reading.slice_axis
    array, affine, orientation = nifti_files.turned(stored.array, stored.affine, geometry.AXES[plane])
    file = Grid(array.shape, affine)
    voxels, grid = _image(array, path, flag), file
    if reading.spacing:
        asked = geometry.at_spacing(file, reading.spacing)
        if max(asked.shape) > _LONGEST or math.prod(asked.shape) > max(_MOST_VOXELS, math.prod(file.shape)):
            raise InputError(
                f"{path}: --spacing={','.join(f'{side:g}' for side in reading.spacing)} makes {asked.shape} voxels of "
                f"{file.shape}; take a coarser spacing, or leave --spacing out"
            )
        grid = file if geometry.alike(file, asked) else asked
    return Volume(
        geometry.resampled(voxels, file.affine, grid),
        path,
        grid.affine,
        axes=geometry.AXES[plane],
        oriented=stored.oriented,
        file=file,
        file_shape=stored.file_shape,
        orientation=orientation,
        header=stored.header,
    )


def read_volumes(paths: Sequence[str | Path], flag: str = "--cohort", reading: Reading = AS_STORED) -> list[Volume]:
    """A patient's volumes, one for each modality, all on the grid of the first.

    Args:
      paths: of `image_files.load`.
      flag: the flag that led to the files, for messages.
      reading: what is done where they lie apart, along which axes, at which spacing; by default such are refused.

    Raises:
      InputError: as `read_volume`, or the volumes lie in other places, as `reading.geometry` has it.
    """
    first = read_volume(paths[0], flag, reading)
    return [first, *(_beside(Path(path), first, flag, reading=reading) for path in paths[1:])]


def read_placed_mask(
    path: str | Path,
    image: Volume,
    flag: str = "--cohort",
    *,
    reading: Reading = AS_STORED,
    others: Sequence[Volume] = (),
) -> PlacedMask:
    """Reads the whole-tumour mask, on the grid of an image: where the label is above 0.

    Args:
      path: of a file of labels, integers from 0, as `image_files.load` reads it. All may be 0: no tumour.
      image: the patient's first volume.
      flag: the flag that led to the file, for messages.
      reading: that of the image.
      others: the patient's other volumes, on the grid of the first.

    Returns:
      The mask, and what it took to bring it there.

    Raises:
      InputError: as `read_volumes`, and labels that are negative, no integers, too many for a mask, those of an image
        voxel by voxel, or above 0 in more than half of the volume; or resampling cuts off more than a tenth of a
        tumour, or leaves nothing of it.
    """
    path = Path(path)
    stored = image_files.load(path, flag)
    out = f"leave this patient out of {flag}"
    array, grid, moved = _placed(stored, path, image, flag=flag, reading=reading, out=out)
    labels, whole, wrong = _labels(array, path, flag)
    if wrong is not None:
        raise InputError(
            f"{path}: label {wrong:g} in the mask, but labels are integers from 0 (above 0 is tumour); "
            f"save it with integer labels (resample by nearest neighbour), or {out}"
        )
    if labels.max(initial=0) > _MOST_LABELS and (count := len(np.unique(whole))) > _MOST_LABELS:
        raise InputError(
            f"{path}: the mask has {count} labels, as an image has grey values (a mask of BraTS has 4 at most); "
            f"give the mask as the mask and the image as the image, or {out}"
        )
    mask = (whole > 0).astype(np.uint8)
    for volume in (image, *others):
        if _is_copy(volume, labels, grid) or _is_copy(volume, mask, grid):
            raise InputError(
                f"{path}: its voxels are those of the image {volume.path}: one of them was copied, or both are the "
                f"mask; give the image as the image, or {out}"
            )
    if (share := float(mask.mean())) > _MOST_OF_A_VOLUME:
        raise InputError(
            f"{path}: the mask covers {share:.0%} of the volume, as one of the background, the head or the brain does; "
            f"give that of the tumour, above 0 there and 0 elsewhere, or {out}"
        )
    if (share := geometry.share_outside(mask, grid, image.file)) > _MOST_OUTSIDE and share < 1:
        raise InputError(
            f"{path}: {share:.0%} of its tumour lies outside of {image.path}; give the right pair, a first modality "
            f"that shows all of it, or {out}"
        )
    found = geometry.resampled(mask, grid.affine, image.grid, nearest=True)
    if mask.any() and not found.any():
        raise InputError(
            f"{path}: nothing of its tumour ({int(mask.sum())} voxels) is left on the grid of {image.path}: it lies "
            f"outside of that image, or is smaller than a voxel of --spacing; give the right pair or a finer spacing, "
            f"or {out}"
        )
    return PlacedMask(found, moved)


def write_like(path: str | Path, voxels: np.ndarray, like: Volume) -> np.ndarray:
    """Writes an array in the orientation, shape, affine and units of the file that `like` was read from, atomically;
    nothing else of that file's header.

    Args:
      path: a .nii or .nii.gz file; it is replaced if it is there.
      voxels: on the grid of `like.voxels`, of the type to store. Where that is not the file's grid, whole numbers are
        brought there by the nearest neighbour, others by linear interpolation.
      like: the volume whose geometry the file takes.

    Returns:
      What was written, in the order of the file's axes.

    Raises:
      ValueError: the shapes differ.
    """
    if voxels.shape != like.voxels.shape:
        raise ValueError(f"voxels have shape {voxels.shape}, but {like.path} has {like.voxels.shape}")
    voxels = voxels.astype(np.uint8) if voxels.dtype == bool else voxels
    header = like.header.copy()  # of the place alone
    on_file = geometry.resampled(voxels, like.affine, like.file, nearest=voxels.dtype.kind != "f")
    stored = nifti_files.turned_back(on_file, like.orientation, like.axes).reshape(like.file_shape)
    nifti_files.write_nifti(Path(path), stored, header.get_best_affine(), header=header)
    return stored


def write_new(path: str | Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> None:
    """Writes an array to a .nii or .nii.gz file, atomically; the same array always gives the same bytes.

    Args:
      path: a .nii or .nii.gz file; it is replaced if it is there.
      voxels: [x, y, slices], of the type to store.
      affine: [4, 4] from voxel indices to mm; None for RAS axes of 1 mm.
    """
    nifti_files.write_nifti(Path(path), voxels, np.eye(4) if affine is None else affine)


def _is_copy(volume: Volume, labels: np.ndarray, grid: Grid) -> bool:
    """Whether an image, as it was brought to its grid, holds what a mask does."""
    if volume.voxels.max() > labels.max(initial=0):  # what lies between voxels is never above them
        return False
    return np.array_equal(volume.voxels, geometry.resampled(labels.astype(np.float32), grid.affine, volume.grid))


def _beside(path: Path, first: Volume, flag: str, *, reading: Reading) -> Volume:
    """Another volume of the patient, on the grid of the first."""
    stored = image_files.load(path, flag)
    out = f"leave it out of {'--modalities' if flag == '--cohort' else flag}"
    array, grid, moved = _placed(stored, path, first, flag=flag, reading=reading, out=out)
    voxels = geometry.resampled(_image(array, path, flag), grid.affine, first.grid)
    if np.ptp(voxels) == 0:
        raise InputError(
            f"{path}: nothing of it lies where {first.path} of the same patient does; give the right pair, or leave "
            f"this patient out of {flag}"
        )
    return dataclasses.replace(first, voxels=voxels, path=path, oriented=stored.oriented, moved=moved)


def _placed(
    stored: StoredImage, path: Path, first: Volume, *, flag: str, reading: Reading, out: str
) -> tuple[np.ndarray, Grid, str]:
    """The voxels of another file of a patient, with the axes of the first, where they lie, and what --geometry did."""
    same_shape = _plain(stored.file_shape) == _plain(first.file_shape)
    array, affine, orientation = nifti_files.turned(stored.array, stored.affine, first.axes)
    grid, axes = Grid(array.shape, affine), geometry.axes_of(orientation)
    alike, name = geometry.alike(first.file, grid), withheld.said(path.name)
    if reading.geometry == "voxels":
        if not same_shape:
            raise InputError(
                f"{flag}: {path} has {_plain(stored.file_shape)} voxels, {first.path} of the same patient "
                f"{_plain(first.file_shape)}, but --geometry=voxels takes them for the same ones; take "
                "--geometry=resample, or resample one of them"
            )
        apart = "" if alike and axes == first.file_axes else _apart(grid, axes, first)
        moved = f"{name} taken by its voxels, by its header {apart}" if apart else ""
        return nifti_files.turned(stored.array, _affine(first), first.axes).array, first.file, moved
    # A file that lost its affine may lie in the very same box as the other, turned.
    plain = [file for file, one in ((path, stored.affine), (first.path, _affine(first))) if geometry.is_default(one)]
    silent = [file for file, says in ((path, stored.oriented), (first.path, first.oriented)) if not says]
    turned = alike and same_shape and axes != first.file_axes and bool(plain or silent)
    # Of one header that says nothing and one that does, resampling would take a guess for the truth.
    guessed = len(silent) == 1 and not (alike and not turned)
    if (reading.geometry == "resample" and not guessed) or (alike and not turned):
        moved = "" if alike else f"{name} resampled, {_apart(grid, axes, first)}"
        return array, first.file if alike else grid, f"{name} turned by its header" if turned else moved
    if turned:
        how, resampling = "may be turned against", "takes both headers for right"
        parts = [f"its axes run {axes}, those of the other {first.file_axes}"]
        parts += [f"the header of {file} has no origin, as where the true one was lost" for file in plain[:1]]
    else:
        how, resampling = "is not in the place of", "resamples it onto the other's grid"
        parts = geometry.differences(grid, first.file)
    parts += [f"the header of {file} does not say how it lies" for file in silent]
    ways = [f"--geometry=resample {resampling}"] if not guessed else [f"give {silent[0].name} a header that says so"]
    if same_shape:
        ways.append("--geometry=voxels takes its voxels for those of the other, where only a header is wrong")
    raise InputError(
        f"{flag}: {path} {how} {first.path} of the same patient (axes in {first.axes} order): {'; '.join(parts)}; "
        f"{', '.join(ways)}; or {out}"
    )


def _apart(grid: Grid, axes: str, first: Volume) -> str:
    """How far another file of a patient lies from the first, by its header."""
    if geometry.alike(first.file, grid):
        return f"with axes {axes}, not {first.file_axes}"
    return f"corners {geometry.distance(grid, first.file):.3g} mm away"


def _image(array: np.ndarray, path: Path, flag: str) -> np.ndarray:
    """The voxels of an image as float32; InputError where it is empty."""
    voxels = _finite(array, np.float32, path=path, flag=flag)
    if np.ptp(voxels) == 0:
        raise InputError(
            f"{path}: empty, all voxels are {voxels.flat[0]:g}; export the image again, or leave this patient out of "
            f"{flag}"
        )
    return voxels


def _labels(array: np.ndarray, path: Path, flag: str) -> tuple[np.ndarray, np.ndarray, float | None]:
    """The labels of a mask, the same rounded, and the first that is none; integers stay in the type of the file."""
    if array.dtype.kind in "bui":
        labels = np.ascontiguousarray(array)
        return labels, labels, float(labels[labels < 0][0]) if labels.min(initial=0) < 0 else None
    labels = _finite(array, np.float64, path=path, flag=flag)
    whole = np.rint(labels)
    wrong = (np.abs(labels - whole) > _INTEGER_TOLERANCE) | (labels < -_INTEGER_TOLERANCE)
    return labels, whole, float(labels[wrong][0]) if wrong.any() else None


def _finite(array: np.ndarray, dtype: type, *, path: Path, flag: str) -> np.ndarray:
    """An array of another type, in C order; InputError where a voxel is not finite."""
    with np.errstate(over="ignore"):
        voxels: np.ndarray = array.astype(dtype, order="C")
    finite = np.isfinite(voxels)
    if not finite.all():
        raise InputError(
            f"{path}: {voxels.size - int(finite.sum())} voxels are NaN or infinite; replace them (by 0, say), or "
            f"leave this patient out of {flag}"
        )
    return voxels


def _affine(volume: Volume) -> np.ndarray:
    """[4, 4] from indices of the file's own axes to mm."""
    return volume.header.get_best_affine()


def _plain(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without trailing axes of length 1."""
    return tuple(shape[:3])
