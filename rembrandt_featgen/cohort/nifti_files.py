"""NIfTI, Analyze and MGH files by nibabel, the only module that imports it: as they are stored, turned, and written."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from nibabel import orientations

from rembrandt_featgen.cohort import image_paths
from rembrandt_featgen.core import file_sizes, paths
from rembrandt_featgen.core.errors import InputError

nib.imageglobals.logger.setLevel("CRITICAL")  # what it says of damaged headers comes with its exceptions anyway
Header = nib.Nifti1Header
# What is kept of a header: shape, and where the voxels lie. All else, text or numbers, may tell of the patient.
_SIZE = ("dim", "pixdim", "xyzt_units")
_PLACE = ("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
_PLACE_2 = ("sform_code", "srow_x", "srow_y", "srow_z")
_HEAD, _MGH_HEAD = 1024, 284  # bytes that have any header whole, and those of an MGH file's


class Raw(NamedTuple):
    """What a reader of files returns.

    Attributes:
      array: [x, y, slices, ...], an array or what becomes one when it is indexed.
      affine: [4, 4] from indices to mm in RAS.
      oriented: whether the file says how it lies.
      header: of a NIfTI file of the same place, without anything else that the file said; None to make one.
    """

    array: Any
    affine: np.ndarray
    oriented: bool
    header: Header | None = None


class Turned(NamedTuple):
    """An array whose axes run as asked for, its affine, and [3, 2] nibabel's orientation of the axes before."""

    array: np.ndarray
    affine: np.ndarray
    orientation: np.ndarray


def read_nifti(path: Path) -> Raw:
    """NIfTI-1 and -2, one file or a pair, and Analyze.

    Raises:
      InputError: a file of the pair is missing, or voxels would begin within the header.
      Exception: any, of a damaged file.
    """
    if image_paths.ending(path).startswith((".hdr", ".img")):
        header, voxels = beside(path, (".hdr", ".hdr.gz")), beside(path, (".img", ".img.gz"))
        for needed in (header, voxels):
            if not needed.is_file():
                raise InputError(f"{needed}: no such file, which belongs to {path.name}; add it")
        pair: Any = nib.load(voxels)
        _check_pair(voxels, pair.header)
        if isinstance(pair, nib.Nifti1Pair):
            return Raw(pair.dataobj, pair.affine, _has_codes(pair.header), header=_place_of(pair.header))
        return Raw(pair.dataobj, pair.affine, beside(path, (".mat",)).is_file())
    data = _unpacked(path, _nifti_size)
    order = "<" if int.from_bytes(data[:4], "little") in (348, 540) else ">"
    second = int(np.frombuffer(data, f"{order}i4", 1)[0]) == 540
    _check_offset(data, path, order=order, second=second)
    image = (nib.Nifti2Image if second else nib.Nifti1Image).from_bytes(data)
    return Raw(image.dataobj, image.affine, _has_codes(image.header), header=_place_of(image.header))


def read_mgh(path: Path) -> Raw:
    """MGH of FreeSurfer, packed (.mgz) or not."""
    data = _unpacked(path, lambda head: _claimed(nib.MGHImage.header_class, head, _MGH_HEAD))
    placed = data[28:30] != b"\x00\x00"  # goodRASFlag, which nibabel sets
    image = nib.MGHImage.from_bytes(data)
    return Raw(image.dataobj, image.affine, placed)


def _unpacked(path: Path, claimed: Callable[[bytes], int]) -> bytes:
    """The bytes of an image, once its size is found to be what its header says.

    Not by nibabel, which takes memory for what a header says, and stops before the checksum at the end of a .gz file.

    Args:
      path: of the file.
      claimed: from the first bytes of an image to how many it has by its header.
    """
    data = path.read_bytes()
    packed = data[:2] == b"\x1f\x8b"
    head = file_sizes.head_of_gzip(data, _HEAD) if packed else data[:_HEAD]
    if packed and len(head) < _HEAD:
        head = file_sizes.gunzip(data, _HEAD)  # which says why there is no more
    size = claimed(head)
    if not packed:
        file_sizes.check_claim(size, len(data))
        return data
    file_sizes.check_unpacked(size, len(data), file_sizes.IMAGE_BYTES)
    whole = file_sizes.gunzip(data, size + file_sizes.TRAILING)
    file_sizes.check_claim(size, len(whole))
    return whole


def _nifti_size(head: bytes) -> int:
    second = 540 in (int.from_bytes(head[:4], order) for order in ("little", "big"))
    kind = (nib.Nifti2Image if second else nib.Nifti1Image).header_class
    return _claimed(kind, head, kind.sizeof_hdr)


def _claimed(kind: Any, head: bytes, least: int) -> int:
    """Bytes of an image by its header, which has itself `least`; ValueError where it is cut off."""
    if len(head) < least:
        raise ValueError(f"it ends within its header of {least} bytes")
    size = kind.template_dtype.itemsize  # of MGH with what follows the voxels
    return _size_of(kind(head[:size].ljust(size, b"\0"), check=False))


def _size_of(header: Any) -> int:
    """Bytes from the beginning of the file of voxels on."""
    shape = [int(side) for side in header.get_data_shape()]
    return max(int(header.get_data_offset()), 0) + math.prod(shape) * header.get_data_dtype().itemsize


def _check_pair(voxels: Path, header: Any) -> None:
    """ValueError where a file of voxels has another size than the header beside it says."""
    size, held = _size_of(header), voxels.stat().st_size
    if voxels.suffix.lower() == ".gz":
        file_sizes.check_unpacked(size, held, file_sizes.IMAGE_BYTES)
        held = len(file_sizes.gunzip(voxels.read_bytes(), size + file_sizes.TRAILING))
    file_sizes.check_claim(size, held)


def beside(path: Path, endings: tuple[str, ...]) -> Path:
    """The file of the same name with one of these endings; the first where there is none."""
    files = [path.with_name(image_paths.stem(path) + ending) for ending in endings]
    return next((file for file in files if file.is_file()), files[0])


def _check_offset(data: bytes, path: Path, *, order: str, second: bool) -> None:
    """InputError where the header says that voxels begin within the header itself, extensions included."""
    size, where, kind = (540, 168, "i8") if second else (348, 108, "f4")
    if len(data) < size + 4:
        return  # reading it says that it is truncated
    offset = int(np.frombuffer(data, order + kind, 1, where)[0])
    end, extended = size + 4, data[size] != 0
    while extended and end < min(offset, len(data) - 8):  # each extension says its size
        length = int(np.frombuffer(data, f"{order}i4", 1, end)[0])
        if length < 8:
            break
        end += length
    if offset < end:
        raise InputError(
            f"{path}: its header says that voxels begin at byte {offset} (vox_offset), but the header itself has "
            f"{end}; export the image again by another program"
        )


def _place_of(header: Any) -> Header:
    """A header for a single file of the same shape and place, without text, times, extensions or anything else."""
    kind = nib.Nifti2Header if header.sizeof_hdr == nib.Nifti2Header.sizeof_hdr else Header
    place = kind(endianness=header.endianness)
    for name in (*_SIZE, *_PLACE, *_PLACE_2):
        place[name] = header[name]
    return place


def _has_codes(header: Header) -> bool:
    return bool(header["qform_code"] > 0 or header["sform_code"] > 0)


def has_orientation(affine: np.ndarray) -> bool:
    """Whether an affine is finite and gives each axis a direction."""
    return bool(np.isfinite(affine).all() and np.isfinite(nib.io_orientation(affine)).all())


def header_of(shape: tuple[int, ...], affine: np.ndarray, *, oriented: bool) -> Header:
    """A header of this place, without sform and qform where not `oriented` and the place is that of having neither."""
    header = Header()
    header.set_data_shape(shape)
    header.set_zooms(np.linalg.norm(affine[:3, :3], axis=0)[: len(shape)])
    header.set_xyzt_units("mm")
    if oriented or not np.allclose(header.get_base_affine(), affine, atol=1e-3):
        header.set_qform(affine, code=1, strip_shears=True)
        header.set_sform(affine, code=1)
    return header


def turned(array: np.ndarray, affine: np.ndarray, codes: str = "RAS") -> Turned:
    """Turns [x, y, slices] so that its axes run as `codes` say, as far as swapping and flipping axes can."""
    before = nib.io_orientation(affine)
    change = orientations.ornt_transform(before, orientations.axcodes2ornt(codes))
    placed = affine @ orientations.inv_ornt_aff(change, array.shape)
    return Turned(orientations.apply_orientation(array, change), placed, before)


def turned_back(array: np.ndarray, orientation: np.ndarray, codes: str = "RAS") -> np.ndarray:
    """Undoes `turned`, from axes that run as `codes` say to those of `Turned.orientation`."""
    change = orientations.ornt_transform(orientations.axcodes2ornt(codes), orientation)
    return orientations.apply_orientation(array, change)


def write_nifti(path: Path, voxels: np.ndarray, affine: np.ndarray, *, header: Header | None = None) -> None:
    """Writes a .nii or .nii.gz file, atomically; the same array always gives the same bytes.

    Args:
      path: it is replaced if it is there.
      voxels: in the order of the file, of the type to store.
      affine: [4, 4] from indices to mm in RAS.
      header: what else the file says; None for mm and nothing more.
    """
    voxels = voxels.astype(np.uint8) if voxels.dtype == bool else voxels
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    image = kind(voxels, affine, header, dtype=voxels.dtype)
    if header is None:
        image.header.set_xyzt_units("mm")
    data = image.to_bytes()
    if path.name.endswith(".gz"):
        data = gzip.compress(data, 6, mtime=0)  # no name and no time within: reproducible
    part = paths.temporary_beside(path)
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
