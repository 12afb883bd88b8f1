"""A patient as networks see them, whatever way the files store it."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from rembrandt_featgen.cohort.patients import Patient
from rembrandt_featgen.cohort.reading_choice import Reading
from rembrandt_featgen.cohort.volumes import read_volume
from rembrandt_featgen.data.patient_volumes import file_geometry, read_patient

SHAPE = (6, 5, 4)  # to the right, the front and up
SIDES = (1.0, 2.0, 5.0)


@pytest.fixture
def patient(tmp_path):
    """Values by place: each voxel has another, above 0 in the mask's corner right, front, top."""
    values = np.arange(120, dtype=np.float32).reshape(SHAPE)
    mask = (values > 60).astype(np.uint8)
    turn = nib.orientations.ornt_transform(*(nib.orientations.axcodes2ornt(code) for code in ("RAS", "PIL")))
    for name, array in (("flair", values), ("mask", mask)):
        nib.save(nib.Nifti1Image(array, np.diag([*SIDES, 1.0])).as_reoriented(turn), tmp_path / f"{name}.nii")
    return Patient("A", "LGG", {"flair": tmp_path / "flair.nii"}, tmp_path / "mask.nii"), values


# Of [slices, height, width]: to which side the first index of each axis lies, as axes of right, front, up.
SHOWN = {
    "axial": lambda values: values[::-1, ::-1].transpose(
        2, 1, 0
    ),  # bottom slice first, front on top, right at the left
    "coronal": lambda values: values[::-1, :, ::-1].transpose(1, 2, 0),  # back first, head on top, right at the left
    "sagittal": lambda values: values[:, ::-1, ::-1].transpose(0, 2, 1),  # left first, head on top, front at the left
}


@pytest.mark.parametrize("plane", SHOWN)
def test_slices_as_displayed(plane, patient):
    read = read_patient(patient[0], ["flair"], reading=Reading(slice_axis=plane))
    np.testing.assert_array_equal(read.image[..., 0], SHOWN[plane](patient[1]))
    np.testing.assert_array_equal(read.mask, SHOWN[plane](patient[1]) > 60)
    sides = {"axial": (5, 2, 1), "coronal": (2, 5, 1), "sagittal": (1, 5, 2)}[plane]
    assert read.spacing.tolist() == list(sides)
    assert read.file_spacing.tolist() == list(SIDES)
    assert read.file_shape == SHAPE
    assert (read.plane, read.unoriented) == (plane, "")


def test_another_spacing_is_told_from_that_of_the_files(patient):
    read = read_patient(patient[0], ["flair"], reading=Reading(spacing=(1.0, 1.0, 2.5)))
    assert read.image.shape == (8, 10, 6, 1)
    np.testing.assert_allclose(read.spacing, (2.5, 1, 1))
    np.testing.assert_allclose(read.file_spacing, SIDES)
    assert read.file_shape == SHAPE


def test_a_header_that_does_not_say_how_it_lies(patient):
    path = Path(patient[0].images["flair"])
    for file in (path, patient[0].mask):
        image = nib.load(file)
        plain = nib.Nifti1Image(np.array(image.dataobj), None)
        plain.header.set_zooms(image.header.get_zooms())
        nib.save(plain, file)
    assert read_patient(patient[0], ["flair"]).unoriented == "flair.nii, its axes read as LAS"
    assert file_geometry(read_volume(path))[1] == nib.load(path).shape
