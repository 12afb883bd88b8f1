import numpy as np
import pytest
from scipy import stats

from rembrandt_featgen.measures import bootstrap, differences
from rembrandt_featgen.measures.differences import Bounds, Difference


def made(value, error, *, degrees=1e9, trainings=5):
    return Difference(value, error, degrees, trainings)


@pytest.mark.parametrize(
    ("value", "error", "trainings", "word"),
    [
        (0.1, 0.03, 5, "helped"),
        (-0.1, 0.03, 5, "harmed"),
        (0.0, 0.02, 5, "equivalent"),
        (0.02, 0.005, 5, "equivalent"),  # above 0 for sure, and of no use
        (0.05, 0.02, 5, "helped"),  # the 90% interval reaches beyond the margin
        (0.0, 0.04, 5, "undecided"),
        (0.05, 0.04, 5, "undecided"),
        (0.1, 0.03, 4, "undecided"),  # another training could overturn it
        (0.0, np.nan, 5, "undecided"),
        (0.0, 0.0, 5, "equivalent"),  # the very same predictions
    ],
)
def test_words(value, error, trainings, word):
    assert differences.word(made(value, error, trainings=trainings)) == word


def test_the_margin_and_simultaneous_bounds_decide():
    assert differences.word(made(0.0, 0.02), 0.03) == "undecided"
    assert differences.word(made(0.1, 0.03), bounds=Bounds(-0.01, 0.21, 0.1)) == "undecided"
    assert differences.word(made(0.1, 0.03), bounds=Bounds(0.01, 0.19, 0.02)) == "helped"
    assert differences.word(made(0.0, 0.02), bounds=Bounds(-0.08, 0.08, 1.0)) == "undecided"
    assert differences.word(made(0.0, 0.02), bounds=Bounds(-0.05, 0.05, 1.0)) == "equivalent"


@pytest.mark.parametrize(
    ("word", "low", "expected"),
    [
        ("helped", 0.01, "helped"),
        ("helped", 0.0, "undecided"),  # better than a bad choice
        ("helped", np.nan, "undecided"),
        ("harmed", -0.1, "harmed"),
        ("equivalent", -0.1, "equivalent"),
        ("undecided", 0.1, "undecided"),
    ],
)
def test_help_is_more_than_real_samples_alone_give(word, low, expected):
    assert differences.word_beyond_none(word, Bounds(low, 0.2, 0.5)) == expected


def test_interval_p_value_and_what_could_be_found_agree_with_student():
    found = made(0.1, 0.04, degrees=7.0)
    assert found.interval() == pytest.approx(stats.t.interval(0.95, 7, 0.1, 0.04))
    assert found.p_value == pytest.approx(2 * stats.t.sf(2.5, 7))
    assert (found.p_value < 0.05) == (found.interval()[0] > 0)
    shift = stats.nct.sf(stats.t.ppf(0.975, 7), 7, found.detectable / 0.04)
    assert shift == pytest.approx(0.8, abs=0.03)  # power against a noncentral t


def test_difference_has_the_error_of_patients_and_trainings():
    generator = np.random.default_rng(0)
    resampled = np.concatenate([np.zeros((1, 1)), generator.normal(0, 0.02, (4000, 1))])
    by_training = np.array([0.03, -0.01, 0.01, 0.05, -0.03])
    found = differences.difference(resampled + by_training, [30, 20])
    assert found.value == pytest.approx(0.01)
    assert found.error == pytest.approx(np.sqrt(0.02**2 + by_training.var(ddof=1) / 5), rel=0.03)
    assert 4 < found.degrees < 23  # Satterthwaite: between the parts' own and their sum
    assert np.isnan(differences.difference(resampled + by_training, [30, 1]).error)


def test_few_seeds_that_differ_seldom_find_what_is_not_there(monkeypatch):
    """Pipelines that differ by seeds alone: some serve one patient better, some another, and some everybody."""

    def false_words(studies=800, n=100, seeds=5):
        generator = np.random.default_rng(0)
        wrong = 0
        for _ in range(studies):
            effects = generator.normal(0, 0.025, (1, seeds)) + generator.normal(0, 0.15, (n, seeds))
            drawn = np.concatenate([np.ones((1, n)), bootstrap.multiplicities(generator, n, 200)])
            wrong += differences.difference(drawn @ effects / n, [n // 2] * 2).p_value < 0.05
        return wrong

    allowed = stats.binom.ppf(0.95, 800, 0.05)
    assert false_words() <= allowed
    spread = bootstrap.spread

    def as_sure_as_the_rest(values):
        return spread(values)._replace(between=spread(values).trainings)

    monkeypatch.setattr(bootstrap, "spread", as_sure_as_the_rest)
    assert false_words() > allowed


def test_corrected_error_is_nadeau_and_bengios():
    values = [0.1, 0.0, 0.2, 0.1, np.nan]
    found = differences.corrected(values, tested=0.25)
    assert found.value == pytest.approx(0.1)
    assert found.error == pytest.approx(np.sqrt((1 / 4 + 0.25) * np.var(values[:4], ddof=1)))
    assert found.degrees == 3
    assert np.isnan(differences.corrected([0.1], tested=0.25).error)


def test_simultaneous_bounds_hold_for_all_of_a_family():
    """Of ten independent differences that are 0, at most one study in twenty has any whose bounds exclude it."""
    generator = np.random.default_rng(1)
    missed = {"alone": 0, "together": 0}
    for _ in range(300):
        draws = generator.normal(0, 1, (401, 10, 1))
        draws[0] = generator.normal(0, 1, (10, 1))
        draws[1:] += draws[0]
        family = {number: differences.difference(draws[:, number], [500, 500]) for number in range(10)}
        bounds = differences.simultaneous(family, {number: draws[:, number] for number in range(10)})
        missed["alone"] += any(one.p_value < 0.05 for one in family.values())
        missed["together"] += any(one.low > 0 or one.high < 0 for one in bounds.values())
        assert all(bounds[number].p_value >= 0.9 * family[number].p_value for number in family)
    assert missed["alone"] > 300 * 0.3
    assert missed["together"] < 300 * 0.085


def test_simultaneous_bounds_of_the_same_predictions_and_of_too_few_patients():
    draws = {"same": np.zeros((9, 5)), "few": np.full((9, 5), np.nan)}
    family = {
        "same": differences.difference(draws["same"], [9, 9]),
        "few": differences.difference(draws["few"], [9, 1]),
    }
    bounds = differences.simultaneous(family, draws)
    assert bounds["same"] == (0, 0, 1)
    assert np.isnan(bounds["few"]).all()
