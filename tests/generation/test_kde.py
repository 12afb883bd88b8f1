import numpy as np
import pytest
from scipy.stats import multivariate_normal

from rembrandt_featgen.generation.class_residuals import Residuals
from rembrandt_featgen.generation.kde import Kde, choose_closeness
from rembrandt_featgen.generation.sampling_method import real_samples
from rembrandt_featgen.generation.whitening import whiten


def of(features, labels, groups=None):
    return real_samples(np.asarray(features, float), np.asarray(labels), groups, num_classes=2, signed=True, seed=0)


def test_closeness_is_that_of_the_largest_likelihood_of_left_out_patients():
    """By hand: for each patient the density of others, with the mean of the others."""
    random = np.random.default_rng(0)
    features = np.concatenate([random.normal(-2, 1, (9, 2)), random.normal(2, 1, (9, 2)), random.normal(size=(6, 2))])
    labels, groups = np.repeat([0, 1], [18, 6]), np.concatenate([np.arange(18) // 2, 20 + np.arange(6)])
    values = (0.0, 0.4, 0.7, 0.9)
    residuals = Residuals.of(of(features, labels, groups))
    covariance = residuals.rows.T @ (residuals.rows * residuals.shares[:, None])
    totals = np.zeros(4)
    for number, a in enumerate(values):
        for label in (0, 1):
            x, whose = features[labels == label], groups[labels == label]
            weights = 1 / np.bincount(whose)[whose]
            inflation = 1 / np.sqrt(1 - np.sum((weights / weights.sum()) ** 2))
            for patient in np.unique(whose):
                others = x[whose != patient]
                mean = others.mean(axis=0)  # each has as many samples
                densities = [
                    np.mean(
                        [
                            multivariate_normal.pdf(one, mean + a * inflation * (other - mean), (1 - a**2) * covariance)
                            for other in others
                        ]
                    )
                    for one in x[whose == patient]
                ]
                totals[number] += np.mean(np.log(densities))
    assert choose_closeness(whiten(residuals, 16), values) == values[np.argmax(totals)]
    best = np.argsort(totals)[::-1]
    assert choose_closeness(whiten(residuals, 16), tuple(values[k] for k in best[1:])) == values[best[1]]


@pytest.mark.parametrize(("apart", "low", "high"), [(0.0, 0.0, 0.6), (8.0, 0.9, 1.0)])
def test_one_gaussian_is_blurred_and_two_lumps_are_not(apart, low, high):
    random = np.random.default_rng(1)
    features = random.normal(size=(120, 3)) + apart * random.choice([-0.5, 0.5], size=(120, 1))
    assert low <= choose_closeness(whiten(Residuals.of(of(features, np.arange(120) % 2)), 16), Kde().closeness) <= high


def test_draws_have_means_and_covariance_whatever_the_closeness():
    random = np.random.default_rng(2)
    features, labels = random.normal(size=(300, 2)) @ [[2, 1], [0, 1]], np.arange(300) % 2
    features[labels == 1] += 5
    for a in (0.0, 0.8):
        fitted = Kde(closeness=(a,)).fit(features, labels, None, num_classes=2, signed=True, seed=0)
        drawn = fitted.draw(1, 20000, 0)
        np.testing.assert_allclose(drawn.mean(axis=0), features[labels == 1].mean(axis=0), atol=0.05)
        np.testing.assert_allclose(np.cov(drawn.T), [[4, 2], [2, 2]], rtol=0.2)


def test_settings_are_checked():
    with pytest.raises(ValueError, match="below 1"):
        Kde(closeness=(1.0,))
