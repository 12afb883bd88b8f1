"""The checks of words and intervals, and studies in which each fails; `stages.selfcheck` runs the large ones."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from rembrandt_featgen.evaluation import contrasts, error_rates, self_checks, simulated_studies
from rembrandt_featgen.evaluation.error_rates import Said
from rembrandt_featgen.evaluation.simulated_studies import AGAIN, PLANTED, World
from rembrandt_featgen.measures import bootstrap, differences

SMALL = World(patients=(16, 10), trainings=2, classifiers=("ridge",))


def test_simulated_studies_are_studies_of_known_truth():
    first, second = simulated_studies.simulate(dataclasses.replace(SMALL, arm=PLANTED, planted=30), [0, 1])
    table = first.predictions
    assert len(table) == 26 * 2 * 2  # patients, divisions, arms
    assert {(kind, arm) for kind, arm in zip(table.kind, table.arm)} == {("none", "none"), ("generative", PLANTED)}
    assert len(contrasts.runs_of(table.select(arm="none"))) == 2
    assert not np.array_equal(first.predictions.probabilities, second.predictions.probabilities)
    (again,) = simulated_studies.simulate(dataclasses.replace(SMALL, arm=PLANTED, planted=30), [1])
    np.testing.assert_allclose(again.predictions.probabilities, second.predictions.probabilities, atol=1e-6)
    without, difference = simulated_studies.truth(first)
    of_new = [
        roc_auc_score(run.labels, run.probabilities[:, 1])
        for run in contrasts.runs_of(contrasts.choose(first.fresh, False))
    ]
    assert len(of_new) == 5 and len(first.fresh) == 1000 * 5 * 2  # each fold is a training that predicts all of them
    assert without == pytest.approx(np.mean(of_new))
    assert 0 < difference < 0.2  # more real patients help


def test_a_hold_out_tests_new_patients():
    (study,) = simulated_studies.simulate(dataclasses.replace(SMALL, plan="hold-out", tested=30), [3])
    assert len(study.predictions) == 60 * 2 * 2
    assert set(study.predictions.seed) == {study.predictions.seed.min(), study.predictions.seed.min() + 1}


def test_words_that_are_allowed():
    assert error_rates.allowed(1000) == 62  # as a level of 5% has by chance


def said(**changes) -> Said:
    usual = Said("equivalent", ("equivalent",), 0.0, 0.02, -0.04, 0.04, -0.1, 0.1, 0.06, 0.7, 0.6, 0.8, 0.0, 0.7)
    return dataclasses.replace(usual, **changes)


def test_rates_by_hand():
    found = error_rates.rates(
        [
            said(true_difference=0.02, difference=0.03, error=0.01),
            said(word="helped", of_classifiers=("undecided", "helped"), low=0.02, high=0.08, true_difference=0.04),
            said(word="undecided", corrected_low=0.05, arm_low=0.75),
        ]
    )
    assert found.words == {"equivalent": 1, "helped": 1, "undecided": 1}
    assert (found.false_words, found.of_classifiers, found.power()) == (1, 1, 1 / 3)
    assert found.truth == pytest.approx(0.02) and found.mean == pytest.approx(0.01)
    assert found.covered == 1.0 and found.corrected == found.arm_covered == pytest.approx(2 / 3)
    assert found.error == pytest.approx(np.sqrt((0.01**2 + 2 * 0.02**2) / 3))
    own = [said(arm_low=0.75, arm_high=0.85, true_arm=0.8), said(true_arm=0.7)]
    assert error_rates.rates(own).arm_covered == 0.5 + 0.5 * (0.75 <= 0.75)
    assert error_rates.rates(own, given=True).arm_covered == 1.0


@pytest.mark.parametrize("check", ["same_arm", "no_information"])
def test_a_check_fails_where_words_are_false_or_intervals_short(check):
    wrong = said(word="harmed")
    good = self_checks.simulated(check, error_rates.rates([said()] * 95 + [wrong] * 5))
    few = self_checks.simulated(check, error_rates.rates([said()] * 20))
    assert few.passed is None and few.finding.startswith("too few studies to say; 40 are needed")
    assert self_checks.simulated(check, error_rates.rates([said()] * 16 + [wrong] * 4)).passed is False
    assert good.passed and "false words 5, 9 are allowed" in good.finding
    assert not self_checks.simulated(check, error_rates.rates([said()] * 90 + [wrong] * 10)).passed
    assert not self_checks.simulated(check, error_rates.rates([said()] * 92 + [said(low=0.01)] * 8)).passed
    assert not self_checks.simulated(check, error_rates.rates([said()] * 92 + [said(arm_low=0.71)] * 8)).passed


def test_a_benefit_that_is_never_found_fails():
    planted = said(word="undecided", difference=0.06, low=0.02, high=0.1, true_difference=0.06)
    helped = dataclasses.replace(planted, word="helped")
    found = self_checks.simulated("planted_benefit", error_rates.rates([planted] * 30 + [helped] * 70))
    assert found.passed and "power 0.70, expected 0.85" in found.finding
    assert not self_checks.simulated("planted_benefit", error_rates.rates([planted] * 80 + [helped] * 20)).passed
    harmed = dataclasses.replace(planted, word="harmed")
    assert not self_checks.simulated("planted_benefit", error_rates.rates([harmed] * 10 + [helped] * 90)).passed


def test_one_training_would_call_the_same_arm_better_or_worse(monkeypatch):
    """An arm against itself under other seeds: tested on the same patients, the chance of its training shows."""
    world = World(plan="hold-out", arm=AGAIN, trainings=1, tested=200, numbers=4, classifiers=("mlp",))
    monkeypatch.setattr(differences, "TRAININGS", 1)
    once = self_checks.simulated("same_arm", error_rates.measure(world, 30))
    assert once.passed is False, once
    monkeypatch.setattr(differences, "TRAININGS", 5)
    five = error_rates.measure(dataclasses.replace(world, trainings=5), 30)
    assert five.false_words <= error_rates.allowed(30)


def test_intervals_without_the_shared_training_patients_are_too_short(monkeypatch):
    world = World(arm=PLANTED, planted=20, classifiers=("ridge",), trainings=3)
    honest = error_rates.measure(world, 40)
    assert honest.arm_covered > 0.88
    spread = bootstrap.spread
    monkeypatch.setattr(bootstrap, "spread", lambda values, inflation=None: spread(values))
    assert error_rates.measure(world, 40).arm_covered < honest.arm_covered - 0.1


def test_what_was_said_is_kept(tmp_path, monkeypatch):
    found = error_rates.measure(SMALL, 3, tmp_path / "same")
    monkeypatch.setattr(simulated_studies, "simulate", None)
    assert error_rates.measure(SMALL, 3, tmp_path / "same") == found
    with pytest.raises(TypeError):  # another world is simulated anew
        error_rates.measure(dataclasses.replace(SMALL, shift=0.5), 3, tmp_path / "same")
