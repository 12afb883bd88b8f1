"""Volumes and masks of any format in, predictions out as NIfTI.

Whatever way a file stores its axes, arrays here run left to right, posterior to anterior, inferior to superior
(closest canonical, RAS), so that `voxels[:, :, k]` is an axial slice. What is written goes back the way it came.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import logging

from rembrandt_featgen.cohort import image_files, nifti_files
from rembrandt_featgen.core.errors import InputError

_MOST_LABELS = 32  # of a mask: more are the grey values of an image
_INTEGER_TOLERANCE = 1e-3  # labels that were stored with a scale factor come back with rounding errors


@dataclasses.dataclass(frozen=True, eq=False)
class Volume:
    """An image, and what it takes to write another in the same file geometry.

    Attributes:
      voxels: [x, y, slices] float32 in RAS orientation.
      path: the file that it was read from.
      affine: [4, 4] from canonical voxel indices to mm.
      file_shape: shape in the file, in its own axis order and with trailing axes of length 1.
      orientation: [3, 2] nibabel's orientation of the file's own axes.
      header: of a NIfTI file of the same place.
    """

    voxels: np.ndarray
    path: Path
    affine: np.ndarray
    file_shape: tuple[int, ...]
    orientation: np.ndarray
    header: nifti_files.Header


def read_volume(path: str | Path, flag: str = "--cohort") -> Volume:
    """Reads a 3-D image, in canonical orientation.

    Args:
      path: as `image_files.load` takes it; trailing axes of length 1 are dropped.
      flag: the flag that led to the file, for messages.

    Returns:
      The volume; its voxels are finite and not all equal.

    Raises:
      InputError: the file is missing, truncated, corrupt, not 3-D, or its voxels are NaN, infinite or all equal.
    """
    volume = _read(Path(path), flag, np.float32)
    if np.ptp(volume.voxels) == 0:
        raise InputError(
            f"{path}: empty, all voxels are {volume.voxels.flat[0]:g}; export the image again, or leave this patient "
            f"out of {flag}"
        )
    return volume


def read_volumes(paths: Sequence[str | Path], flag: str = "--cohort") -> list[Volume]:
    """A patient's volumes, one for each modality.

    Args:
      paths: of `read_volume`.
      flag: the flag that led to the files, for messages.

    Raises:
      InputError: as `read_volume`, or the volumes differ in shape.
    """
    read = [read_volume(path, flag) for path in paths]
    shape = read[0].voxels.shape
    for path, volume in zip(paths, read):
        if volume.voxels.shape != shape:
            raise InputError(
                f"{flag}: {path} has shape {volume.voxels.shape}, but {paths[0]} of the same patient has {shape}; "
                f"resample one of them, or leave it out of {'--modalities' if flag == '--cohort' else flag}"
            )
    return read


def read_mask(
    path: str | Path, shape: tuple[int, ...], image: Volume | None = None, flag: str = "--cohort"
) -> np.ndarray:
    """Reads the whole-tumour mask: where the label is above 0.

    Args:
      path: of labels, integers from 0. All may be 0: no tumour.
      shape: of the image's voxels, in canonical orientation.
      image: the image, if its position in space is to be compared; a difference is logged as a warning.
      flag: the flag that led to the file, for messages.

    Returns:
      [x, y, slices] uint8 in {0, 1}, in canonical orientation.

    Raises:
      InputError: as `read_volume`, and labels that are negative, no integers, or too many for a mask, or another shape
        than the image's.
    """
    mask = _read(Path(path), flag, np.float64)
    labels = mask.voxels
    if labels.shape != tuple(shape):
        raise InputError(
            f"{path}: the mask's shape {labels.shape} is not the image's {tuple(shape)} (axes in RAS order); resample "
            f"the mask to its image, or leave this patient out of {flag}"
        )
    wrong = (np.abs(labels - np.rint(labels)) > _INTEGER_TOLERANCE) | (labels < -_INTEGER_TOLERANCE)
    if wrong.any():
        raise InputError(
            f"{path}: label {labels[wrong][0]:g} in the mask, but labels are integers from 0 (above 0 is tumour); "
            f"save it with integer labels (resample by nearest neighbour), or leave this patient out of {flag}"
        )
    if labels.max(initial=0) > _MOST_LABELS and (count := len(np.unique(np.rint(labels)))) > _MOST_LABELS:
        raise InputError(
            f"{path}: the mask has {count} labels, as an image has grey values (a mask of BraTS has 4 at most); "
            f"give the mask as the mask and the image as the image, or leave this patient out of {flag}"
        )
    if image is not None and not np.allclose(mask.affine, image.affine, rtol=0, atol=0.1):  # mm
        logging.warning("%s lies elsewhere in space than %s: is it its mask? (their affines differ)", path, image.path)
    return (np.rint(labels) > 0).astype(np.uint8)


def write_like(path: str | Path, voxels: np.ndarray, like: Volume) -> None:
    """Writes an array in the orientation, shape, affine and units of the file that `like` was read from, atomically.

    Args:
      path: a .nii or .nii.gz file; it is replaced if it is there.
      voxels: [x, y, slices] in canonical orientation, of the type to store.
      like: the volume whose geometry the file takes.

    Raises:
      ValueError: the shapes differ.
    """
    if voxels.shape != like.voxels.shape:
        raise ValueError(f"voxels have shape {voxels.shape}, but {like.path} has {like.voxels.shape}")
    header = like.header.copy()
    header["cal_min"] = header["cal_max"] = 0  # the display range of the image is not that of what is written
    stored = nifti_files.turned_back(voxels, like.orientation).reshape(like.file_shape)
    nifti_files.write_nifti(Path(path), stored, header.get_best_affine(), header=header)


def write_new(path: str | Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> None:
    """Writes an array to a .nii or .nii.gz file, atomically; the same array always gives the same bytes.

    Args:
      path: a .nii or .nii.gz file; it is replaced if it is there.
      voxels: [x, y, slices], of the type to store.
      affine: [4, 4] from voxel indices to mm; None for RAS axes of 1 mm.
    """
    nifti_files.write_nifti(Path(path), voxels, np.eye(4) if affine is None else affine)


def _read(path: Path, flag: str, dtype: type) -> Volume:
    stored = image_files.load(path, flag)
    with np.errstate(over="ignore"):
        turned = nifti_files.turned(stored.array, stored.affine)
        voxels: np.ndarray = turned.array.astype(dtype, order="C")
    finite = np.isfinite(voxels)
    if not finite.all():
        raise InputError(
            f"{path}: {voxels.size - int(finite.sum())} voxels are NaN or infinite; replace them (by 0, say), or "
            f"leave this patient out of {flag}"
        )
    return Volume(
        voxels,
        path,
        turned.affine,
        file_shape=stored.file_shape,
        orientation=turned.orientation,
        header=stored.header,
    )
