"""Covariances with Ledoit-Wolf shrinkage, in a form that draws from them without a matrix [size, size]."""

from __future__ import annotations

import dataclasses

import numpy as np

CONSTANT = 1e-10  # standard deviation relative to the values, below which a column does not vary but by rounding


@dataclasses.dataclass(frozen=True, eq=False)
class Root:
    """A covariance loadings.T @ loadings + diag(independent**2).

    Attributes:
      loadings: [rank, size] float64, rank from 0.
      independent: [size] standard deviations float64.
    """

    loadings: np.ndarray
    independent: np.ndarray

    @property
    def normals(self) -> int:
        """Standard normal numbers that one draw takes."""
        return sum(self.loadings.shape)

    def draw(self, normals: np.ndarray) -> np.ndarray:
        """[..., size] draws of mean 0 from standard normal numbers [..., self.normals]."""
        rank = len(self.loadings)
        return normals[..., :rank] @ self.loadings + normals[..., rank:] * self.independent


def contrasts(values: np.ndarray) -> np.ndarray:
    """Helmert contrasts of rows: as if drawn independently with the covariance of the rows, about a mean of 0.

    Unlike differences from the mean, they need no correction for the mean having been estimated.

    Args:
      values: [m, size], m from 1.

    Returns:
      [m - 1, size] float64.
    """
    values = np.asarray(values, np.float64)
    r = np.arange(1, len(values))[:, None]
    return (np.cumsum(values, axis=0)[:-1] - r * values[1:]) / np.sqrt(r * (r + 1))


def shrinkage(rows: np.ndarray) -> float:
    """Ledoit-Wolf's share of the identity, for rows about a known mean of 0.

    It is scikit-learn's `ledoit_wolf_shrinkage(rows, assume_centered=True)` by way of products of rows [n, n] instead
    of columns [size, size], of which maps have too many. A single row knows nothing of correlations: 1.

    Args:
      rows: [n, size] float64, n from 1.

    Reference: Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices, 2004.
    """
    n, size = rows.shape
    if n == 1:
        return 1.0
    squares = np.einsum("ij,ij->i", rows, rows)
    products = rows @ rows.T if n < size else rows.T @ rows
    square_of_covariance = np.sum(products**2) / n**2
    mean_variance = squares.sum() / n / size
    distance = square_of_covariance - size * mean_variance**2  # of the covariance from a multiple of the identity
    error = (np.sum(squares**2) / n - square_of_covariance) / n
    return 1.0 if error >= distance else float(error / distance)


def shrunk_root(rows: np.ndarray, level: np.ndarray) -> Root:
    """The root of the shrunk covariance of rows about a mean of 0.

    Correlations are shrunk, variances are not: columns are divided by their standard deviations first, as scikit-learn
    does for linear discriminant analysis. Columns that do not vary stay so.

    Args:
      rows: [n, size] float64, n from 0: none gives a covariance of 0.
      level: [size] size of the values, beside which rounding errors are told from variance.
    """
    n, size = rows.shape
    deviations = np.sqrt(np.einsum("ij,ij->j", rows, rows) / max(n, 1))
    deviations[deviations <= CONSTANT * level] = 0.0
    varies = deviations > 0
    if not varies.any():
        return Root(np.zeros((0, size)), np.zeros(size))
    standard = rows[:, varies] / deviations[varies]
    share = shrinkage(standard)
    triangle = standard if n <= standard.shape[1] else np.linalg.qr(standard, mode="r")  # the same covariance
    loadings = np.zeros((len(triangle), size))
    loadings[:, varies] = triangle * deviations[varies] * np.sqrt((1 - share) / n)
    return Root(loadings, np.sqrt(share) * deviations)
