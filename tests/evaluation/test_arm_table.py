import dataclasses

import numpy as np
import pytest
from sklearn import metrics

from rembrandt_featgen.evaluation import arm_table


def predictions(arm, kind, probabilities, grades, threshold=0.5, slices=1, chosen=True, amount=""):
    """One row for each slice of patients P0, P1, ..., all of a patient alike."""
    return [
        arm_table.Prediction(f"P{i}", k, grade, arm, kind, amount, chosen, threshold, float(p))
        for i, (p, grade) in enumerate(zip(probabilities, grades))
        for k in range(slices)
    ]


GRADES = ["HGG", "LGG"] * 20


def runs_of(right, seeds=2):
    """Runs in which the first `right` patients are told right and the others wrong."""
    truth = np.array([grade == "HGG" for grade in GRADES])
    said = np.where(np.arange(40) < right, truth, ~truth)
    return [
        arm_table.gather(predictions("x", "none", np.where(said, 0.9, 0.1), GRADES, slices=3)) for _ in range(seeds)
    ]


def test_predictions_survive_the_file(tmp_path):
    rows = predictions("smote", "classical", [0.25, 0.75], ["LGG", "HGG"], 0.4, 2, False, "0.5")
    arm_table.write_predictions(tmp_path / "p.csv", rows)
    assert arm_table.read_predictions(tmp_path / "p.csv") == rows


def test_a_slice_tested_twice_is_refused():
    rows = predictions("a", "none", [0.2, 0.8], ["LGG", "HGG"])
    with pytest.raises(RuntimeError, match="slice 0 of patient P1 was tested in two folds"):
        arm_table.gather([*rows, rows[1]])


def test_by_patient_takes_the_mean_of_log_odds_and_the_folds_threshold():
    rows = [
        arm_table.Prediction("A", k, "HGG", "a", "none", "", True, 0.3, p) for k, p in enumerate((0.8, 0.2, 0.5))
    ] + predictions("a", "none", [0.9], ["LGG"], 0.6)
    found = arm_table.by_patient(arm_table.gather(rows))
    np.testing.assert_array_equal(found.patients, ["A", "P0"])
    np.testing.assert_allclose(found.probabilities, [0.5, 0.9])  # log-odds of 0.8 and 0.2 cancel
    np.testing.assert_array_equal(found.thresholds, [0.3, 0.6])
    np.testing.assert_array_equal(found.labels, [1, 0])


def test_table_compares_with_the_best_arm_that_generates_nothing():
    runs = {"none": runs_of(24), "smote": runs_of(28), "acgan": runs_of(39)}
    kinds = {"none": "none", "smote": "classical", "acgan": "generative"}
    rows, reference = arm_table.table(runs, kinds, draws=500, seed=0)
    assert reference == "smote"
    patients = {row["arm"]: row for row in rows if row["unit"] == "patient"}
    assert list(patients) == ["none", "smote", "acgan"]
    assert patients["none"]["balanced_accuracy"] == pytest.approx(24 / 40)
    assert patients["none"]["n"] == {"LGG": 20, "HGG": 20}
    assert "difference_to_best_classical" not in patients["smote"]
    found = patients["acgan"]["difference_to_best_classical"]
    assert found["against"] == "smote"
    assert found["difference"] == pytest.approx(11 / 40)
    assert found["ci95"][0] > 0
    assert found["p_value"] == found["p_adjusted"] == pytest.approx(2 / 2**11)  # 11 patients differ, all one way
    assert {row["n"]["HGG"] for row in rows if row["unit"] == "slice"} == {60}
    wanted = metrics.balanced_accuracy_score(runs["none"][0].labels, runs["none"][0].probabilities > 0.5)
    assert next(row for row in rows if row["unit"] == "slice")["balanced_accuracy"] == pytest.approx(wanted)
    assert patients["acgan"]["p_against_chance"] < 0.001 < 0.05 < patients["none"]["p_against_chance"]


@pytest.mark.parametrize(
    ("right", "start"),
    [
        ((28, 39, 27), "Generated features helped"),
        ((28, 30, 27), "No evidence that generated features helped"),
        ((30, 10, 8), "Generated features harmed"),
        ((30, 10, 29), "No evidence that generated features helped"),
    ],
)
def test_verdict_follows_its_rule(right, start):
    runs = dict(zip(("none", "acgan", "cgan"), map(runs_of, right)))
    rows, _ = arm_table.table(runs, {"none": "none", "acgan": "generative", "cgan": "generative"}, 500, 0)
    assert arm_table.verdict(rows).startswith(start)


def test_harm_is_not_said_where_luck_among_many_arms_would_do():
    """One arm of twelve at p = 0.01 is what chance gives: 12 times 0.01 is more than 0.05."""
    found = {"against": "lucky", "difference": -0.1, "ci95": [-0.2, -0.01], "p_value": 0.01, "p_adjusted": 0.01}
    common = {"unit": "patient", "balanced_accuracy": 0.5, "n": {"HGG": 20, "LGG": 20}}
    generative = {**common, "arm": "acgan", "kind": "generative", "difference_to_best_classical": found}
    others = [{**common, "arm": name, "kind": "classical"} for name in ("lucky", *map(str, range(11)))]
    assert arm_table.verdict([*others, generative]).startswith("No evidence")
    assert arm_table.verdict([*others[:4], generative]).startswith("Generated features harmed")


def test_verdict_without_generators_or_patients():
    rows, _ = arm_table.table({"none": runs_of(30)}, {"none": "none"}, 200, 0)
    assert arm_table.verdict(rows) == "No generative arm was tested."
    few = [dataclasses.replace(run, **{k: v[:6] for k, v in vars(run).items()}) for run in runs_of(30)]  # one each
    rows, _ = arm_table.table({"none": few, "acgan": few}, {"none": "none", "acgan": "generative"}, 200, 0)
    assert arm_table.verdict(rows).startswith("Cannot tell")


def test_adding_patients_adds_power():
    runs = runs_of(27)
    assert arm_table.power(runs, 20) < arm_table.power(runs, 80) < arm_table.power(runs, 300) <= 1.0


def test_interval_of_balanced_accuracy_holds_its_value():
    value, (low, high) = arm_table.balanced_accuracy(runs_of(30), 500, 0)
    assert value == pytest.approx(0.75)
    assert 0.55 < low < value < high < 0.92
