import numpy as np
import pytest
from scipy import integrate, stats

from rembrandt_featgen.measures import differences, pooled_differences, pooled_sampling
from rembrandt_featgen.measures.differences import Difference
from rembrandt_featgen.measures.pooled_sampling import Prior


def made(values, error=0.02, degrees=30.0):
    return [Difference(value, error, degrees, 5) for value in values]


def folds():
    """Differences in the 10 folds of 12 data sets, as they were given to baycomp 1.0.3 with pystan 3.10."""
    random = np.random.default_rng(0)
    true = 0.02 + 0.02 * random.standard_t(5, 12)
    shared, alone = random.normal(size=(12, 1)), random.normal(size=(12, 10))
    return true[:, None] + 0.04 * (np.sqrt(0.1) * shared + np.sqrt(0.9) * alone)


def test_agrees_with_figures_of_baycomp():
    """HierarchicalTest.sample(0, x, 0.01, nsamples=5000), 4 chains: delta0, its quantiles, std0, the next data set."""
    found = pooled_differences.pool([pooled_differences.of_folds(x, 0.1) for x in folds()], margin=0.01, prior=Prior(0))
    assert found.converged
    assert found.mean == pytest.approx(0.02283, abs=0.001)
    assert found.interval == pytest.approx((0.00209, 0.04381), abs=0.0015)
    assert found.inner == pytest.approx((0.00595, 0.03983), abs=0.0015)
    assert found.spread == pytest.approx(0.02478, abs=0.0015)
    assert (found.below, found.within, found.above) == pytest.approx((0.1209, 0.1850, 0.6941), abs=0.015)


def test_agrees_with_baycomp_itself(tmp_path, monkeypatch):
    """Where it is installed with pystan >= 3.4, which compiles for minutes: pip install baycomp pystan."""
    multiple = pytest.importorskip("baycomp.multiple")
    pytest.importorskip("stan")
    monkeypatch.chdir(tmp_path)  # baycomp leaves a pickle where it runs
    x = folds()
    theirs = multiple.HierarchicalTest.sample(np.zeros_like(x), x, 0.01, nsamples=4000).mean(axis=0)
    found = pooled_differences.pool([pooled_differences.of_folds(row, 0.1) for row in x], margin=0.01, prior=Prior(0))
    assert (found.below, found.within, found.above) == pytest.approx(theirs, abs=0.02)


def test_folds_leave_the_t_distribution_of_corani_and_benavoli():
    x = np.array([0.01, 0.05, -0.02, 0.03])
    matrix = 0.25 + 0.75 * np.eye(4)

    def density(mean):  # the deviation integrated out by quadrature
        gap = x - mean
        squares = gap @ np.linalg.solve(matrix, gap)
        return integrate.quad(lambda s: s**-4.0 * np.exp(-squares / (2 * s * s)), 1e-6, np.inf, points=None)[0]

    found = pooled_differences.of_folds(x, 0.25)
    ours = [stats.t.pdf((mean - found.value) / found.error, found.degrees) for mean in (0.0, 0.05, 0.1)]
    theirs = [density(mean) for mean in (0.0, 0.05, 0.1)]
    assert np.divide(ours, ours[0]) == pytest.approx(np.divide(theirs, theirs[0]), rel=1e-3)
    with pytest.raises(ValueError, match="3 folds"):
        pooled_differences.of_folds(x[:2], 0.25)


def test_agrees_with_quadrature():
    """Errors and data sets normal, so that mu0 and the spread are all there is to integrate."""
    values, error, prior = np.array([0.05, 0.0, 0.08, 0.03]), 0.02, Prior(0.05)
    spreads = np.linspace(1e-5, 0.6, 6001)
    variances = error**2 + spreads**2
    weights = stats.t.pdf(spreads / prior.spread, 3) * variances ** (-(len(values) - 1) / 2)
    weights *= np.exp(-np.sum((values - values.mean()) ** 2) / (2 * variances))
    weights /= weights.sum()
    found = pooled_differences.pool(made(values, error, np.inf), prior=prior, seed=1)
    deviation = np.sqrt(np.sum(weights * variances) / len(values))
    assert found.mean == pytest.approx(0.04, abs=0.002)
    assert (found.interval[1] - found.interval[0]) / 3.92 == pytest.approx(deviation, rel=0.25)  # tails of t are wider
    assert found.spread == pytest.approx(spreads[np.searchsorted(weights.cumsum(), 0.5)], rel=0.2)


def test_words():
    assert pooled_differences.pool(made([0.1, 0.12, 0.08, 0.1, 0.11])).word == "helped"
    assert pooled_differences.pool(made([-0.1, -0.12, -0.08, -0.1, -0.11])).word == "harmed"
    assert pooled_differences.pool(made([0.0, 0.01, -0.01, 0.0, 0.005], 0.01)).word == "equivalent"
    mixed = pooled_differences.pool(made([0.15, -0.1, 0.2, -0.05, 0.0]))
    assert mixed.word == "undecided" and mixed.below > 0.2 and mixed.above > 0.3
    assert pooled_differences.pool(made([0.2, 0.2], 0.001)).word == "undecided"  # two data sets


def test_a_family_has_wider_bounds_and_the_seed_decides():
    found = made([0.05, 0.06, 0.03, 0.05])
    alone, of_ten = (pooled_differences.pool(found, family=family) for family in (1, 10))
    assert alone.bounds == alone.interval == of_ten.interval
    assert of_ten.bounds[0] < alone.bounds[0] < alone.bounds[1] < of_ten.bounds[1]
    assert pooled_differences.pool(found) == alone != pooled_differences.pool(found, seed=1)
    assert alone.below + alone.within + alone.above == pytest.approx(1.0)
    assert alone.true[2][0] > 0.03  # drawn to the others


def test_chains_that_did_not_converge_are_undecided(monkeypatch):
    for name, few in (("_DRAWS", 8), ("_WARMUP", 0), ("_CHAINS", 2)):
        monkeypatch.setattr(pooled_differences, name, few)
    found = pooled_differences.pool(made([0.1, 0.12, 0.08, 0.1]))
    assert not found.converged and found.word == "undecided"


def test_rows_of_the_same_patients_are_no_more_than_one():
    one = Difference(0.02, 0.03, 12.0, 5)
    assert pooled_differences.together([one] * 4) == pytest.approx(one)
    apart = pooled_differences.together([one, one._replace(value=0.04, degrees=8.0)], correlation=0.0)
    assert apart == pytest.approx((0.03, 0.03 / np.sqrt(2), 8.0, 5))


def test_differences_without_an_error_are_refused():
    for found in ([], made([0.1, np.nan]), made([0.1], np.nan)):
        with pytest.raises(ValueError, match="finite error"):
            pooled_differences.pool(found)


def test_intervals_hold_the_mean_where_data_sets_differ():
    """30 studies of five data sets each; an analysis that thinks they are alike misses far more often."""
    random = np.random.default_rng(0)
    values = 0.06 + 0.05 * random.standard_t(5, (60, 5)) + 0.02 * random.normal(size=(60, 5))
    errors, degrees = np.full_like(values, 0.02), np.full_like(values, 30.0)
    drawn = pooled_sampling.sample(
        values, errors, degrees, prior=Prior(), seed=0, chains=4, draws=250, warmup=60
    ).mean.reshape(60, -1)
    low, high = np.quantile(drawn, [differences.LEVEL / 2, 1 - differences.LEVEL / 2], axis=1)
    fixed = np.abs(values.mean(axis=1) - 0.06) < 1.96 * 0.02 / np.sqrt(5)
    assert np.mean((low < 0.06) & (high > 0.06)) > 0.9 > 0.7 > fixed.mean()
