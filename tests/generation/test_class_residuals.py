import numpy as np

from rembrandt_featgen.generation.class_residuals import Residuals
from rembrandt_featgen.generation.sampling_method import real_samples


def residuals_of(values, labels, groups):
    flat = np.array(values, float)[:, None]
    return Residuals.of(real_samples(flat, np.array(labels), np.array(groups), num_classes=3, signed=True, seed=0))


def test_patients_weigh_the_same_however_many_samples_they_have():
    found = residuals_of([0, 2, 7, 7, 7, 10], [0, 0, 0, 0, 0, 1], list("aabbbc"))
    np.testing.assert_allclose(found.means[:, 0], [4, 10, 0])  # of 1 and 7
    np.testing.assert_allclose(found.weights, [1 / 4, 1 / 4, 1 / 6, 1 / 6, 1 / 6, 1])
    assert found.patients.tolist() == [2, 0, 0]  # one sample knows of no deviation
    np.testing.assert_allclose(found.shares, [1 / 4, 1 / 4, 1 / 6, 1 / 6, 1 / 6, 0])
    drawn = found.choose(np.arange(5), np.random.default_rng(0).random(4000))
    np.testing.assert_allclose(np.bincount(drawn) / 4000, [1 / 4, 1 / 4, 1 / 6, 1 / 6, 1 / 6], atol=0.03)


def test_a_patient_with_samples_of_two_classes_counts_as_two():
    found = residuals_of([0, 1, 5, 6], [0, 0, 1, 1], list("abab"))
    assert found.patients.tolist() == [2, 2, 0]
    np.testing.assert_allclose(found.weights, 0.5)


def test_scale_is_the_pooled_standard_deviation():
    random = np.random.default_rng(0)
    values, labels = random.normal(size=9), np.repeat([0, 1], [6, 3])
    found = residuals_of(values, labels, np.arange(9))
    variances = [values[labels == label].var(ddof=1) for label in (0, 1)]
    np.testing.assert_allclose(found.scale**2, [np.average(variances, weights=[6, 3])])
    np.testing.assert_allclose(np.diag(found.root.loadings.T @ found.root.loadings) + found.root.independent**2,
                               found.scale**2)  # fmt: skip
    one_class = found.root_of(1)
    np.testing.assert_allclose(one_class.loadings.T @ one_class.loadings + one_class.independent**2, variances[1])


def test_what_varies_by_rounding_alone_does_not_vary():
    flat = np.array([[1e6, 0.0], [1e6 * (1 + 1e-15), 1.0], [1e6, 3.0]])
    found = Residuals.of(real_samples(flat, np.zeros(3, int), None, num_classes=1, signed=True, seed=0))
    assert (found.scale > 0).tolist() == [False, True]
