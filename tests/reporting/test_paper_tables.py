import csv
import math

import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.data.augmentation_parameters import TABLE_1
from rembrandt_featgen.reporting import paper_tables

CLASSES = Classes.of(("LGG", "HGG"))


def read(text):
    return list(csv.DictReader(text.splitlines()))


def test_table_1_has_the_papers_values_and_ours():
    rows = read(paper_tables.table_1("correct", TABLE_1._replace(angle=math.radians(30), shift=0.0)))
    found = {
        (row["technique"], row["parameter"].split()[0]): (float(row["paper"]), float(row["this_run"])) for row in rows
    }
    assert found == {
        ("flip horizontally", "probability"): (0.5, 0.5),
        ("flip vertically", "probability"): (0.5, 0.5),
        ("elastic distortion", "alpha"): (720, 720),
        ("elastic distortion", "sigma"): (24, 24),
        ("rotation", "degrees"): (20, 30),
        ("shift horizontally and vertically", "share"): (0.1, 0),
        ("shear horizontally", "share,"): (0.05, 0.05),
        ("zoom", "share,"): (0.1, 0.1),
    }


def test_table_1_by_default_is_the_papers():
    for row in read(paper_tables.table_1("correct")):
        assert float(row["this_run"]) == float(row["paper"])


def test_table_1_of_the_reference_implementation_shears_the_other_way():
    rows = read(paper_tables.table_1("reference"))
    found = {row["technique"]: row["this_run"] for row in rows if row["this_run"] != row["paper"]}
    assert found.keys() == {"shear horizontally", "elastic distortion", "rotation"}  # of floats: 720.0
    assert found["shear horizontally"] == "0.05 (vertically)"


def test_table_1_of_standard_augmentation_has_its_own_ranges_and_intensities():
    rows = read(paper_tables.table_1("standard"))
    found = {(row["technique"], row["parameter"].split()[0]): row["this_run"] for row in rows[:8]}
    assert found["flip vertically", "probability"] == "0.0"
    assert found["elastic distortion", "alpha"] == "360.0"
    assert (found["rotation", "degrees"], found["zoom", "share,"]) == ("15.0", "0.15")
    assert {(row["technique"], row["paper"]) for row in rows[8:]} == {("change of intensity", "none")}
    intensities = {row["parameter"]: row["this_run"] for row in rows[8:]}
    assert (intensities["gamma"], intensities["noise probability"]) == ("0.7 to 1.5", "0.15")


@pytest.mark.parametrize(("augment", "wanted"), [(True, "15.0"), (False, "off")])
def test_table_1_is_of_the_runs_own_mode(augment, wanted, monkeypatch):
    monkeypatch.setattr(paper_tables, "table_3", lambda *_: "")
    records = {
        "train_unet": {
            "config": {"augment": augment, "augmentation": "standard"},
            "figures": {"segmentation": {}},
        },
        "train_classifiers": {"figures": {"classification": []}},
    }
    (rotation,) = (
        row for row in read(paper_tables.tables(records, CLASSES)["table_1"]) if row["technique"] == "rotation"
    )
    assert rotation["this_run"] == wanted


def test_table_1_of_a_run_without_augmentation():
    assert {row["this_run"] for row in read(paper_tables.table_1(None))} == {"off"}


def test_table_2_is_beside_the_paper():
    train = {"soft_dice_loss": 0.2, "hard_dice": 0.8, "iou": 0.7, "patients": 13, "slices": 52, "by_patient": {"A": 1}}
    text = paper_tables.table_2({"train": train, "test": {"iou": None}})
    assert text.splitlines() == [
        "split,patients,slices,soft_dice_loss,hard_dice,iou,paper_soft_dice_loss,paper_hard_dice,paper_iou,note",
        "train,13,52,0.2,0.8,0.7,0.13,0.84,0.74,",
        "validation,,,,,,0.13,0.88,0.79,the paper's validation set is its test set and chose its epoch",
        "test,,,,,,,,,the paper has no third split: see validation",
    ]


def row(arm, unit, **intervals):
    return {
        "arm": arm,
        "classifier": "cnn",
        "synthetic": 0 if arm == "baseline" else 300,
        "unit": unit,
        "n": {"LGG": 7, "HGG": 11},
        "accuracy": {"HGG": 0.75, "LGG": 0.5, "total": 0.65},
        "balanced_accuracy": 0.625,
        "ci95": intervals,
    }


def test_table_3_has_both_units_with_intervals_and_the_paper():
    classification = [
        row("baseline", "patient", accuracy_HGG=[0.4, 0.9], balanced_accuracy=[0.3, 0.8]),
        row("augmented", "slice", accuracy_total=(None, None)),
    ]
    found = read(paper_tables.table_3(classification, CLASSES))
    assert [(r["source"], r["unit"], r["arm"], r["synthetic_added"], r["n_HGG"], r["n_LGG"]) for r in found] == [
        ("this run", "slice", "augmented", "300", "11", "7"),
        ("this run", "patient", "baseline", "0", "11", "7"),
        ("paper (REMBRANDT)", "slice", "baseline", "0", "362", "208"),
        ("paper (REMBRANDT)", "slice", "augmented", "1158", "362", "208"),
    ]
    values = ("accuracy_HGG", "accuracy_LGG", "accuracy_total", "balanced_accuracy")
    assert [[r[value] for value in values] for r in found] == [
        ["0.75", "0.5", "0.65", "0.625"],
        ["0.75", "0.5", "0.65", "0.625"],
        ["0.95", "0.05", "0.61", "0.5"],
        ["0.569", "0.384", "0.524", "0.4765"],
    ]
    bounds = [(r["accuracy_HGG_ci95_low"], r["accuracy_HGG_ci95_high"]) for r in found]
    assert bounds == [("", ""), ("0.4", "0.9"), ("", ""), ("", "")]
    assert found[1]["balanced_accuracy_ci95_high"] == "0.8"


@pytest.mark.parametrize(("arm", "total"), [(0, 0.61), (1, 0.524)])
def test_what_is_said_of_the_papers_totals(arm, total):
    """The total that the grades' accuracies come to on 362 + 208 slices: the baseline's fits, the other does not."""
    found = [r for r in read(paper_tables.table_3([], CLASSES)) if r["source"].startswith("paper")][arm]
    hgg, lgg = float(found["accuracy_HGG"]), float(found["accuracy_LGG"])
    assert (hgg + lgg) / 2 == pytest.approx(float(found["balanced_accuracy"]))
    computed = (362 * hgg + 208 * lgg) / 570
    assert float(found["accuracy_total"]) == total
    fits = abs(computed - total) < 0.02
    assert fits == (found["note"] == "")
    assert fits or f"{computed:.3f} does" in found["note"]
