"""NIfTI volumes and masks in, predictions out; the only module that imports nibabel.

Whatever way a file stores its axes, arrays here run left to right, posterior to anterior, inferior to superior
(closest canonical, RAS), so that `voxels[:, :, k]` is an axial slice. What is written goes back the way it came.
"""

from __future__ import annotations

import dataclasses
import gzip
import os
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from absl import logging
from nibabel import orientations

from rembrandt_featgen.core.errors import InputError

nib.imageglobals.logger.setLevel("CRITICAL")  # what it says of damaged headers comes with its exceptions anyway
_CANONICAL = orientations.axcodes2ornt("RAS")
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
      header: nibabel's header of the file, with its own affine.
    """

    voxels: np.ndarray
    path: Path
    affine: np.ndarray
    file_shape: tuple[int, ...]
    orientation: np.ndarray
    header: nib.Nifti1Header


def read_volume(path: str | Path, flag: str = "--cohort") -> Volume:
    """Reads a 3-D image, in canonical orientation.

    Args:
      path: a .nii or .nii.gz file (NIfTI-1 or NIfTI-2); trailing axes of length 1 are dropped.
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
      path: a .nii or .nii.gz file of labels, integers from 0. All may be 0: no tumour.
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
    back = orientations.ornt_transform(_CANONICAL, like.orientation)
    header = like.header.copy()
    header["cal_min"] = header["cal_max"] = 0  # the display range of the image is not that of what is written
    stored = orientations.apply_orientation(voxels, back).reshape(like.file_shape)
    _write(Path(path), stored, affine=header.get_best_affine(), header=header)


def write_new(path: str | Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> None:
    """Writes an array to a .nii or .nii.gz file, atomically; the same array always gives the same bytes.

    Args:
      path: a .nii or .nii.gz file; it is replaced if it is there.
      voxels: [x, y, slices], of the type to store.
      affine: [4, 4] from voxel indices to mm; None for RAS axes of 1 mm.
    """
    _write(Path(path), voxels, affine=np.eye(4) if affine is None else affine, header=None)


def _read(path: Path, flag: str, dtype: type) -> Volume:
    if not path.is_file():
        raise InputError(f"{path}: no such file; add it, or leave this patient out of {flag}")
    try:
        # Unpacked here and not by nibabel, which stops before the checksum at the end of a .gz file.
        data = path.read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        second = 540 in (int.from_bytes(data[:4], "little"), int.from_bytes(data[:4], "big"))
        image = (nib.Nifti2Image if second else nib.Nifti1Image).from_bytes(data)
        stored = np.asanyarray(image.dataobj)
    except Exception as error:  # nibabel, gzip, zlib and struct each have exceptions of their own for damaged files
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"{path}: not a readable NIfTI file, perhaps truncated ({reason}); copy or download it again, or leave "
            f"this patient out of {flag}"
        ) from error
    readable = np.isfinite(image.affine).all()
    orientation = nib.io_orientation(image.affine) if readable else np.full((3, 2), np.nan)
    shape = image.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    problem = _problem(stored.dtype, shape, orientation)
    if problem:
        raise InputError(f"{path}: {problem}, or leave this patient out of {flag}")
    with np.errstate(over="ignore"):
        voxels = orientations.apply_orientation(stored.reshape(shape), orientation).astype(dtype, order="C")
    finite = np.isfinite(voxels)
    if not finite.all():
        raise InputError(
            f"{path}: {voxels.size - int(finite.sum())} voxels are NaN or infinite; replace them (by 0, say), or "
            f"leave this patient out of {flag}"
        )
    affine = image.affine @ orientations.inv_ornt_aff(orientation, shape)
    return Volume(voxels, path, affine, file_shape=image.shape, orientation=orientation, header=image.header.copy())


def _problem(dtype, shape, orientation) -> str:
    """What is wrong with a file that could be parsed, and how to fix it; empty if nothing is."""
    if 0 in shape:
        return f"empty, its shape is {shape}; export it again"
    if len(shape) != 3:
        return f"shape {shape} is not 3-D; give one volume a file (split a series)"
    if dtype.kind not in "biuf":
        return f"voxels of type {dtype} are not plain numbers; convert it to a grey-scale volume"
    if not np.isfinite(orientation).all():
        return "its affine gives no orientation; set a valid sform or qform"
    return ""


def _write(path: Path, voxels: np.ndarray, *, affine: np.ndarray, header: nib.Nifti1Header | None) -> None:
    voxels = voxels.astype(np.uint8) if voxels.dtype == bool else voxels
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    image = kind(voxels, affine, header, dtype=voxels.dtype)
    if header is None:
        image.header.set_xyzt_units("mm")
    data = image.to_bytes()
    if path.name.endswith(".gz"):
        data = gzip.compress(data, 6, mtime=0)  # no name and no time within: reproducible
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
