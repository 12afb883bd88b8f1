import numpy as np
import pytest
from scipy import stats

from rembrandt_featgen.measures import bootstrap, power
from rembrandt_featgen.measures.out_of_fold import OutOfFold
from rembrandt_featgen.measures.power import detection_power
from tests.measures.cohorts import cohort, of_positive


def test_power_grows_with_patients_and_is_the_level_for_an_answer_that_knows_nothing():
    labels, arm = cohort(np.random.default_rng(7), patients=200, effect=0.5)
    found = [detection_power(labels, arm, n, simulations=400, draws=400) for n in (10, 40, 160)]
    assert found[0] < found[1] < found[2]
    assert found[2] > 0.95
    coin = of_positive(np.tile([0.9, 0.9, 0.1, 0.1], 50)[None])  # right in half of each class
    assert detection_power(labels, coin, 60, simulations=1000, draws=400) < 0.025 + 3 * 0.005
    assert (
        detection_power(labels, of_positive(np.ones((1, 200))), 60, simulations=50, draws=50) == 0.0
    )  # always positive


def test_power_is_the_share_of_cohorts_whose_interval_is_above_chance():
    generator = np.random.default_rng(8)
    labels, arm = cohort(generator, patients=60, effect=0.45)
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    detected = 0
    for seed in range(300):
        rows = np.concatenate([generator.choice(positive, 15), generator.choice(negative, 15)])
        drawn = {"arm": OutOfFold(arm.probabilities[:, rows])}
        detected += (
            bootstrap.bootstrap_arms(labels[rows], drawn, draws=200, seed=seed)["arm"]["balanced_accuracy"][1] > 0.5
        )
    assert 0.2 < detected / 300 < 0.9
    assert detection_power(labels, arm, 30) == pytest.approx(detected / 300, abs=3 * 0.03)


def test_a_cohort_too_small_is_refused():
    labels, arm = cohort(np.random.default_rng(0), patients=8)
    with pytest.raises(ValueError, match="3 patients in the proportions given are 1, 2 of the classes"):
        detection_power(labels, arm, 3)


def test_chance_of_three_classes_is_a_third():
    labels = np.repeat([0, 1, 2], 40)
    coin = OutOfFold(np.tile(np.eye(3), (40, 1))[None])  # right in a third of each class
    assert detection_power(labels, coin, 60, simulations=300, draws=300) < 0.025 + 3 * 0.01
    half = np.where(np.arange(120)[:, None] % 2, np.eye(3)[labels], coin.probabilities[0])
    assert detection_power(labels, OutOfFold(half[None]), 60, simulations=300, draws=300) > 0.9
    with pytest.raises(ValueError, match="4 patients in the proportions given are 2, 1, 1 of the classes"):
        detection_power(labels, coin, 4)


def test_power_of_a_difference_is_that_of_simulated_studies():
    generator = np.random.default_rng(0)
    errors = 0.03 * np.sqrt(generator.chisquare(12, 20000) / 12)
    found = (generator.normal(0.08, 0.03, 20000) / errors > stats.t.ppf(0.975, 12)).mean()
    assert power.difference_power(0.08, 0.03, 12) == pytest.approx(found, abs=0.01)
    assert power.difference_power(0.08, 0.03) == pytest.approx(stats.norm.cdf(0.08 / 0.03 - 1.96), abs=0.001)
    assert power.difference_power(0.5, 0.001, 1.0) == pytest.approx(1.0)  # where the noncentral t has no value
    assert power.difference_power(power.detectable(0.03, [500, 500]), 0.03, 499) == pytest.approx(0.8, abs=0.005)


def test_expected_error_is_hanley_and_mcneils():
    """51 + 58 patients, AUROC 0.893: 0.032 by their table of 1982, of which the difference of two has a part."""
    one = power.expected_error([51, 58], auroc=0.893, correlation=0.5)
    assert one == pytest.approx(0.032, abs=0.001)
    assert power.expected_error([51, 58], auroc=0.893, correlation=0.875) == pytest.approx(one / 2)
    assert np.isnan(power.expected_error([51, 1]))
    three = power.expected_error([30, 30, 10])
    assert three == power.expected_error([10, 60])  # the class that is known least
    assert power.half_width(0.03, [20, 50]) == pytest.approx(0.03 * stats.t.ppf(0.95, 19))
