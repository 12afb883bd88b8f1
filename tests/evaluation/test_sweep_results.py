"""What becomes of the points of a sweep; tests/test_pipeline.py has the whole of it."""

import numpy as np
import pytest
from scipy import stats

from rembrandt_featgen.evaluation import sweep_points, sweep_results
from rembrandt_featgen.measures.decisions import two_columns
from rembrandt_featgen.measures.out_of_fold import OutOfFold

LABELS = np.array([0, 0, 0, 1, 1, 1])
RIGHT = np.array([0.1, 0.1, 0.1, 0.9, 0.9, 0.9])


def point(axis, value, wrong, *, loss, reference=False, arm="augmented"):
    """A trained point that is wrong of some patients."""
    scores = np.where(np.isin(np.arange(6), wrong), 1.0 - RIGHT, RIGHT)
    own = {"arm": arm, "patient_log_loss": loss, "_scores": (LABELS, OutOfFold(two_columns(scores)[None]))}
    return {"axis": axis, "value": value, "reference": reference, "note": "", "arms": [own]}


def test_validation_patients_choose_and_test_patients_do_not():
    points = [
        point("added", "0", [0, 3], loss=0.5, reference=True, arm="baseline"),
        point("added", "10", [], loss=0.4),  # right of all test patients
        point("balancing", "5", [0, 1, 2], loss=0.3),
        {"axis": "added", "value": "900", "reference": False, "note": "too many", "arms": []},
    ]
    sweep_results.compare(points, draws=200, seed=0)
    assert [own["chosen"] for p in points for own in p["arms"]] == [False, False, True]
    differences = [own["difference"] for p in points for own in p["arms"]]
    assert differences[0] is None
    assert [found["difference"] for found in differences[1:]] == pytest.approx([1 / 3, -1 / 6])
    # sign flips: the two patients who differ flip alike in 2 of 4 ways; of -2/6 and +1/6, |sum| >= 1/6 in all
    assert differences[1]["p_value"] == pytest.approx(0.5)
    assert differences[1]["p_adjusted"] == pytest.approx(min(2 * 0.5, 1.0))
    assert differences[1]["ci95"][0] <= 1 / 3 <= differences[1]["ci95"][1]
    assert not any("_scores" in own for p in points for own in p["arms"])


def test_arms_of_a_tap_compete_with_their_own_kind():
    points = [
        point("tap", "conv5", [0], loss=0.5, reference=True, arm="baseline"),
        point("tap", "uconv1", [], loss=0.6, arm="baseline"),
        point("tap", "conv5", [0, 1], loss=0.2, reference=True),
        point("tap", "uconv1", [0, 1], loss=0.1),
        point("filters", "64", [], loss=0.01, reference=True),
    ]
    sweep_results.compare(points, draws=200, seed=0)
    assert [p["arms"][0]["chosen"] for p in points] == [True, False, False, True, True]
    found = [p["arms"][0]["difference"] for p in points]
    assert [each and each["difference"] for each in found] == [None, pytest.approx(1 / 6), None, 0.0, None]


def start(value, dice, reference=False):
    table = {"test": {"by_patient": dict(zip("ABCD", dice))}}
    return {"axis": "start", "value": value, "reference": reference, "note": "", "segmentation": table}


def test_starts_are_compared_by_patients_with_tumour():
    before, after = (0.5, 0.6, 0.4, None), (0.7, 0.7, 0.7, None)
    points = [start("pre-trained", after), start("scratch", before, True)]
    sweep_results.compare(points, draws=200, seed=0)
    found = points[0]["difference"]
    wanted = stats.ttest_rel(after[:3], before[:3])
    assert (found["difference"], found["patients"]) == (pytest.approx(0.2), 3)
    assert found["p_value"] == pytest.approx(wanted.pvalue)
    assert found["ci95"] == pytest.approx(tuple(wanted.confidence_interval(0.95)))
    assert points[1]["difference"] is None


def test_a_start_that_failed_is_compared_with_nothing():
    failed = {"axis": "start", "value": "scratch", "reference": True, "note": "NaN", "segmentation": None}
    points = [start("pre-trained", (0.5, 0.6, 0.4, 0.1)), failed]
    sweep_results.compare(points, draws=200, seed=0)
    assert points[0]["difference"] is None


def test_features_of_crops_are_noted_and_reference_modes_named():
    records = {
        "prepare_slices": {"figures": {}, "classes": {"names": ["LGG", "HGG"], "positive": "HGG"}},
        "train_unet": {
            "config": {"augmentation": "reference"},
            "figures": {"segmentation": {"test": {"hard_dice": 1, "iou": 2}}},
        },
        "extract_features": {"figures": {"tap": "crop_cnn"}},
        "train_classifiers": {"figures": {"patient_log_loss": {}}},
    }
    found = sweep_results.outcome(
        sweep_points.Point("tap", "crop_cnn", changes={}, arms=("baseline",)), records, {}, note=""
    )
    assert found["note"].startswith("validation patients chose")
    assert found["settings"] == {
        "tap": "crop_cnn",
        "ndf": None,
        "ngf": None,
        "implementation": "augmentation",
        "gan": None,
    }
    assert found["segmentation"] == {"test": {"hard_dice": 1, "iou": 2}}
