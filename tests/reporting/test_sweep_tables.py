import csv

import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.reporting import sweep_tables
from tests.reporting.fake_sweep import SWEPT, point

CLASSES = Classes.of(("LGG", "HGG"))


def read(name):
    return list(csv.DictReader(sweep_tables.tables(SWEPT, CLASSES)[name].splitlines()))


def test_table_has_a_row_for_each_point_and_arm():
    rows = read("sweep")
    assert [(row["axis"], row["value"], row["arm"]) for row in rows] == [
        ("implementation", "augmentation", "baseline"),
        ("tap", "conv5", "baseline"),
        ("tap", "uconv1", "baseline"),
        ("gan", "cgan", "augmented"),
        ("filters", "64", "augmented"),
        ("added", "0", "baseline"),
        ("added", "10", "augmented"),
        ("added", "900", ""),
        ("balancing", "4", "augmented"),
        ("added_HGG", "6", "augmented"),
        ("added_LGG", "7", "augmented"),
    ]
    assert rows[0]["unet_test_hard_dice"] == "0.7"
    assert [row["gan"] for row in rows[3:5]] == ["cgan", "acgan"]
    assert [row["paper_class_accuracy"] for row in rows[3:6]] == ["", "0.76", ""]
    ten = rows[6]
    assert [float(ten[name]) for name in ("difference", "difference_ci95_low", "p_adjusted")] == [0.1, 0.0, 0.4]
    assert float(ten["validation_patient_accuracy_HGG"]) == pytest.approx(0.8)
    assert float(ten["test_slice_accuracy_LGG_ci95_high"]) == pytest.approx(0.8)
    assert (ten["added_HGG"], ten["added_LGG"], ten["class_accuracy_by_discriminator"]) == ("5", "5", "0.8")
    assert rows[7]["note"] == "there are <80> synthetic features"
    assert {name for name, value in rows[7].items() if name.startswith("test_") and value} == set()


@pytest.mark.parametrize(
    ("settings", "paper"),
    [({}, 0.823), ({"gan": "infogan"}, None), ({"tap": "uconv1"}, None), ({"ngf": 64}, None), ({"gan": None}, None)],
)
def test_the_papers_class_accuracy_stands_beside_what_is_like_its_own(settings, paper):
    filters = point("filters", "512", [], filters=512)
    filters["settings"] |= settings
    assert sweep_tables.compared({"points": [filters]})["filters"][0]["paper"] == paper


def test_table_of_pretraining():
    rows = read("pretraining")
    assert [(row["start"], row["steps"], row["best_epoch"]) for row in rows] == [
        ("pre-trained", "14", "2"),
        ("scratch", "14", "2"),
    ]
    assert [row["test_hard_dice"] for row in rows] == ["0.7", "0.6"]
    assert [row["difference"] for row in rows] == ["0.1", ""]


def test_trials_have_the_same_settings_and_the_metrics_that_were_measured():
    found = sweep_tables.trials(SWEPT, CLASSES)
    assert list(found) == [
        "start=pre-trained",
        "start=scratch",
        "implementation=augmentation/baseline",
        "tap=conv5/baseline",
        "tap=uconv1/baseline",
        "gan=cgan/augmented",
        "filters=64/augmented",
        "added=0/baseline",
        "added=10/augmented",
        "balancing=4/augmented",
        "added_HGG=6/augmented",
        "added_LGG=7/augmented",
    ]
    assert len({tuple(settings) for settings, *_ in found.values()}) == 1
    settings, measured, curves = found["balancing=4/augmented"]
    assert settings == {
        "axis": "balancing",
        "start": "",
        "implementation": "correct",
        "tap": "conv5",
        "gan": "acgan",
        "filters": "64",
        "arm": "augmented",
        "added_HGG": 0,
        "added_LGG": 4,
    }
    assert measured["test/balanced_accuracy_per_patient"] == pytest.approx(0.6)
    assert measured["validation/patient_log_loss"] == 0.55
    assert measured["test/hard_dice"] == 0.7
    assert curves == {}  # those of the run's GAN
    assert found["filters=64/augmented"][2]["fake_class_accuracy"] == [0.5, 0.8]
    assert found["start=pre-trained"][1]["test/hard_dice"] == 0.7
    assert found["start=pre-trained"][2]["val_hard_dice"] == [0.4, 0.7]
