import numpy as np
import pytest
from scipy import stats

from rembrandt_featgen.metrics import statistics


def test_exact_interval_of_the_papers_patients():
    low, high = statistics.exact_interval(7, 11)  # PAPER.md: 0.31 to 0.89
    assert (round(low, 2), round(high, 2)) == (0.31, 0.89)


@pytest.mark.parametrize(("right", "n"), [(0, 5), (5, 5), (3, 10)])
def test_exact_interval_agrees_with_beta_quantiles(right, n):
    low, high = statistics.exact_interval(right, n)
    assert low == pytest.approx(stats.beta.ppf(0.025, right, n - right + 1) if right else 0.0)
    assert high == pytest.approx(stats.beta.ppf(0.975, right + 1, n - right) if right < n else 1.0)


def test_exact_interval_of_nothing_is_undefined():
    assert np.isnan(statistics.exact_interval(0, 0)).all()


def mean_of(values):
    return lambda rows: {"mean": float(np.mean(values[rows]))}


def test_bootstrap_of_independent_samples_agrees_with_scipy():
    values = np.random.default_rng(0).normal(size=40)
    low, high = statistics.bootstrap(np.arange(40).astype(str), np.zeros(40), mean_of(values), 4000)["mean"]
    wanted = stats.bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", random_state=1
    ).confidence_interval
    assert (low, high) == pytest.approx((wanted.low, wanted.high), abs=0.03)


def test_slices_of_one_patient_do_not_narrow_the_interval():
    patients, values = np.arange(20).astype(str), np.random.default_rng(0).normal(size=20)
    one = statistics.bootstrap(patients, np.zeros(20), mean_of(values), 500)["mean"]
    many = statistics.bootstrap(np.repeat(patients, 30), np.zeros(600), mean_of(np.repeat(values, 30)), 500)["mean"]
    assert one == pytest.approx(many)


def test_bootstrap_keeps_the_number_of_patients_of_each_grade():
    labels = np.array([0, 0, 1, 1, 1])
    seen = set()
    statistics.bootstrap(np.arange(5).astype(str), labels, lambda rows: seen.add(labels[rows].sum()) or {"x": 0.0}, 100)
    assert seen == {3}


def test_one_patient_of_a_grade_gives_no_interval():
    found = statistics.bootstrap(np.array(["a", "a", "b"]), np.array([0, 0, 1]), mean_of(np.arange(3.0)), 100)
    assert np.isnan(found["mean"]).all()


def test_same_seed_same_interval():
    values = np.random.default_rng(0).normal(size=10)
    first, second = (statistics.bootstrap(np.arange(10), np.zeros(10), mean_of(values), 200, seed=3) for _ in range(2))
    assert first == second
