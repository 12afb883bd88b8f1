import dataclasses

import numpy as np
import pytest
from sklearn import metrics

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import json_files
from rembrandt_featgen.evaluation import arm_table, out_of_fold_runs
from rembrandt_featgen.evaluation.predictions import Samples, rows
from tests.evaluation.simulated import runs_of

CLASSES = Classes.of(("LGG", "HGG"))


def test_table_compares_with_the_best_arm_that_generates_nothing():
    runs = {"none": runs_of(24), "smote": runs_of(28), "acgan": runs_of(39)}
    kinds = {"none": "none", "smote": "classical", "acgan": "generative"}
    rows, reference = arm_table.table(runs, kinds, classes=CLASSES, draws=500, seed=0)
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
    wanted = metrics.balanced_accuracy_score(runs["none"][0].labels, runs["none"][0].probabilities.argmax(axis=1))
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
    rows, _ = arm_table.table(
        runs, {"none": "none", "acgan": "generative", "cgan": "generative"}, classes=CLASSES, draws=500, seed=0
    )
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
    rows, _ = arm_table.table({"none": runs_of(30)}, {"none": "none"}, classes=CLASSES, draws=200, seed=0)
    assert arm_table.verdict(rows) == "No generative arm was tested."
    few = [dataclasses.replace(run, **{k: v[:6] for k, v in vars(run).items()}) for run in runs_of(30)]  # one each
    rows, _ = arm_table.table(
        {"none": few, "acgan": few}, {"none": "none", "acgan": "generative"}, classes=CLASSES, draws=200, seed=0
    )
    assert arm_table.verdict(rows).startswith("Cannot tell")


def test_adding_patients_adds_power():
    runs = runs_of(27)
    assert arm_table.power(runs, 20) < arm_table.power(runs, 80) < arm_table.power(runs, 300) <= 1.0


def test_interval_of_balanced_accuracy_holds_its_value():
    value, (low, high) = arm_table.balanced_accuracy(runs_of(30), draws=500, seed=0)
    assert value == pytest.approx(0.75)
    assert 0.55 < low < value < high < 0.92


def test_three_classes_have_a_table_and_a_verdict():
    classes = Classes.of(("glioma", "meningioma", "pituitary"))
    generator, labels = np.random.default_rng(0), np.arange(45) % 3

    def runs(gain):
        """Two runs of patients with two slices, decided relative to an uneven prior."""
        parts = []
        for seed in range(2):
            p = generator.dirichlet(np.ones(3), 90) + gain * np.eye(3)[np.repeat(labels, 2)]
            samples = Samples(np.repeat([f"P{i}" for i in range(45)], 2), np.tile([0, 1], 45), np.repeat(labels, 2))
            table = rows(
                samples,
                p / p.sum(axis=1, keepdims=True),
                classes=classes,
                arm="x",
                kind="none",
                classifier="mlp",
                thresholds=[0.4, 0.3, 0.3],
                seed=seed,
            )
            parts.append(out_of_fold_runs.gather(table))
        return parts

    each = {"none": runs(0.0), "acgan": runs(1.5)}
    found, reference = arm_table.table(
        each, {"none": "none", "acgan": "generative"}, classes=classes, draws=300, seed=0
    )
    assert reference == "none"
    none, acgan = (row for row in found if row["unit"] == "patient")
    assert none["p_against_chance"] > 0.01 > 0.001 > acgan["p_against_chance"]
    assert acgan["n"] == {"glioma": 15, "meningioma": 15, "pituitary": 15}
    run = out_of_fold_runs.by_patient(each["acgan"][0])
    wanted = metrics.balanced_accuracy_score(run.labels, (run.probabilities / [0.4, 0.3, 0.3]).argmax(axis=1))
    assert acgan["by_seed"][0] == pytest.approx(wanted)
    assert set(acgan["auroc_by_class"]) == set(classes.names)
    assert arm_table.verdict(found).startswith("Generated features helped")
    assert 0.9 < arm_table.power(each["acgan"], 60) <= 1.0
    json_files.plain(found)
