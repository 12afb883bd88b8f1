"""The generator where the truth is known; the figures are in the room's README."""

import numpy as np
import pytest

from rembrandt_featgen.generation.gaussian import Gaussian

SIZE = 5
MEANS = np.array([[0.0, 0, 0, 0, 0], [5, 5, 5, 5, 5], [-3, 1, 2, 0, 4]])


def covariances():
    """Between and within patients: known, neither of them diagonal, intraclass correlations from 0.3 to 0.8."""
    random = np.random.default_rng(0)
    between, within = random.normal(size=(2, SIZE, SIZE))
    return between @ between.T / SIZE, within @ within.T / SIZE


def cohort(samples_of_patients, seed=1):
    """Features, labels and patients, whose classes take turns."""
    random, (between, within) = np.random.default_rng(seed), covariances()
    patients = np.repeat(np.arange(len(samples_of_patients)), samples_of_patients)
    effects = random.multivariate_normal(np.zeros(SIZE), between, len(samples_of_patients))
    noise = random.multivariate_normal(np.zeros(SIZE), within, len(patients))
    return MEANS[patients % 3] + effects[patients] + noise, patients % 3, patients


def recovered(samples_of_patients, k):
    """Errors of 60,000 draws: of means (in standard deviations), of the total covariance, and between samples."""
    features, labels, patients = cohort(samples_of_patients)
    fitted = Gaussian(samples_per_patient=k).fit(features, labels, patients, num_classes=3, signed=True, seed=0)
    between, within = covariances()
    total = between + within
    drawn = np.stack([fitted.draw(label, 20000 * k, 7) - MEANS[label] for label in range(3)])
    deviations = np.abs(drawn.mean(axis=1)) / np.sqrt(np.diag(total))
    flat = (drawn - drawn.mean(axis=1, keepdims=True)).reshape(-1, k, SIZE)
    of_draws = np.einsum("pki,pkj->ij", flat, flat) / (len(flat) * k)
    error = np.linalg.norm(of_draws - total) / np.linalg.norm(total)
    if k == 1:
        return deviations.max(), error, None
    shared = np.einsum("pi,pj->ij", flat[:, 0], flat[:, 1]) / len(flat)
    correlations = np.diag(shared) / np.diag(of_draws) - np.diag(between) / np.diag(total)
    return deviations.max(), error, np.abs(correlations).max()


@pytest.mark.parametrize(
    ("samples", "k"),
    [
        ([4] * 9000, 4),
        ([4] * 9000, 1),
        ([1] * 9000, 1),  # one covariance only
        ([8, 2, 2, 4, 1, 2] * 1500, 2),  # as many as on harmonic average: 2.09
    ],
    ids=["4 of 4", "1 of 4", "1 of 1", "2 of 1 to 8"],
)
def test_means_covariance_and_intraclass_correlation_are_recovered(samples, k):
    mean, covariance, correlation = recovered(np.array(samples), k)
    print(f"mean {mean:.3f}, covariance {covariance:.3f}, intraclass correlation {correlation}")
    assert mean < 0.07  # 4 standard errors of 3000 patients
    assert covariance < 0.05
    assert correlation is None or correlation < 0.03
    # The errors of a wrong model are larger: noise counted twice, or not at all.
    between, within = covariances()
    assert np.linalg.norm(within / 4) / np.linalg.norm(between + within) > 0.08


def test_ratio_of_draws_to_patients_is_kept():
    """Two samples of a new patient share its effect; the next two are of another."""
    features, labels, patients = cohort(np.full(3000, 4))
    fitted = Gaussian(samples_per_patient=2).fit(features, labels, patients, num_classes=3, signed=True, seed=0)
    drawn = fitted.draw(0, 20001, 0)
    pairs = drawn[:20000].reshape(-1, 2, SIZE)
    shared = [np.corrcoef(pairs[:, 0, i], pairs[:, 1, i])[0, 1] for i in range(SIZE)]
    apart = [np.corrcoef(pairs[:-1, 1, i], pairs[1:, 0, i])[0, 1] for i in range(SIZE)]
    between, within = covariances()
    np.testing.assert_allclose(shared, np.diag(between) / np.diag(between + within), atol=0.05)
    np.testing.assert_allclose(apart, 0, atol=0.04)


def test_more_samples_of_a_patient_than_were_seen_are_not_drawn():
    """Nothing is known of what samples of a patient share where each has one."""
    features, labels, patients = cohort(np.ones(900, int))
    many, one = (
        Gaussian(samples_per_patient=k).fit(features, labels, patients, num_classes=3, signed=True, seed=0)
        for k in (5, 1)
    )
    np.testing.assert_array_equal(many.draw(1, 30, 2), one.draw(1, 30, 2))


def test_a_small_wide_cohort_keeps_its_variances():
    """30 patients, 400 columns: variances are those of the cohort, and correlations are shrunk, not noise."""
    random = np.random.default_rng(0)
    factors = random.normal(size=(3, 400))
    features = random.normal(size=(30, 3)) @ factors + random.normal(size=(30, 400))
    fitted = Gaussian().fit(features, np.arange(30) % 2, None, num_classes=2, signed=True, seed=0)
    drawn = fitted.draw(0, 20000, 0)
    residuals = features - np.stack([features[i % 2 :: 2].mean(axis=0) for i in range(30)])
    np.testing.assert_allclose(drawn.var(axis=0) / (np.sum(residuals**2, axis=0) / 28), 1, atol=0.06)
    truth = factors.T @ factors + np.eye(400)
    empirical = residuals.T @ residuals / 28
    assert np.linalg.norm(np.cov(drawn.T) - truth) < 0.95 * np.linalg.norm(empirical - truth)


def test_one_patient_a_class_gives_the_covariance_within_patients():
    random = np.random.default_rng(0)
    features = random.normal(size=(400, 2)) @ np.diag([1.0, 3.0]) + np.repeat([[0.0], [50.0]], 200, axis=0)
    labels = np.repeat([0, 1], 200)
    drawn = Gaussian().fit(features, labels, labels, num_classes=2, signed=True, seed=0).draw(1, 20000, 0)
    np.testing.assert_allclose(drawn.std(axis=0), [1, 3], rtol=0.08)


def test_one_sample_a_class_gives_that_sample():
    fitted = Gaussian().fit(np.eye(2), np.array([0, 1]), None, num_classes=2, signed=True, seed=0)
    assert fitted.draw(1, 3, 0).tolist() == [[0, 1]] * 3


def test_the_number_of_samples_of_a_patient_is_from_1():
    with pytest.raises(ValueError, match="received 0"):
        Gaussian(samples_per_patient=0)
