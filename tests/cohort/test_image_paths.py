"""Paths that name a part of a file, and which files are behind an image."""

from pathlib import Path

import nibabel as nib
import pytest

from rembrandt_featgen.cohort import image_paths
from tests.cohort import image_examples
from tests.cohort.image_examples import OBLIQUE, voxels


def _touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode())


def test_split(tmp_path):
    _touch(tmp_path, "a.nii", "b#1.nii")
    assert image_paths.split(tmp_path / "a.nii") == (tmp_path / "a.nii", "")
    assert image_paths.split(f"{tmp_path}/a.nii#12") == (tmp_path / "a.nii", "12")
    assert image_paths.split(tmp_path / "folder#mask") == (tmp_path / "folder", "mask")
    assert image_paths.split(tmp_path / "b#1.nii") == (tmp_path / "b#1.nii", "")  # its own name
    assert image_paths.split(tmp_path / "#a") == (tmp_path / "#a", "")


@pytest.mark.parametrize(
    ("name", "ending", "stem"),
    [
        ("a.nii.gz", ".nii.gz", "a"),
        ("A.B.NII", ".nii", "A.B"),
        ("a", "", "a"),
        ("a.gz", ".gz", "a"),
        ("a.mha", ".mha", "a"),
    ],
)
def test_ending(name, ending, stem):
    assert image_paths.ending(Path(name)) == ending
    assert image_paths.stem(Path(name)) == stem


def test_files_of(tmp_path):
    _touch(tmp_path, "a.nii.gz", "b.hdr", "b.img", "b.mat", "c.hdr.gz", "c.img.gz")
    _touch(tmp_path / "tif", *(f"x_{n}{end}.tif" for n in (1, 2, 10) for end in ("", "_mask")), "x_3.png", "._x_1.tif")
    _touch(tmp_path / "dicom", "IM2", "IM1", ".DS_Store")
    nib.save(nib.Nifti1Image(voxels(), OBLIQUE), tmp_path / "d.nii")
    image_examples.write_itk(tmp_path / "e.mhd", voxels())
    image_examples.write_itk(tmp_path / "f.nhdr", voxels())

    def names(path):
        return [file.name for file in image_paths.files_of(tmp_path / path)]

    assert names("a.nii.gz") == names("a.nii.gz#3") == ["a.nii.gz"]
    assert names("b.hdr") == names("b.img") == ["b.hdr", "b.img", "b.mat"]
    assert names("c.img.gz") == ["c.hdr.gz", "c.img.gz"]
    assert names("tif#0") == names("tif#2") == ["x_1.tif", "x_10.tif", "x_2.tif"]
    assert names("tif#mask") == ["x_10_mask.tif", "x_1_mask.tif", "x_2_mask.tif"]
    assert names("dicom") == ["IM1", "IM2"]
    assert names("e.mhd") == ["e.mhd", "e.raw"]
    assert names("f.nhdr") == ["f.nhdr", "f.raw"]
    assert names("none.nii") == names("none#1") == []
    assert [file.name for file in image_paths.tif_slices(tmp_path / "tif", mask=False)] == [
        "x_1.tif",
        "x_2.tif",
        "x_10.tif",
    ]
    both = image_paths.files_of_all([tmp_path / "tif#0", tmp_path / "tif#1", tmp_path / "a.nii.gz"])
    assert len(both) == 4


def test_exists(tmp_path):
    _touch(tmp_path / "tif", "x_1.tif")
    (tmp_path / "empty").mkdir()
    assert image_paths.exists(tmp_path / "tif#0")
    assert image_paths.exists(tmp_path / "tif")
    assert not image_paths.exists(tmp_path / "tif#mask")
    assert not image_paths.exists(tmp_path / "empty")
    assert not image_paths.exists(tmp_path / "none.nii#1")


def test_digest_is_of_content_and_part(tmp_path):
    _touch(tmp_path / "one", "a.nii", "b.hdr", "b.img")
    _touch(tmp_path / "two", "a.nii", "b.hdr", "b.img")
    digest = image_paths.digest
    assert digest(tmp_path / "one/a.nii") == digest(tmp_path / "two/a.nii")
    assert digest(tmp_path / "one/a.nii#0") != digest(tmp_path / "one/a.nii#1")
    before = digest(tmp_path / "one/b.hdr")
    (tmp_path / "one/b.img").write_bytes(b"other voxels")
    assert digest(tmp_path / "one/b.hdr") != before


@pytest.mark.parametrize("name", ["x" * 5000, "a/" * 3000, "a\0b", f"{'x' * 300}#1"])
def test_what_no_file_can_be_called_is_not_there(tmp_path, name):
    assert not image_paths.exists(tmp_path / name)
