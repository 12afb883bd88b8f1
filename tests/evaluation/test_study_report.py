"""The report of a study from folds whose stages are simulated; tests/stages/test_selfcheck.py runs a real one."""

import copy
import dataclasses

import numpy as np
import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.evaluation import fold_segmentation, study_folds, study_report
from rembrandt_featgen.evaluation.predictions import join
from rembrandt_featgen.evaluation.study_folds import Fold
from rembrandt_featgen.measures.segmentation import VOLUME_MEASURES, over_volumes
from tests.evaluation.simulated import predictions

CLASSES = Classes.of(("benign", "malignant"))
RIGHT, WRONG = (0.1, 0.9), (0.9, 0.1)  # of the two classes
AUDIT = {"p_value": 0.2, "median_ratio": 0.9, "share_nearer_1": 0.1}
RECORD = {
    "classes": CLASSES.record,
    "config": {
        "cohort": "phantom",
        "cv_repeats": 1,
        "cv_seeds": 1,
        "cv_grouping": "patient",
        "validation_fraction": 0.2,
        "split_file": "not shown",
    },
    "figures": {"sites": {}},
}


def volume(value, **distances):
    """Measures of a volume, all the same."""
    return dict.fromkeys(VOLUME_MEASURES, value) | distances


def fold(number, dice, memorised):
    """A fold of six patients in which the arm acgan is right of all, none of two thirds, class_weights of one."""
    labels, names = [0, 1] * 3, [f"F{number}P{i}" for i in range(6)]
    tables = []
    for arm, kind, right in (("none", "none", 4), ("class_weights", "classical", 3), ("acgan", "generative", 6)):
        scores = [(RIGHT if i < right else WRONG)[label] for i, label in enumerate(labels)]
        for amount, chosen in (("0", True), ("1", False)) if arm == "acgan" else (("", True),):
            tables.append(predictions(arm, scores, labels, kind=kind, amount=amount, chosen=chosen))
    table = dataclasses.replace(join(tables), classes=CLASSES)
    table = table.replace(patient=[names[int(patient[1:])] for patient in table.patient], fold=f"fold{number}")
    segmentation = {
        "soft_dice_loss": 0.2,
        "hard_dice": dice,
        "patient_hard_dice": dice,
        "iou": 0.7,
        "by_patient": {names[0]: dice, names[1]: None},
        "by_volume": {names[0]: volume(dice), names[1]: volume(None), "twice": volume(dice, surface_distance_mm=dice)},
        "with_tumour": {"slices": 10, "hard_dice": dice},
        "without_tumour": {"slices": 3, "nothing_predicted": None},
    }
    audit = {**AUDIT, "memorised": memorised, "copied_patients": {"A": 2, "B": number}}
    records = {
        "prepare_slices": {
            "config": {},
            "figures": {
                "patients": {"benign": 6, "malignant": 60},
                "slices": {"benign": 6, "malignant": 60},
                "empty_mask_patients": [],
                "split": {
                    split: {"patients": {"benign": 1, "malignant": 1}} for split in ("train", "validation", "test")
                },
            },
        },
        "train_unet": {
            "config": {"unet_epochs": 5},
            "figures": {"segmentation": {"test": segmentation}, "best_epoch": 4, "collapses": [{"epoch": 2}] * number},
        },
        "extract_features": {"config": {}, "figures": {"tap": "conv5"}},
        "acgan": {"config": {}, "figures": {}},
        "evaluate_features": {
            "config": {"classifiers": ["cnn"], "margin": 0.05},
            "versions": {"numpy": "1"},
            "figures": {
                "choices": [
                    {
                        "pipelines": {"cnn/none": {"loss": 0.5, "strength": 1.0 + number}},
                        "generators": {
                            "maps/acgan": {"coverage": dice, "acceptance": {"benign": 1.0}, "memorisation": audit}
                        },
                    }
                ]
            },
        },
    }
    records = {name: {"seconds": 1.0, **record} for name, record in records.items()}
    return Fold(name=f"fold{number}", repeat=0, seed=0, fold=f"fold{number}", records=records, predictions=table)


@pytest.fixture(scope="module")
def folds():
    return [fold(0, 0.3, True), fold(1, 0.5, False)]


@pytest.fixture(scope="module")
def report(folds):
    return study_folds.report(RECORD, folds, {}, draws=200, seed=0)


def test_rows_of_arms(report):
    rows = {row["arm"]: row for row in report["arms"] if row["unit"] == "patient"}
    assert {arm: row["balanced_accuracy"] for arm, row in rows.items()} == {
        "none": pytest.approx(4 / 6),
        "class_weights": pytest.approx(3 / 6),
        "acgan": 1.0,
    }
    assert rows["acgan"]["accuracy"] == {"malignant": 1.0, "benign": 1.0, "total": 1.0}
    assert rows["acgan"]["n"] == {"benign": 6, "malignant": 6}
    assert {"accuracy_malignant", "accuracy_benign", "accuracy_total"} <= set(rows["acgan"]["ci95"])
    assert rows["acgan"]["amounts"] == {"0": 2} and rows["acgan"]["thresholds"] == [0.5, 0.5]
    assert [each["name"] for each in rows["none"]["by_fold"]] == ["draw0-foldfold0-seed0", "draw0-foldfold1-seed0"]
    assert all(each["thresholds"] == [0.5, 0.5] for each in rows["none"]["by_fold"])
    assert report["tuning"] == {"cnn/none": {"1": 1, "2": 1}}
    assert report["reference"]["arm"] == "none"
    assert report["margin"] == 0.05 and report["verdict_word"] == "undecided"  # trained once
    assert rows["acgan"]["difference"]["against"] == rows["class_weights"]["difference"]["against"] == "none"
    assert rows["acgan"]["difference"]["difference"] == rows["acgan"]["auroc"] - rows["none"]["auroc"]
    assert "difference" not in rows["none"]
    assert report["expected"].startswith("With 12 test patients (benign 6, malignant 6), a difference of some 0.")


def test_measures_of_volumes_are_over_patients_not_over_runs(report):
    """ "twice" was tested in both folds: its mean counts once."""
    found = report["segmentation"]["test"]
    wanted = over_volumes({"a": volume(0.3), "b": volume(0.5), "twice": volume(0.4)})["dice"]
    assert found["volumes"]["dice"]["ci95"] == pytest.approx(wanted["ci95"])
    assert found["volumes"]["dice"]["volumes"] == 3
    assert found["volumes"]["surface_distance_mm"]["mean"] == pytest.approx(0.4)
    assert found["volumes"]["surface_distance_mm"]["volumes"] == 1
    assert found["with_tumour"] == {"slices": 20, "hard_dice": pytest.approx(0.4)}
    assert found["without_tumour"]["slices"] == 6 and np.isnan(found["without_tumour"]["nothing_predicted"])
    assert "In 1 of 2 folds the U-Net collapsed to predicting next to no tumour." in report["warnings"]


def test_folds_of_an_older_version_have_no_measures_of_volumes(folds):
    old = copy.deepcopy(folds)
    for one in old:
        for name in ("by_volume", "with_tumour", "without_tumour"):
            del one.records["train_unet"]["figures"]["segmentation"]["test"][name]
    found = fold_segmentation.segmentation([one.records["train_unet"] for one in old])
    assert {"volumes", "with_tumour", "without_tumour"}.isdisjoint(found)


def test_means_over_folds(report):
    assert report["segmentation"]["test"]["hard_dice"] == pytest.approx(0.4)
    assert report["segmentation"]["test"]["patient_hard_dice"] == pytest.approx(0.4)  # of those with tumour
    assert report["segmentation"]["test"]["worst"] == [("F0P0", 0.3), ("F1P0", 0.5)]
    (row,) = report["generators"]
    assert (row["coverage"], row["coverage_sd"]) == (pytest.approx(0.4), pytest.approx(0.1))
    assert row["acceptance"] == {"benign": 1.0}
    audit = row["memorisation"]
    assert (audit["memorised"], audit["folds_flagged"], audit["folds"]) == (False, 1, 2)
    assert audit["most_copied"] == [["A", 4], ["B", 1]]
    assert [(point["arm"], point["amount"]) for point in report["amount_curve"]] == [("acgan", "0"), ("acgan", "1")]


def prepared(folds, *figures):
    """Those folds, with figures of prepare_slices of their own."""
    changed = copy.deepcopy(folds)
    for one, own in zip(changed, figures):
        one.records["prepare_slices"]["figures"] |= own
    return changed


def test_folds_that_were_prepared_differently_are_said(folds):
    preparation = {"normalise": "volume", "size": 96, "mean": [0.0]}
    own = (
        {"preparation": preparation, "spacing": {"real": False, "why": "all 1 mm"}},
        {"preparation": {**preparation, "size": 128, "mean": [1.0]}, "spacing": {"real": True, "why": "as a head"}},
    )
    changed = study_folds.report(RECORD, prepared(folds, *own), {}, draws=2, seed=0)
    assert changed["cohort"]["preparation"] == {"normalise": "volume", "size": "96 or 128"}
    assert changed["cohort"]["spacing"] == {"real": True, "why": "as a head"}
    text = "\n".join(changed["warnings"])
    assert "slices that were prepared differently (size 96 in 1, 128 in 1): " in text
    assert "The spacing of volumes was taken for real in 1 of 2 folds only" in text


def test_folds_that_were_prepared_alike_are_not_warned_of(folds, report):
    own = {"preparation": {"size": 96, "crop": "none", "mean": [0.0]}, "spacing": {"real": False, "why": "all 1 mm"}}
    alike = prepared(folds, own, copy.deepcopy(own))
    assert study_folds.preparation(alike) == {"size": 96, "crop": "none"}
    assert study_folds.spacing(alike) == own["spacing"]
    assert study_folds._different_volumes(alike) == []
    assert report["cohort"]["preparation"] is None and report["cohort"]["spacing"] is None  # of an older version


def test_settings_leave_out_what_each_fold_was_given(report):
    assert "split_file" not in report["settings"]
    assert report["settings"]["generators"] == ["acgan"]
    assert report["stages"]["acgan"] == {"seconds": 2.0}


def test_a_careful_reader_is_warned(report):
    text = "\n".join(report["warnings"])
    assert "Only 6 patients are benign" in text
    assert "malignant" not in text
    assert "mean dice of test volumes 0.40" in text
    assert "In 2 of 2 folds the U-Net's last epoch was its best" in text
    assert "Balanced accuracy is not shown to be above chance (interval reaches 0.5), cnn: " in text


def test_losses_that_json_does_not_hold_are_left_out():
    """An arm that is not tuned has no loss where there are no validation patients."""
    choices = [{"pipelines": {"cnn/plain": {"loss": None}, "cnn/smote/0": {"loss": 0.5}, "mlp/plain": {"loss": None}}}]
    assert study_report._validation_loss(choices, "cnn") == 0.5
    assert study_report._validation_loss(choices, "mlp") == np.inf


def test_power_of_the_self_checks_comes_first(folds):
    checks = {"power": [{"patients": 20, "power": 0.5}], "self_checks": [{"check": "a"}]}
    report = study_folds.report(RECORD, folds, checks, draws=50, seed=0)
    assert report["power"] == checks["power"] and report["self_checks"] == checks["self_checks"]
    assert report["power_rule"].startswith(
        "The share of simulated cohorts, drawn with replacement from the patients of a"
    )
