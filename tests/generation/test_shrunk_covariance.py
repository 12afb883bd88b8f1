import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf, ledoit_wolf_shrinkage

from rembrandt_featgen.generation import shrunk_covariance

LEVEL = 0.0  # of columns about 0


def covariance(root):
    return root.loadings.T @ root.loadings + np.diag(root.independent**2)


@pytest.mark.parametrize(("n", "size"), [(60, 9), (9, 9), (5, 40), (2, 4)])
def test_shrinkage_is_scikit_learns(n, size):
    rows = np.random.default_rng(n).normal(size=(n, size)) @ np.random.default_rng(0).normal(size=(size, size))
    expected = ledoit_wolf_shrinkage(rows, assume_centered=True)
    assert shrunk_covariance.shrinkage(rows) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("n", "size"), [(60, 9), (5, 40)])
def test_root_is_that_of_scikit_learns_covariance_of_standardised_columns(n, size):
    random = np.random.default_rng(1)
    rows = random.normal(size=(n, size)) @ random.normal(size=(size, size)) * np.logspace(-3, 3, size)
    deviations = np.sqrt(np.mean(rows**2, axis=0))
    expected, _ = ledoit_wolf(rows / deviations, assume_centered=True)
    root = shrunk_covariance.shrunk_root(rows, LEVEL)
    np.testing.assert_allclose(covariance(root) / np.outer(deviations, deviations), expected, atol=1e-9)
    assert len(root.loadings) == min(n, size)
    # drawn from, it is that covariance again
    drawn = root.draw(random.standard_normal((200000, root.normals)))
    np.testing.assert_allclose(drawn.T @ drawn / 200000 / np.outer(deviations, deviations), expected, atol=0.03)


def test_contrasts_by_hand():
    """Of 1, 3, 8: (1 - 3) / sqrt 2 and (1 + 3 - 2 * 8) / sqrt 6; of a single row none."""
    np.testing.assert_allclose(shrunk_covariance.contrasts(np.array([[1.0], [3], [8]]))[:, 0], [-(2**0.5), -(24**0.5)])
    assert shrunk_covariance.contrasts(np.ones((1, 3))).shape == (0, 3)


def test_contrasts_have_the_covariance_of_the_rows():
    values = np.random.default_rng(0).normal(5.0, 2.0, (7, 3))
    rows = shrunk_covariance.contrasts(values)
    np.testing.assert_allclose(rows.T @ rows / len(rows), np.cov(values.T))


def test_columns_that_do_not_vary_stay_so_and_change_nothing_else():
    rows = np.random.default_rng(0).normal(size=(30, 3))
    wide = np.insert(rows, [1, 1], [0.0, 1e-13], axis=1)  # nothing, and an error of rounding beside values of 10
    level = np.array([0.0, 10, 10, 0, 0])
    found = covariance(shrunk_covariance.shrunk_root(wide, level))
    assert not found[[1, 2]].any()
    keep = np.ix_([0, 3, 4], [0, 3, 4])
    np.testing.assert_allclose(found[keep], covariance(shrunk_covariance.shrunk_root(rows, level[[0, 3, 4]])))


@pytest.mark.parametrize("n", [0, 1])
def test_few_rows(n):
    """None tells nothing; one tells variances, but no correlation."""
    rows = np.array([[1.0, -2.0]])[:n]
    expected = np.diag([1.0, 4.0]) if n else np.zeros((2, 2))
    np.testing.assert_allclose(covariance(shrunk_covariance.shrunk_root(rows, LEVEL)), expected)
