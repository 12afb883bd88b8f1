"""Errors against what new cohorts do; each is wrong if training patients were left out."""

import numpy as np
import pytest

from rembrandt_featgen.measures import differences, few_shot_auroc, few_shot_errors
from rembrandt_featgen.measures.few_shot_errors import Training
from tests.measures import few_shot_worlds

LABELS = np.repeat([0, 1], [40, 20])


def _study(seed, shots=3):
    random = np.random.default_rng(seed)
    test, train = few_shot_worlds.tested(random, shots=shots)
    drawn = few_shot_auroc.resamples(LABELS, draws=len(test), times=200, seed=seed)
    parts = few_shot_auroc.auroc(few_shot_worlds.scores(random, test, train, LABELS), drawn)
    return parts, Training(train, few=1), drawn


def test_the_error_is_that_of_new_cohorts_only_with_training_patients():
    studies = [_study(seed) for seed in range(150)]
    deviation = np.std([parts.tested[0] for parts, _, _ in studies])
    errors = {
        name: np.sqrt(
            np.mean(
                [
                    few_shot_errors.estimate(
                        parts, training._replace(trained=training.trained & there), drawn
                    ).difference.error
                    ** 2
                    for parts, training, drawn in studies
                ]
            )
        )
        for name, there in (("both", True), ("tested alone", False))
    }
    assert 0.85 < errors["both"] / deviation < 1.3, (errors, deviation)
    assert errors["tested alone"] / deviation < 0.8, (errors, deviation)


def test_values_are_as_wide_as_the_interval_and_begin_with_the_value():
    parts, training, drawn = _study(0)
    found = few_shot_errors.estimate(parts, training, drawn)
    low, high = found.difference.interval()
    assert found.values[0] == pytest.approx(found.difference.value) == pytest.approx((low + high) / 2)
    assert np.std(found.values) * 2 * 1.96 == pytest.approx(high - low, rel=0.02)


def test_a_pipeline_does_not_differ_from_itself():
    parts, training, drawn = _study(0)
    found = few_shot_errors.difference(parts, parts, training=training, drawn=drawn)
    assert found.difference.value == found.difference.error == 0 and differences.word(found.difference) == "equivalent"


def test_the_chance_of_draws_is_in_the_error():
    parts, training, drawn = _study(0)
    shaken = parts._replace(effects=parts.effects + np.random.default_rng(0).normal(0, 1, len(parts.effects)))
    error = few_shot_errors.estimate(
        shaken, training._replace(trained=training.trained & False), drawn
    ).difference.error
    assert error > 0.8 / np.sqrt(len(parts.effects))


def test_the_influence_of_a_planted_patient_is_seen():
    random, units = np.random.default_rng(0), np.repeat([0, 1], [40, 20])
    _, train = few_shot_worlds.tested(random, draws=400)
    effects = 0.2 * train[:, 45] + random.normal(0, 0.01, 400)
    found = few_shot_errors._of_few(effects - effects.mean(), Training(train, few=1), units)
    assert found.argmax() == 45 and found[45] == pytest.approx(0.2 * 3 / 20, rel=0.2) and not found[:40].any()


def test_nothing_but_noise_leaves_little_influence():
    random, units = np.random.default_rng(0), np.repeat([0, 1], [40, 20])
    sizes = []
    for _ in range(50):
        _, train = few_shot_worlds.tested(random)
        effects = random.normal(0, 1, few_shot_worlds.DRAWS)
        sizes.append(np.sum(few_shot_errors._of_few(effects, Training(train, few=1), units) ** 2))
    expected = 20 * 0.15 * 0.85 * (19 / 17) ** 2 / few_shot_worlds.DRAWS  # of raw covariances
    assert np.mean(sizes) < 0.35 * expected


def test_an_interval_near_one_stays_below_it():
    low, high = few_shot_errors.interval(differences.Difference(0.98, 0.02, 20.0, trainings=60))
    assert 0.8 < low < 0.95 and 0.98 < high < 1.0
    assert few_shot_errors.interval(differences.Difference(1.0, 0.0, 20.0, trainings=60)) == (1.0, 1.0)


@pytest.mark.parametrize(("draws", "seen"), [(400, True), (20, False)])
def test_what_other_classes_do_beyond_how_they_are_tested_takes_many_draws(draws, seen):
    random, units = np.random.default_rng(0), np.repeat([0, 1], [40, 20])
    _, train = few_shot_worlds.tested(random, draws=draws)
    effects = 0.1 * train[:, :5].sum(axis=1) + random.normal(0, 0.2, draws)
    influence = np.eye(60)[30]  # of one that is no help as a trained one
    found = few_shot_errors._beyond(effects, [influence], training=Training(train, few=1), units=units)
    assert bool(found.any()) == seen and not found[40:].any() and abs(found[30]) < 1e-9
    assert not seen or found[:5].min() > np.abs(found[5:40]).mean()
