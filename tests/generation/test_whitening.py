import numpy as np

from rembrandt_featgen.generation.class_residuals import Residuals
from rembrandt_featgen.generation.sampling_method import real_samples
from rembrandt_featgen.generation.whitening import whiten


def space_of(n, d, most=32):
    random = np.random.default_rng(0)
    features = random.normal(size=(n, d)) @ random.normal(size=(d, d)) + 5
    labels = np.arange(n) % 2
    real = real_samples(features, labels, None, num_classes=2, signed=True, seed=0)
    return features, labels, whiten(Residuals.of(real), most)


def test_rows_are_uncorrelated_with_variance_1_and_are_what_is_decoded():
    _, labels, space = space_of(400, 5)
    assert space.size == 5
    np.testing.assert_allclose(space.rows.T @ (space.rows * space.residuals.shares[:, None]), np.eye(5), atol=1e-5)
    back = space.decode(1, space.rows[labels == 1] * space.deviations / space.shrunk, np.zeros((200, space.normals)))
    deviations = space.residuals.rows[labels == 1]
    np.testing.assert_allclose(back - space.residuals.means[1], deviations, atol=1e-4)


def test_normal_numbers_become_the_variances_of_the_columns_also_where_few_axes_are_kept():
    random = np.random.default_rng(1)
    for n, d, size in ((400, 5, 5), (40, 60, 16), (400, 60, 32), (12, 60, 4)):
        features, labels, space = space_of(n, d)
        assert space.size == size
        drawn = space.decode(0, random.normal(size=(20000, size)), random.normal(size=(20000, space.normals)))
        np.testing.assert_allclose(drawn.var(axis=0), space.residuals.scale**2, rtol=0.1)
        correlations = np.corrcoef((space.residuals.rows * np.sqrt(space.residuals.shares)[:, None]).T)
        assert np.linalg.norm(np.corrcoef(drawn.T) - np.eye(d)) < 1.1 * np.linalg.norm(correlations - np.eye(d))
        np.testing.assert_allclose(drawn.mean(axis=0), features[labels == 0].mean(axis=0), atol=0.25)


def test_position_is_the_difference_of_means_along_the_axes():
    _, _, space = space_of(400, 5)
    apart = (space.position(1) - space.position(0)) * space.deviations @ space.axes * space.residuals.scale
    np.testing.assert_allclose(apart, space.residuals.means[1] - space.residuals.means[0])
