import numpy as np
import pytest

from rembrandt_featgen.evaluation import self_checks
from rembrandt_featgen.evaluation.studies import evaluate, table_of


def row(arm, value, half):
    return {
        "arm": arm,
        "classifier": "ridge",
        "unit": "patient",
        "auroc": value,
        "ci95": {"auroc": None if value is None else [value - half, value + half]},
    }


@pytest.mark.parametrize(
    ("value", "half", "passed"),
    [
        (0.6, 0.0907, True),  # p 0.03, of two pipelines 0.06 after Holm's adjustment
        (0.6, 0.0842, False),  # p 0.02
        (0.4, 0.0842, False),
        (None, None, True),
    ],
)
def test_random_labels_must_give_chance(value, half, passed):
    finding = self_checks.random_labels({"arms": [row("none", 0.5, 0.1), row("smote", value, half)]})
    assert finding.passed == passed
    assert ("smote (ridge) of 2" in finding.finding) != passed


@pytest.mark.parametrize("leak", [False, True])
def test_random_labels_tell_a_leak_from_honest_features(leak):
    """Labels that have nothing to do with the features, but for one that knows those of training and test patients."""
    random = np.random.default_rng(3)
    features, labels = random.normal(size=(80, 8)), random.permutation(np.arange(80) % 2)
    if leak:
        features[:, 5] += 2.0 * labels
    study = evaluate(features, labels, arms=["none"], classifiers=["ridge"], folds=4, bootstrap_draws=500)
    finding = self_checks.random_labels(study.report)
    assert finding.passed != leak, finding.finding


def features(n=24, d=10):
    random = np.random.default_rng(0)
    return table_of(20 + random.normal(size=(n, d)), np.arange(n) % 2, classes=("0", "1"))


def test_leaks_planted_in_features_are_caught():
    caught = self_checks.leaks_of_features(features())
    assert list(caught) == ["features of a patient under another name, rounded", "a column that copies the label"]
    assert all(how.startswith("caught") for how in caught.values())


@pytest.mark.parametrize(
    ("table", "missed"),
    [
        (features(d=3), "features of a patient under another name, rounded"),  # too few columns to tell
        (features(n=4), "a column that copies the label"),  # two patients of a class: chance could do that
    ],
)
def test_a_leak_that_nothing_names_fails_the_check(table, missed):
    caught = self_checks.leaks_of_features(table)
    assert caught[missed] == "" and not self_checks.planted_leaks(caught).passed


def test_without_the_warnings_no_leak_is_caught(monkeypatch):
    monkeypatch.setattr(self_checks.table_warnings, "warnings_of", lambda table: [])
    assert set(self_checks.leaks_of_features(features()).values()) == {""}


def test_every_leak_must_be_caught():
    assert self_checks.planted_leaks({"a": "caught", "b": "caught (3 patients named)"}).passed
    missed = self_checks.planted_leaks({"a": "caught", "b": ""})
    assert not missed.passed
    assert missed.finding == "a: caught; b: NOT caught"


@pytest.mark.parametrize(("low", "passed"), [(0.51, True), (0.5, False)])
def test_the_largest_cohort_must_show_the_signal(low, passed):
    sizes = [{"patients": n, "auroc": 0.7, "ci95": (bound, 0.9)} for n, bound in ((20, 0.3), (80, low))]
    finding = self_checks.planted_signal(sizes, 0.1)
    assert finding.passed == passed
    assert finding.finding.startswith(
        "difficulty 0.1, AUROC by number of patients to learn from: 20 patients: 0.70 (0.30"
    )
