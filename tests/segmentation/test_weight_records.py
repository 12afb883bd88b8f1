"""Whom weights were trained on, and which runs may start from them."""

import logging
import shutil

import numpy as np
import pytest

from rembrandt_featgen.cohort import phantom
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.segmentation import weight_records
from rembrandt_featgen.stages import prepare_slices

SPLITS = ("train", "validation", "test")


def prepared(run, cohort, **flags):
    prepare_slices.run(prepare_slices.Config(str(run), str(cohort), **flags))
    return weight_records.patients_of(run / "slices", "flair", SPLITS)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return phantom.write_phantom(
        tmp_path_factory.mktemp("cohort") / "cohort", {"LGG": 4, "HGG": 4}, size=96, slices=4, seed=1
    )


@pytest.fixture(scope="module")
def everybody(cohort, tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("run") / "run", cohort, image_size=96, normalise="cohort")


def of(everybody, splits, **changes):
    """Those patients, to whom the training gave other splits."""
    columns = {**vars(everybody), "splits": np.array(splits), **changes}
    return weight_records.SeenPatients(**columns)


def refused(before, now, **changes):
    try:
        weight_records.check_start("w.npz", before, now, **{"cross_fit": False, **changes})
    except InputError as error:
        return str(error)
    return ""


def test_patients_are_known_again_however_their_slices_are_prepared(everybody, cohort, tmp_path):
    others = prepared(
        tmp_path / "run", cohort, image_size=64, normalise="volume", crop="foreground", fit="resize", slices_in=3
    )
    assert sorted(others.patients) == sorted(everybody.patients)
    alike = (everybody.fingerprints @ others.fingerprints.T) > weight_records.duplicates.THRESHOLD
    np.testing.assert_array_equal(alike, everybody.patients[:, None] == others.patients)


@pytest.mark.parametrize("then", SPLITS[:2])
@pytest.mark.parametrize("now", SPLITS)
@pytest.mark.parametrize("cross_fit", [False, True])
def test_who_learnt_never_judges(everybody, then, now, cross_fit):
    """By content: all names are others."""
    before = of(everybody.take(np.arange(8) < 2), [then] * 2, patients=np.array(["x", "y"]))
    line = refused(before, of(everybody, [now] * 8), cross_fit=cross_fit)
    judges = now == "test" or (then == "train" and (now == "validation" or cross_fit))
    assert bool(line) == judges
    if judges:
        assert "--unet_weights=w.npz" in line
        assert all(f"{patient} ({now})" in line for patient in everybody.patients[:2])
        assert everybody.patients[2] not in line
        assert ("--cross_fit=0" in line) == cross_fit


def test_names_decide_where_volumes_cannot_be_compared_alone(everybody, caplog):
    shifted = np.roll(everybody.fingerprints, 1, axis=0)
    before = of(everybody, ["train"] * 8, fingerprints=shifted)
    now = of(everybody.take(np.arange(8) < 1), ["test"])
    with caplog.at_level(logging.WARNING, logger="absl"):
        # the volume of another patient of then, who has another name: found by content
        assert f"{everybody.patients[0]} (test)" in refused(before, now)
        strangers = of(now, ["test"], fingerprints=-now.fingerprints)
        assert not refused(before, strangers)
    assert f"other volumes of patients of the same names: {everybody.patients[0]} (test)" in caplog.text
    t1 = of(now, ["test"], fingerprints=-now.fingerprints, modalities=np.array(["t1"]))
    assert f"{everybody.patients[0]} (test)" in refused(before, t1)


def test_what_is_not_known_is_said(everybody, caplog):
    now = of(everybody, ["test"] * 8)
    with caplog.at_level(logging.WARNING, logger="absl"):
        assert not refused(None, now)
    assert "--unet_weights=w.npz: there is no record of the patients it was trained on" in caplog.text
    caplog.clear()
    first = weight_records.joined(everybody.take(np.arange(8) < 1), None, from_random=False)
    with caplog.at_level(logging.WARNING, logger="absl"):
        assert not refused(first, now.take(np.arange(8) > 0))
    assert "there is no record of all patients" in caplog.text
    caplog.clear()
    known = weight_records.joined(first, weight_records.joined(now, None, from_random=True), from_random=False)
    assert (len(known.patients), known.complete) == (9, False)
    with caplog.at_level(logging.WARNING, logger="absl"):
        assert not refused(weight_records.joined(now, None, from_random=True), of(everybody, ["train"] * 8))
    assert not caplog.text


def test_records_are_read_back(everybody, tmp_path):
    weights = tmp_path / "best.npz"
    assert weight_records.read_record(weights) is None
    (tmp_path / "part0").mkdir()
    part_of = {everybody.patients[0]: 0}
    weight_records.write_records(tmp_path, everybody, part_of)
    found = weight_records.read_record(weights)
    assert found.patients.tolist() == everybody.patients.tolist()
    assert found.splits.tolist() == everybody.splits.tolist()
    np.testing.assert_allclose(found.fingerprints, everybody.fingerprints, atol=1e-3)
    assert refused(found, of(everybody, ["test"] * 8))
    assert (
        weight_records.read_record(tmp_path / "part0" / "best.npz").patients.tolist() == everybody.patients.tolist()[1:]
    )
    moved = shutil.copy(tmp_path / "best.patients.npz", tmp_path / "other.patients.npz")
    (tmp_path / "other.patients.npz").write_bytes((tmp_path / "other.patients.npz").read_bytes()[:100])
    with pytest.raises(InputError, match=rf"{moved}.* is damaged; copy it again"):
        weight_records.read_record(tmp_path / "other.npz")


def test_fingerprints_of_another_width_are_refused(everybody):
    before = of(everybody, everybody.splits, fingerprints=everybody.fingerprints[:, :2])
    assert "is damaged, or of another version" in refused(before, everybody)
