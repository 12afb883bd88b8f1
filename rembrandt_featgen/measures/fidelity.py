"""How near synthetic features come to real ones: distances of distributions, fidelity and diversity.

Features are pooled to vectors first (for example the mean of each channel). Slices of a patient are not independent, so
no distance here is a test; compare generators by it at equal numbers of samples, next to its value between two sets
of real patients.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg

from rembrandt_featgen.measures import pooled_features

NEIGHBOURS = 5  # k, as in Naeem et al. 2020


class Manifold(NamedTuple):
    """Fidelity (precision, density) and diversity (recall, coverage) by nearest neighbours."""

    precision: float  # share of synthetic samples within reach of a real one
    recall: float  # share of real samples within reach of a synthetic one
    density: float  # real samples within reach of a synthetic one, over k; 1 is expected of equal distributions
    coverage: float  # share of real samples with a synthetic one nearer than their k-th real neighbour


def kernel_distance(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Kernel distance (KID): unbiased estimate of MMD^2 with the kernel (x.y / d + 1)^3.

    Over all pairs of samples rather than the mean over random subsets of 1000 that is customary for 50000 images: the
    expectation is the same, the variance smaller, and it needs no seed. It can be below 0.

    Args:
      real, synthetic: [n, d] and [m, d], at least two of each.

    Returns:
      The estimate; not its square root.

    Raises:
      ValueError: features are not finite matrices of as many columns, or too few.

    Reference: Binkowski et al. 2018, "Demystifying MMD GANs".
    """
    real, synthetic = pooled_features.checked(real, synthetic, least=2)
    n, m = len(real), len(synthetic)
    within_real, within_synthetic = (_kernel_sum(x, x) - _kernel_diagonal(x) for x in (real, synthetic))
    across = _kernel_sum(real, synthetic) / (n * m)
    return within_real / (n * (n - 1)) + within_synthetic / (m * (m - 1)) - 2.0 * across


def frechet_distance(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Frechet distance (FID) of the Gaussians with the samples' means and covariances.

    |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2). With S1 = A'A and S2 = B'B, A and B the centred samples over
    sqrt(n - 1), the last trace is the sum of the singular values of A B'. This holds for any n and d and takes no root
    of a matrix, so it needs no ridge where n < d and the covariances are singular. Its bias upwards is about
    inverse to n: compare at equal n only.

    Args:
      real, synthetic: [n, d] and [m, d], at least two of each.

    Returns:
      The squared distance, >= 0.

    Raises:
      ValueError: as `kernel_distance`.

    Reference: Heusel et al. 2017, "GANs trained by a two time-scale update rule"; for the bias, Chong and Forsyth
    2020, "Effectively unbiased FID and Inception score".
    """
    real, synthetic = pooled_features.checked(real, synthetic, least=2)
    factors = [(x - x.mean(axis=0)) / np.sqrt(len(x) - 1) for x in (real, synthetic)]
    traces = sum(float(np.sum(factor**2)) for factor in factors)
    # A'A = R'R for A = QR, and R has at most d rows.
    a, b = (linalg.qr(x, mode="r")[0][: x.shape[1]] if len(x) > x.shape[1] else x for x in factors)
    shared = float(linalg.svdvals(a @ b.T).sum())
    shift = float(np.sum((real.mean(axis=0) - synthetic.mean(axis=0)) ** 2))
    return max(shift + traces - 2.0 * shared, 0.0)


def precision_recall_density_coverage(real: np.ndarray, synthetic: np.ndarray, k: int = NEIGHBOURS) -> Manifold:
    """Fidelity and diversity: a sample's reach is the distance to its k-th nearest neighbour in its own set.

    Args:
      real, synthetic: [n, d] and [m, d], more than k of each. Samples of one patient are near to each other: where a
        patient has more than k, reaches are those within a patient.
      k: neighbours.

    Returns:
      `Manifold`.

    Raises:
      ValueError: as `kernel_distance`.

    Reference: Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative models".
    """
    real, synthetic = pooled_features.checked(real, synthetic, least=k + 1)
    real_reach, synthetic_reach = _reach(real, k), _reach(synthetic, k)
    near_real, recalled = 0, np.zeros(len(real), bool)
    reached, closest = 0, np.full(len(real), np.inf)
    for rows, gaps in pooled_features.distances(synthetic, real):
        within = gaps < real_reach
        near_real += int(within.any(axis=1).sum())
        reached += int(within.sum())
        recalled |= (gaps < synthetic_reach[rows, None]).any(axis=0)
        closest = np.minimum(closest, gaps.min(axis=0))
    return Manifold(
        precision=near_real / len(synthetic),
        recall=float(recalled.mean()),
        density=reached / (k * len(synthetic)),
        coverage=float(np.mean(closest < real_reach)),
    )


def _kernel_sum(x: np.ndarray, y: np.ndarray) -> float:
    """Sum of the kernel over all pairs."""
    return float(sum(((x[rows] @ y.T / x.shape[1] + 1.0) ** 3).sum() for rows in pooled_features.row_blocks(x)))


def _kernel_diagonal(x: np.ndarray) -> float:
    """Sum of the kernel of each sample with itself."""
    return float(((np.mean(x * x, axis=1) + 1.0) ** 3).sum())


def _reach(x: np.ndarray, k: int) -> np.ndarray:
    """Distance of each sample to its k-th nearest other one; the nearest of all is itself."""
    return np.concatenate([np.partition(gaps, k, axis=1)[:, k] for _, gaps in pooled_features.distances(x, x)])
