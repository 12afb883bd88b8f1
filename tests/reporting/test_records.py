import math

import pytest

from rembrandt_featgen.reporting import records
from tests.reporting import fake_study


def test_arms_come_by_kind_and_else_in_their_order():
    rows = [{"arm": arm, "kind": kind} for arm, kind in (("a", "generative"), ("b", "?"), ("c", "none"), ("d", "none"))]
    assert [row["arm"] for row in records.arms({"arms": rows})] == ["c", "d", "a", "b"]
    assert records.arms({"arms": rows}, "slice") == []


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0001, "<0.001"), (0.0005, "0.001"), (0.0494, "0.049"), (1, "1.000"), (None, ""), (math.nan, "")],
)
def test_p_is_never_zero(p, text):
    assert records.p_text(p) == text


def test_names_tell_classifiers_apart_only_where_there_are_several():
    rows = [{"arm": "a", "classifier": "cnn"}, {"arm": "a", "classifier": "linear"}]
    assert records.name(rows[0], rows) == "a, cnn"
    assert records.name(rows[0], rows[:1]) == "a"


@pytest.mark.parametrize(
    ("key", "value"), [("accuracy_HGG", 0.7), ("acceptance.LGG", 0.4), ("mcc", 0.1), ("brier", None), ("ece", None)]
)
def test_values_of_all_depths(key, value):
    row = {"accuracy": {"HGG": 0.7}, "acceptance": {"LGG": 0.4}, "mcc": 0.1, "brier": math.inf, "ece": True}
    assert records.value(row, key) == value


@pytest.mark.parametrize("bounds", [None, [0.1], [0.1, None], [0.1, math.nan], "ab", 3, [[1], [2]]])
def test_half_an_interval_is_none(bounds):
    assert records.pair(bounds) is None


def test_best_total_and_deviation():
    rows = [{"auroc": None}, {"auroc": 0.7, "balanced_accuracy": 0.5}, {"auroc": 0.6, "balanced_accuracy": 0.9}]
    assert records.best(rows) == rows[1]
    assert records.best([{}]) is None
    assert (records.total({"HGG": 3, "LGG": 4}), records.total({"HGG": 3, "LGG": None}), records.total(None)) == (
        7,
        None,
        None,
    )
    assert records.deviation([1.0, 2.0, 3.0]) == 1.0
    assert records.deviation([1.0]) is records.deviation([1.0, None]) is records.deviation(None) is None


def test_each_classifier_has_its_reference():
    reference = {"arm": "none", "by_classifier": {"cnn": "none", "mlp": "plain"}}
    report = {"reference": reference, "arms": []}
    rows = [{"arm": arm, "classifier": name} for name in ("cnn", "mlp", "ridge") for arm in ("none", "plain", None)]
    found = [(row["classifier"], row["arm"]) for row in rows if records.is_reference(report, row)]
    assert found == [("cnn", "none"), ("mlp", "plain"), ("ridge", "none")]
    assert not any(records.is_reference({}, row) for row in rows)


def test_headings_name_the_classifier_only_where_there_are_several():
    report = fake_study.make(classifiers=("mlp", "cnn"), reference={"classifier": "cnn"})
    rows = records.arms(report)
    found = records.headed(report, rows)
    assert list(found) == [
        f"{classifier}: {kind}"
        for classifier in ("cnn", "mlp")
        for kind in ("no augmentation", "classical", "generative")
    ]
    assert {row["classifier"] for row in found["mlp: classical"]} == {"mlp"}
    assert sum(map(len, found.values())) == len(rows) == 30
    alone = [row for row in rows if row["classifier"] == "mlp"]
    assert list(records.headed(report, alone)) == ["No augmentation", "Classical", "Generative"]


def test_parts_of_splits():
    splits = {"train": None, "validation": {"volumes": None}, "test": {"volumes": {"dice": {}}, "a": 1}}
    assert records.parts(splits, "volumes") == {"test": {"dice": {}}}
    assert records.having(splits, "b", "volumes") == {"test": splits["test"]}
    assert records.parts(None, "volumes") == records.having(None, "volumes") == {}


def test_named_values_leave_out_what_is_none():
    assert records.named_values([["A", 0.5], ["B", None], ["C"], 7, ["D", math.nan]]) == [("A", 0.5)]
    assert records.named_values(None) == []


def test_main_settings_are_those_in_use():
    settings = {"image_size": 128, "normalise": "auto", "crop": "auto", "fit": "resize", "unet_epochs": 30, "seed": 3}
    keys = ("seed", "image_size", "normalise", "crop", "fit", "unet_epochs", "unet_steps", "tap")
    prepared = {"size": 48, "normalise": "volume", "crop": "foreground", "fit": "resize"}
    report = {"settings": {**settings, "unet_steps": 3000}, "cohort": {"preparation": prepared}}
    assert records.main_settings(report, keys) == {
        "seed": 3,
        "image_size": "48 (--image_size=128)",
        "normalise": "volume (--normalise=auto)",
        "crop": "foreground (--crop=auto)",
        "fit": "resize",
        "unet_steps": 3000,
    }
    assert records.main_settings({"settings": {**settings, "unet_steps": 0}}, keys) == settings
    assert records.main_settings({"settings": None}, keys) == {}
