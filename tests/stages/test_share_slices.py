"""Folds share one copy of a study's slices, and see what they would have prepared themselves."""

import json
import shutil
from collections import Counter

import nibabel
import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.cohort import layouts, manifest, phantom
from rembrandt_featgen.cohort.patients import Patient
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import patient_volumes, preparation_choice, slice_writing, truth
from rembrandt_featgen.data.preparation import Preparation, describe, prepare_mask, prepare_volume
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.stages import assign_folds, make_phantom, prepare_slices, share_slices

SPLITS = ("train", "validation", "test")
PATIENT_FOLDS = {"cv_folds": 3, "cv_seeds": 1, "validation_fraction": 0.3}
SITE_FOLDS = {"cv_grouping": "site", "site_pattern": "^([A-Z])", "validation_fraction": 0.3, "cv_seeds": 1}
COUNTS = {"LGG": 3, "HGG": 3}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A manifest of two sites, one with volumes of 32 x 32 pixels, and one of 64 x 64."""
    folder, patients = tmp_path_factory.mktemp("cohort"), []
    for seed, (site, size) in enumerate({"A": 32, "B": 64}.items()):
        found = layouts.find_cohort(phantom.write_phantom(folder / site, COUNTS, size=size, slices=3, seed=seed))
        patients += [Patient(f"{site}_{one.id}", one.label, one.images, one.mask) for one in found.patients]
    return manifest.write_manifest(folder / "cohort.csv", patients)


@pytest.fixture
def reads(monkeypatch):
    """Counts how often each patient's volumes are read, by what for."""
    counts = Counter()

    def counting(what):
        def read(patient, *given, **named):
            counts[what, patient.id] += 1
            return patient_volumes.read_patient(patient, *given, **named)

        return read

    monkeypatch.setattr(preparation_choice, "read_patient", counting("content"))
    monkeypatch.setattr(slice_writing, "read_patient", counting("slices"))
    return counts


def _share(run_dir, cohort, folds, **settings):
    """Assigns folds and shares their slices; returns the folds' names."""
    assign_folds.run(assign_folds.Config(str(run_dir), str(cohort), **folds))
    share_slices.run(share_slices.Config(str(run_dir), str(cohort), **settings))
    found = json.loads((run_dir / "folds" / "stage.json").read_text())["figures"]["folds"]
    return [fold["name"] for fold in found]


def _fold_config(study, name, cohort, run_dir, **settings):
    split = str(study / "folds" / f"{name}.json")
    return prepare_slices.Config(str(run_dir), str(cohort), split_file=split, **settings)


def _fold(study, name, cohort, **settings):
    """Prepares a fold, and returns its folder of slices."""
    run_dir = study / "fold_runs" / name
    prepare_slices.run(_fold_config(study, name, cohort, run_dir, slices_from=str(study), **settings))
    return run_dir / "slices"


def _records(folder, split):
    return list(Store(folder, split).dataset().as_numpy_iterator())


def _figures(folder):
    return json.loads((folder / "stage.json").read_text())["figures"]


def _bytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("folds", "settings", "stores"),
    [
        (PATIENT_FOLDS, {"image_size": 48}, 1),
        (PATIENT_FOLDS, {"image_size": 48, "normalise": "cohort"}, 1),
        (SITE_FOLDS, {"image_size": 64, "fit": "resize", "crop": "auto", "slices_in": 3, "normalise": "cohort"}, 2),
    ],
    ids=["by volume", "by cohort", "two sizes by cohort"],
)
def test_folds_see_what_they_would_have_prepared(folds, settings, stores, cohort, reads, tmp_path):
    """To the last bit, by volume and by cohort alike: what is taken off and divided by is so in the same order."""
    names = _share(tmp_path / "study", cohort, folds, **settings)
    assert len(list((tmp_path / "study" / "shared_slices").glob("volumes_*-00000.tfrecord"))) == stores
    patients = {patient.id: patient for patient in layouts.find_cohort(cohort, "manifest").patients}
    wanted = {("slices", patient): stores for patient in patients}
    if "fit" in settings or "normalise" not in settings:  # something is left to what volumes hold
        wanted |= {("content", patient): 1 for patient in patients}
    assert reads == wanted
    for name in names[:2]:
        folder = _fold(tmp_path / "study", name, cohort, **settings)
        assert reads == wanted  # no volume is read again
        preparation = Preparation.of_record(_figures(folder)["preparation"])
        assert any(preparation.mean) == (settings.get("normalise") == "cohort")
        assert not list(folder.glob("*.tfrecord"))
        for split in SPLITS:
            order, records = iter(_records(folder, split)), truth.truths(folder, split)
            for patient in dict.fromkeys(Store(folder, split).patients):
                read = patient_volumes.read_patient(patients[patient], ("flair",))
                images, geometry = prepare_volume(tf.constant(read.image), preparation)
                masks = prepare_mask(tf.constant(read.mask[..., np.newaxis]), geometry, preparation)
                for number, record in zip(range(len(images)), order):
                    np.testing.assert_array_equal(record["image"], images[number])
                    np.testing.assert_array_equal(record["mask"], masks[number])
                    assert (record["patient"].decode(), record["slice"]) == (patient, number)
                one = next(records)
                assert one.patient == patient
                np.testing.assert_array_equal(one.mask, read.mask)
                np.testing.assert_array_equal(one.areas, np.sum(masks, (1, 2, 3)))
            assert next(order, None) is None and next(records, None) is None


def test_a_fold_is_a_run_of_its_split(cohort, tmp_path):
    """Mean, familiarity, counts, prior and spacing, too: all figures of stage.json, and who is where."""
    settings = {"image_size": 32, "normalise": "cohort"}
    name, *_ = _share(tmp_path / "study", cohort, PATIENT_FOLDS, **settings)
    fold, alone = _fold(tmp_path / "study", name, cohort, **settings), tmp_path / "alone"
    prepare_slices.run(_fold_config(tmp_path / "study", name, cohort, alone, **settings))
    assert _figures(fold) == _figures(alone / "slices")
    assert (fold / "split.json").read_text() == (alone / "slices" / "split.json").read_text()
    for split in SPLITS:
        one, other = Store(fold, split), Store(alone / "slices", split)
        assert (one.patients, one.slices) == (other.patients, other.slices)
        np.testing.assert_array_equal(one.labels, other.labels, strict=True)
    pixels = np.stack([record["image"] for record in _records(fold, "train")])
    assert (pixels.mean(), pixels.std()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))
    # Familiarity compares what was measured without the cohort's mean and deviation, and then normalised by them.
    figures, patients = _figures(fold), layouts.find_cohort(cohort, "manifest").patients
    trained = [patient for patient in patients if patient.id in Store(fold, "train").patients]
    volumes = [patient_volumes.read_patient(patient, ("flair",)).image for patient in trained]
    rows = [describe(tf.constant(volume), Preparation.of_record(figures["preparation"])) for volume in volumes]
    np.testing.assert_allclose(figures["familiarity"]["mean"], np.mean(rows, 0).ravel(), rtol=1e-6)


def test_three_folds_take_the_disk_of_one_copy(tmp_path):
    cohort = phantom.write_phantom(tmp_path / "cohort", COUNTS, size=96, slices=24)
    study = tmp_path / "study"
    names = _share(study, cohort, PATIENT_FOLDS, image_size=96)
    one = sum(path.stat().st_size for path in (study / "shared_slices").glob("*.tfrecord"))
    for name in names:
        _fold(study, name, cohort, image_size=96)
    assert one < _bytes(study) < 1.2 * one


def test_a_fold_that_was_deleted_reads_no_volume(cohort, reads, tmp_path):
    study = tmp_path / "study"
    name, *_ = _share(study, cohort, PATIENT_FOLDS, image_size=32)
    folder = _fold(study, name, cohort, image_size=32)
    before, figures = [record["image"] for record in _records(folder, "train")], _figures(folder)
    reads.clear()
    shutil.rmtree(study / "fold_runs" / name)
    share_slices.run(share_slices.Config(str(study), str(cohort), image_size=32))
    _fold(study, name, cohort, image_size=32)
    assert not reads
    np.testing.assert_array_equal([record["image"] for record in _records(folder, "train")], before)
    assert _figures(folder) == figures


class _Killed(BaseException):
    """Stands for SIGKILL: nothing in the package handles it."""


def test_killed_writing_is_resumed(cohort, reads, monkeypatch, tmp_path):
    """Stores that are whole are kept, the other is written anew, and contents are not read again."""
    settings = {"image_size": 64, "fit": "resize"}
    name, *_ = _share(tmp_path / "whole", cohort, SITE_FOLDS, **settings)
    assign_folds.run(assign_folds.Config(str(tmp_path / "killed"), str(cohort), **SITE_FOLDS))
    left, write = [40], Writer.write  # of the 36 slices of the first store, and of the second

    def write_some(self, *given, **named):
        if not left[0]:
            raise _Killed
        left[0] -= 1
        write(self, *given, **named)

    config = share_slices.Config(str(tmp_path / "killed"), str(cohort), **settings)
    with monkeypatch.context() as patch, pytest.raises(_Killed):
        patch.setattr(Writer, "write", write_some)
        share_slices.run(config)
    assert not (tmp_path / "killed" / "shared_slices").exists()
    reads.clear()
    share_slices.run(config)
    assert Counter(reads.values()) == {1: 12}
    assert {what for what, _ in reads} == {"slices"}
    for one, other in zip(
        *(_records(_fold(tmp_path / study, name, cohort, **settings), "train") for study in ("whole", "killed")),
        strict=True,
    ):
        np.testing.assert_array_equal(one["image"], other["image"])


def test_a_changed_volume_redoes_slices_and_folds(tmp_path):
    cohort = phantom.write_phantom(tmp_path / "cohort", {"LGG": 4, "HGG": 4}, size=32, slices=3)
    study = tmp_path / "study"
    name, *_ = _share(study, cohort, PATIENT_FOLDS, image_size=32)
    folder = _fold(study, name, cohort, image_size=32)
    patient = Store(folder, "train").patients[0]
    found = next(one for one in layouts.find_cohort(cohort).patients if one.id == patient)
    image = nibabel.load(found.images["flair"])
    voxels = np.asarray(image.dataobj).astype(np.float32)
    voxels[5:15, 5:15] += np.linspace(0, 90, 10)[:, np.newaxis]
    nibabel.save(nibabel.Nifti1Image(voxels, image.affine), found.images["flair"])
    before = _records(folder, "train")[0]["image"]
    share_slices.run(share_slices.Config(str(study), str(cohort), image_size=32))
    with pytest.raises(InputError, match=r"shared_slices/volumes_32_\w+\.jsonl is missing or damaged; delete .*shared"):
        Store(folder, "train")  # the fold, of the volume before, finds none of its slices
    _fold(study, name, cohort, image_size=32)
    assert np.abs(_records(folder, "train")[0]["image"] - before).max() > 0.1


def test_a_study_that_is_moved_or_linked_to(cohort, tmp_path):
    study = tmp_path / "study"
    names = _share(study, cohort, SITE_FOLDS, image_size=64, fit="resize")
    for name in names:
        _fold(study, name, cohort, image_size=64, fit="resize")
    moved = shutil.move(study, tmp_path / "deeper" / "elsewhere")
    for name, size in zip(names, (64, 32), strict=True):
        (tmp_path / name).symlink_to(moved / "fold_runs" / name / "slices")
        for folder in (moved / "fold_runs" / name / "slices", tmp_path / name):
            records = _records(folder, "test")
            assert len(records) == 6 * 3
            assert records[0]["image"].shape == (size, size, 1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"image_size": 48}, "--slices_from=.* was made with --image_size=32, not 48; give the same, or leave"),
        ({"normalise": "cohort"}, "was made with --normalise=auto, not cohort"),
        ({"classes": ("HGG", "LGG")}, "has slices of other patients or classes than --cohort; give both"),
    ],
)
def test_other_settings_than_the_studys(settings, words, cohort, tmp_path):
    name, *_ = _share(tmp_path / "study", cohort, PATIENT_FOLDS, image_size=32)
    with pytest.raises(InputError, match=words):
        _fold(tmp_path / "study", name, cohort, **{"image_size": 32, **settings})


def test_a_split_of_none_of_the_folds(cohort, tmp_path):
    """Its training patients would need slices of another size."""
    names = _share(tmp_path / "study", cohort, PATIENT_FOLDS, image_size=64, fit="resize")
    folds = {**SITE_FOLDS, "seed": 1}
    assign_folds.run(assign_folds.Config(str(tmp_path / "sites"), str(cohort), **folds))
    for name in ("repeat0_seed0_A", "repeat0_seed0_B"):
        shutil.copy(tmp_path / "sites" / "folds" / f"{name}.json", tmp_path / "study" / "folds")
    settings = {"image_size": 64, "fit": "resize", "slices_from": str(tmp_path / "study")}
    there = [
        prepare_slices.are_shared(_fold_config(tmp_path / "study", name, cohort, tmp_path / "run", **settings))
        for name in (names[0], "repeat0_seed0_B")
    ]
    assert there == [True, False]
    with pytest.raises(InputError, match="was made with --image_size=64, not 32"):
        prepare_slices.are_shared(
            _fold_config(tmp_path / "study", names[0], cohort, tmp_path / "run", **{**settings, "image_size": 32})
        )
    _fold(tmp_path / "study", names[0], cohort, image_size=64, fit="resize")
    with pytest.raises(InputError, match=r"has no slices of 32 x 32 .*, which these training patients need; delete"):
        _fold(tmp_path / "study", "repeat0_seed0_B", cohort, image_size=64, fit="resize")


def test_fresh_phantoms_are_the_test_of_every_fold(tmp_path):
    """Each fold leaves out a part of the others, and tests all fresh patients; slices are shared as ever."""
    given = {"run_dir": str(tmp_path), "modalities": ("flair",)}
    phantoms = {"phantom_counts": ("LGG:4", "HGG:4"), "phantom_test_counts": ("LGG:3", "HGG:5")}
    make_phantom.run(make_phantom.Config(**given, **phantoms, phantom_size=32, phantom_slices=3))
    folds = {"cv_folds": 2, "cv_repeats": 2, "cv_seeds": 1, "validation_fraction": 0.3}
    names = _share(tmp_path, "phantom", folds, image_size=32)
    cohort = tmp_path / "phantom" / "cohort"
    fresh = phantom.fresh_patients(cohort)
    entries = json.loads((tmp_path / "folds" / "stage.json").read_text())["figures"]["folds"]
    assert [(entry["repeat"], entry["fold"]) for entry in entries] == [(n, "fresh") for n in range(4)]
    left_out = []
    for name in names:
        folder = _fold(tmp_path, name, cohort, image_size=32)
        tested = {record["patient"].decode() for record in _records(folder, "test")}
        learnt = {record["patient"].decode() for split in ("train", "validation") for record in _records(folder, split)}
        assert tested == fresh
        assert len(learnt) == 4 and not learnt & fresh
        assert _figures(folder)["split"]["test"]["patients"] == {"HGG": 5, "LGG": 3}
        left_out.append({one.id for one in layouts.find_cohort(cohort).patients} - learnt - fresh)
    assert left_out[0] | left_out[1] == left_out[2] | left_out[3] and left_out[0] not in left_out[2:]


def test_a_run_tests_its_fresh_phantoms(tmp_path):
    given = {"run_dir": str(tmp_path), "modalities": ("flair",)}
    phantoms = {"phantom_counts": ("LGG:3", "HGG:4"), "phantom_test_counts": ("LGG:2", "HGG:2")}
    make_phantom.run(make_phantom.Config(**given, **phantoms, phantom_size=32, phantom_slices=3))
    with pytest.raises(InputError, match="^--test_counts=LGG:1 with --phantom_test_counts.*leave one"):
        prepare_slices.run(prepare_slices.Config(**given, test_counts=("LGG:1",), image_size=32))
    prepare_slices.run(prepare_slices.Config(**given, validation_fraction=0.25, image_size=32))
    split = {name: part["patients"] for name, part in _figures(tmp_path / "slices")["split"].items()}
    assert split == {
        "train": {"HGG": 3, "LGG": 2},
        "validation": {"HGG": 1, "LGG": 1},
        "test": {"HGG": 2, "LGG": 2},
    }
