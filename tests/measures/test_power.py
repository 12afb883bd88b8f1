import numpy as np
import pytest

from rembrandt_featgen.measures import bootstrap
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
