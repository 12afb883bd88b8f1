"""Headers that say more than there is, and files that unpack to far more: refused before memory is taken."""

import gzip
import tracemalloc

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from rembrandt_featgen.cohort import image_files, volumes
from rembrandt_featgen.cohort.reading_choice import Reading
from rembrandt_featgen.core.errors import InputError

CLAIMED = (2000, 2000, 750)  # 5.6 GiB of int16


def _nifti(kind=nib.Nifti1Image, shape=CLAIMED) -> bytes:
    header = kind.header_class()
    header.set_data_shape(shape)
    header.set_data_dtype(np.int16)
    header["vox_offset"], header["magic"] = 352, getattr(kind.header_class, "single_magic", header["magic"])
    if kind is nib.Nifti2Image:
        header["vox_offset"] = 544
    return header.binaryblock + bytes(4) + bytes(512)


def _mgh() -> bytes:
    image = nib.MGHImage(np.zeros((4, 3, 2), np.int16), np.eye(4)).to_bytes()
    return image[:4] + b"".join(side.to_bytes(4, "big") for side in CLAIMED) + image[16:]


def _pair(folder, packed: str) -> None:
    header = nib.nifti1.Nifti1PairHeader()
    header.set_data_shape(CLAIMED)
    header.set_data_dtype(np.int16)
    pack = gzip.compress if packed else bytes
    (folder / f"a.hdr{packed}").write_bytes(pack(header.binaryblock + bytes(4)))
    (folder / f"a.img{packed}").write_bytes(pack(bytes(5000)))


def _meta(folder, ending: str, *, packed: bool, extra: str = "LOCAL") -> None:
    path = folder / f"a{ending}"
    SimpleITK.WriteImage(SimpleITK.Image(4, 3, 2, SimpleITK.sitkInt16), str(path), useCompression=packed)
    content = path.read_bytes().replace(b"4 3 2\n", b"2000 2000 750\n")
    path.write_bytes(content.replace(b"ElementDataFile = LOCAL", f"ElementDataFile = {extra}".encode()))


def _tif(folder, *, side: int, mode: str) -> None:
    """Two .tif slices, of which the second says that it has sides of `side` pixels."""
    for number, claimed in ((1, 8), (2, side)):
        path = folder / f"x_{number}.tif"
        SimpleITK.WriteImage(SimpleITK.Image(8, 8, SimpleITK.sitkUInt8), str(path), useCompression=mode == "packed")
        data = bytearray(path.read_bytes())
        at, entries = int.from_bytes(data[4:8], "little"), {}
        for entry in range(at + 2, at + 2 + 12 * int.from_bytes(data[at : at + 2], "little"), 12):
            entries[int.from_bytes(data[entry : entry + 2], "little")] = entry
        for tag in (256, 257):  # width and height
            data[entries[tag] + 2 : entries[tag] + 12] = b"\4\0\1\0\0\0" + claimed.to_bytes(4, "little")
        path.write_bytes(data)


def _data_file(folder, name: str) -> None:
    SimpleITK.WriteImage(SimpleITK.Image(4, 3, 2, SimpleITK.sitkInt16), str(folder / "a.nhdr"))
    text = (folder / "a.nhdr").read_text()
    (folder / "a.nhdr").write_text("\n".join(f"data file: {name}" if "data" in s else s for s in text.split("\n")))


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("a.nii", lambda folder: (folder / "a.nii").write_bytes(_nifti()), "header says 6000000352 bytes"),
        ("a.nii", lambda folder: (folder / "a.nii").write_bytes(_nifti(nib.Nifti2Image)), "header says 6000000544"),
        ("a.nii.gz", lambda folder: (folder / "a.nii.gz").write_bytes(gzip.compress(_nifti())), "would unpack"),
        (
            "a.nii.gz",
            lambda folder: (folder / "a.nii.gz").write_bytes(gzip.compress(_nifti(shape=(2000, 2000, 250)))),
            "header says 2000000352 bytes, and there are 864",
        ),
        ("a.nii", lambda folder: (folder / "a.nii").write_bytes(_nifti()[:300]), "ends within its header of 348"),
        ("a.mgh", lambda folder: (folder / "a.mgh").write_bytes(_mgh()[:101]), "ends within its header of 284"),
        ("a.mgh", lambda folder: (folder / "a.mgh").write_bytes(_mgh()), "header says 6000000284 bytes"),
        ("a.mgz", lambda folder: (folder / "a.mgz").write_bytes(gzip.compress(_mgh())), "would unpack"),
        ("a.hdr", lambda folder: _pair(folder, ""), "header says 6000000000 bytes, and there are 5000"),
        ("a.hdr.gz", lambda folder: _pair(folder, ".gz"), "would unpack"),
        ("a.mha", lambda folder: _meta(folder, ".mha", packed=False), "header says 6000000000 bytes"),
        ("a.mha", lambda folder: _meta(folder, ".mha", packed=True), "would unpack"),
        ("a.nrrd", lambda folder: _meta(folder, ".nrrd", packed=False), "header says 6000000000 bytes"),
        ("a.nrrd", lambda folder: _meta(folder, ".nrrd", packed=True), "would unpack"),
        (".#0", lambda folder: _tif(folder, side=60_000, mode="plain"), "would unpack"),
        (".#0", lambda folder: _tif(folder, side=60_000, mode="packed"), "would unpack"),
        (".#0", lambda folder: _tif(folder, side=20_000, mode="packed"), "header says 363636 bytes, and there are"),
        ("a.mha", lambda folder: _meta(folder, ".mha", packed=False, extra="/dev/zero"), "'/dev/zero' as its voxels"),
        ("a.nhdr", lambda folder: _data_file(folder, "/dev/zero"), "'/dev/zero' as its voxels"),
        ("a.nhdr", lambda folder: _data_file(folder, "x%d.raw 1 999999999 1"), "names its files of voxels"),
        ("a.nhdr", lambda folder: _data_file(folder, "LIST\n/dev/zero"), "'/dev/zero' as its voxels"),
    ],
)
def test_claims_are_checked_before_memory_is_taken(tmp_path, name, make, words):
    make(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=words):
            image_files.load(f"{tmp_path}{name[1:]}" if name[0] == "." else tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 2e7
    finally:
        tracemalloc.stop()


def test_a_gzip_file_unpacks_to_what_its_header_says_and_no_further(tmp_path):
    whole = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(4, 3, 2), np.eye(4)).to_bytes()
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(whole + bytes(10**5)))  # some programs pad
    assert image_files.load(path).array.max() == 23
    path.write_bytes(gzip.compress(whole + bytes(10**8)))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="unpacks to more than"):
            image_files.load(path)
        assert tracemalloc.get_traced_memory()[1] < 2e7
    finally:
        tracemalloc.stop()


def test_a_spacing_that_makes_a_small_file_large_is_refused(tmp_path):
    image = nib.Nifti1Image(np.arange(60.0).reshape(5, 4, 3), np.diag([300.0, 300.0, 300.0, 1.0]))
    path = tmp_path / "a.nii"
    nib.save(image, path)
    with pytest.raises(InputError, match="take a coarser spacing"):
        volumes.read_volume(path, reading=Reading(spacing=(1.0, 1.0, 1.0)))
