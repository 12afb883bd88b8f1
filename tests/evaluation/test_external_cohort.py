"""Volumes of another cohort are read as those of the training were, and lie in one place."""

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.layouts import CohortOptions
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.cohort.reading_choice import Reading
from rembrandt_featgen.evaluation import external_cohort
from tests.cohort import public_layouts
from tests.cohort.refusals import refused


class _ReadError(Exception):
    """Stands for what comes after reading."""


@pytest.fixture
def predicted(tmp_path, monkeypatch):
    """Predicts a patient whose t1 lies 2 mm to the right; returns what the model would see."""
    voxels = np.random.default_rng(0).uniform(0, 9, (6, 5, 4)).astype(np.float32)
    images = {}
    for name, shift in (("flair", 0), ("t1", 2)):
        images[name] = tmp_path / f"{name}.nii"
        nib.save(nib.Nifti1Image(voxels, nib.affines.from_matvec(np.eye(3), (shift, 0, 0))), images[name])
    cohort = Cohort([Patient("A", "LGG", images, None)], Classes.of(("LGG", "HGG")))
    seen = []

    def look(model, unet, volumes, batch):
        seen.extend(volumes)
        raise _ReadError

    def predict(reading, **named):
        model = type("Model", (), {"modalities": ("flair", "t1")})
        unet = type("Unet", (), {"reading": reading})
        monkeypatch.setattr(external_cohort.exported_unet, "load", lambda folder: unet)
        monkeypatch.setattr(external_cohort.final_unet, "read_fingerprints", lambda folder: None)
        monkeypatch.setattr(external_cohort, "_predicted", look)
        seen.clear()
        external_cohort.predict(cohort, model, tmp_path, journal=tmp_path / "rows.jsonl", batch=8, **named)

    return predict, seen, voxels


def test_modalities_that_lie_apart(predicted):
    predict, seen, voxels = predicted
    refused(lambda: predict(Reading()), "--test_cohort", "t1.nii", "up to 2 mm", "--geometry=resample")
    refused(lambda: predict(Reading("voxels")), "--test_cohort", "t1.nii")  # headers of others were wrong
    assert not seen
    for reading, named in ((Reading("resample"), {}), (Reading(), {"geometry": "resample"})):
        with pytest.raises(_ReadError):
            predict(reading, **named)
        np.testing.assert_array_equal(seen[0].voxels, voxels)
        np.testing.assert_array_equal(seen[1].voxels[2:], voxels[:-2])
    with pytest.raises(_ReadError):
        predict(Reading(), geometry="voxels")
    np.testing.assert_array_equal(seen[1].voxels, voxels)


def test_slices_are_those_of_the_training(predicted):
    predict, seen, voxels = predicted
    with pytest.raises(_ReadError):
        predict(Reading("resample", "coronal", (1.0, 2.0, 1.0)))
    assert [volume.voxels.shape for volume in seen] == [(6, 2, 5)] * 2
    assert {volume.axes for volume in seen} == {"RSA"}


KEYS = {"label": "label", "group": "group", "site": "site"}


def test_a_public_data_set_as_another_cohort(tmp_path):
    """Of BraTS 2023 without masks, for a model of flair: classes of a table, and visits of one patient in one group."""

    def write(path, name, what):
        if what != "mask":
            public_layouts.touch(path, name, what)

    made = public_layouts.make("brats2023", tmp_path / "cohort", write)
    model = SimpleNamespace(modalities=("flair",), classes=Classes.of(("LGG", "HGG")))
    found = external_cohort.find(
        str(made.cohort), model, layout="auto", keys=KEYS, site_pattern="GLI-(....)", options=made.options
    )
    assert {patient.id: patient.label for patient in found.patients} == made.labels
    assert {patient.id: patient.group for patient in found.patients} == made.patients
    assert {patient.site for patient in found.patients} == {"0000"}
    options = CohortOptions(made.options.labels_table, group_pattern="-(...)$")
    found = external_cohort.find(str(made.cohort), model, layout="brats2023", keys=KEYS, options=options)
    assert {patient.group for patient in found.patients} == {"000", "001"}
