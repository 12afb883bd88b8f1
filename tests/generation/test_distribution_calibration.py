import numpy as np
import pytest

from rembrandt_featgen.generation.distribution_calibration import Calibration


def cohort(random, deviations, n=2000):
    """Classes 10 apart, with standard deviations of their own."""
    labels = np.repeat(np.arange(len(deviations)), n)
    return random.normal(size=(len(labels), 2)) * np.array(deviations)[labels] + 10 * labels[:, None], labels


def test_covariances_are_those_of_other_classes():
    features, labels = cohort(np.random.default_rng(0), [[1, 1], [3, 0.5]])
    fitted = Calibration(spread=0.0).fit(features, labels, None, num_classes=2, signed=True, seed=0)
    drawn = fitted.draw(0, 20000, 0)
    # half of a sample's deviation, with the other class's covariance about it
    np.testing.assert_allclose(drawn.var(axis=0), [1 / 4 + 9, 1 / 4 + 1 / 4], rtol=0.1)
    np.testing.assert_allclose(drawn.mean(axis=0), features[labels == 0].mean(axis=0), atol=0.1)


def test_the_nearest_classes_lend_theirs_and_spread_is_added():
    features, labels = cohort(np.random.default_rng(0), [[1, 1], [2, 2], [4, 4], [50, 50]])
    fitted = Calibration().fit(features, labels, None, num_classes=4, signed=True, seed=0)
    np.testing.assert_allclose(fitted.draw(0, 20000, 0).var(axis=0), 1 / 9 + 1.21 * (4 + 16) / 2, rtol=0.1)


def test_unsigned_values_are_drawn_as_their_roots():
    """Squares of normal numbers: skewed, from 0 on, and so are draws."""
    random = np.random.default_rng(0)
    roots = np.maximum(random.normal(3, 1, size=(600, 1)), 0)
    labels = np.arange(600) % 2
    fitted = Calibration(spread=0.0).fit(roots**2, labels, None, num_classes=2, signed=False, seed=0)
    drawn = fitted.draw(0, 20000, 0)
    assert drawn.min() >= 0
    np.testing.assert_allclose([np.sqrt(drawn).mean(), np.sqrt(drawn).var()], [3, 1.25], rtol=0.06)


@pytest.mark.parametrize("settings", [{"neighbours": 0}, {"spread": -1}, {"power": 0}])
def test_settings_are_checked(settings):
    with pytest.raises(ValueError, match="power in"):
        Calibration(**settings)
