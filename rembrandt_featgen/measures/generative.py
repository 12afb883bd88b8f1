"""How near synthetic features come to real ones, and whether they come too near to those they were trained on.

Features are pooled to vectors first (for example the mean of each channel). Slices of a patient are not independent, so
no distance here is a test; compare generators by it at equal numbers of samples, next to its value between two sets
of real patients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import linalg, stats
from sklearn.metrics.pairwise import euclidean_distances

_BLOCK = 1024  # rows of a matrix between two sets that are held at once
CLOSEST = (0.01, 0.05)  # shares of held-out samples that set the audit's two distances
ERROR = 0.05  # probability of calling a generator that copies nothing a copier


class Manifold(NamedTuple):
    """Fidelity (precision, density) and diversity (recall, coverage) by nearest neighbours."""

    precision: float  # share of synthetic samples within reach of a real one
    recall: float  # share of real samples within reach of a synthetic one
    density: float  # real samples within reach of a synthetic one, over k; 1 is expected of equal distributions
    coverage: float  # share of real samples with a synthetic one nearer than their k-th real neighbour


class Memorisation(NamedTuple):
    """Audit of the distance from synthetic, and from held-out real, samples to the nearest training sample."""

    median_synthetic: float
    median_held_out: float
    median_ratio: float  # of the two
    share_nearer_1: float  # synthetic samples nearer than the closest 1% of held-out ones
    share_nearer_5: float
    limit_1: float  # share_nearer_1 above this is called memorised
    auroc: float  # probability that a synthetic sample is nearer than a held-out one; 0.5 for no memory
    p_value: float  # one-sided (above 0.5), over held-out patients
    copied_patients: dict[str, int]  # training patients by the samples, of share_nearer_1, that are nearest to them
    memorised: bool


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
    real, synthetic = _features(real, synthetic, least=2)
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
    real, synthetic = _features(real, synthetic, least=2)
    factors = [(x - x.mean(axis=0)) / np.sqrt(len(x) - 1) for x in (real, synthetic)]
    traces = sum(float(np.sum(factor**2)) for factor in factors)
    # A'A = R'R for A = QR, and R has at most d rows.
    a, b = (linalg.qr(x, mode="r")[0][: x.shape[1]] if len(x) > x.shape[1] else x for x in factors)
    shared = float(linalg.svdvals(a @ b.T).sum())
    shift = float(np.sum((real.mean(axis=0) - synthetic.mean(axis=0)) ** 2))
    return max(shift + traces - 2.0 * shared, 0.0)


def precision_recall_density_coverage(real: np.ndarray, synthetic: np.ndarray, k: int = 5) -> Manifold:
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
    real, synthetic = _features(real, synthetic, least=k + 1)
    real_reach, synthetic_reach = _reach(real, k), _reach(synthetic, k)
    near_real, recalled = 0, np.zeros(len(real), bool)
    reached, closest = 0, np.full(len(real), np.inf)
    for rows, distances in _distances(synthetic, real):
        within = distances < real_reach
        near_real += int(within.any(axis=1).sum())
        reached += int(within.sum())
        recalled |= (distances < synthetic_reach[rows, None]).any(axis=0)
        closest = np.minimum(closest, distances.min(axis=0))
    return Manifold(
        precision=near_real / len(synthetic),
        recall=float(recalled.mean()),
        density=reached / (k * len(synthetic)),
        coverage=float(np.mean(closest < real_reach)),
    )


def memorisation(
    training: np.ndarray,
    training_patients: np.ndarray,
    held_out: np.ndarray,
    held_out_patients: np.ndarray,
    synthetic: np.ndarray,
) -> Memorisation:
    """Audits whether a generator gives back the patients it was trained on.

    What a generator has learnt without copying is as far from the training samples as new patients' samples are. So
    each synthetic sample's distance to the nearest training sample is held against those of held-out patients, in
    which each patient counts as one, whatever its number of samples. A generator collapsed to the middle of the cloud
    can be near to all without copying one: then coverage is low, and no patient stands out in `copied_patients`.
    Grades of unlike spread should be audited one by one.

    `memorised` is said where share_nearer_1 is above the 95% quantile of what it would be if synthetic samples were
    distributed as those of new patients, and samples within a patient all alike (the worst case: then
    the distance is an order statistic of as many values as there are held-out patients, and the share of m synthetic
    samples below it is beta-binomial). With 5 patients held out that takes nearly half of the samples, with 40 7%.
    The p-value is Mann and Whitney's (normal approximation), for the same worst case with one value for each patient.

    Args:
      training: [n, d], the samples that the generator was trained on.
      training_patients: [n] ids.
      held_out: [h, d], real samples that it was not trained on.
      held_out_patients: [h] ids, none of them a training patient.
      synthetic: [m, d].

    Returns:
      `Memorisation`; patients most copied first.

    Raises:
      ValueError: features are not finite matrices of as many columns, ids do not fit them, or a patient is in both.

    Reference: Meehan et al. 2020, "A non-parametric test to detect data-copying in generative models", for the ranks;
    Alaa et al. 2022, "How faithful is your synthetic data?", for distances to the nearest training sample.
    """
    training, held_out, synthetic = _features(training, held_out, synthetic, least=1)
    training_patients, held_out_patients = np.asarray(training_patients), np.asarray(held_out_patients)
    if (len(training), len(held_out)) != (len(training_patients), len(held_out_patients)):
        raise ValueError(
            f"{len(training_patients)} and {len(held_out_patients)} patients for {len(training)} training and "
            f"{len(held_out)} held-out samples; give one id for each sample"
        )
    shared = np.intersect1d(training_patients, held_out_patients)
    if shared.size:
        raise ValueError(f"patient {shared[0]} is in training and held out; hold whole patients out")
    own, nearest = _nearest(synthetic, training)
    others, _ = _nearest(held_out, training)
    ids, where, samples = np.unique(held_out_patients, return_inverse=True, return_counts=True)
    weights = 1.0 / (len(ids) * samples[where])
    closest, half = (_quantile(others, weights, share) for share in (CLOSEST[0], 0.5))
    nearer = own < closest
    # Of each held-out sample, the share of synthetic ones that are nearer; a tie counts half.
    ordered = np.sort(own)
    ranks = (np.searchsorted(ordered, others, "left") + np.searchsorted(ordered, others, "right")) / (2.0 * len(own))
    auroc = float(np.average(ranks, weights=weights))
    spread = np.sqrt((len(own) + len(ids) + 1) / (12.0 * len(own) * len(ids)))
    rank = int(np.ceil(CLOSEST[0] * len(ids)))
    limit = float(stats.betabinom.ppf(1.0 - ERROR, len(own), rank, len(ids) + 1 - rank)) / len(own)
    middle = float(np.median(own))
    return Memorisation(
        median_synthetic=middle,
        median_held_out=half,
        median_ratio=middle / half if half else np.nan,
        share_nearer_1=float(nearer.mean()),
        share_nearer_5=float(np.mean(own < _quantile(others, weights, CLOSEST[1]))),
        limit_1=limit,
        auroc=auroc,
        p_value=float(stats.norm.sf((auroc - 0.5) / spread)),
        copied_patients=dict(Counter(map(str, training_patients[nearest[nearer]])).most_common()),
        memorised=bool(nearer.mean() > limit),
    )


def _features(*sets: np.ndarray, least: int) -> list[np.ndarray]:
    """Checked float64 copies."""
    found = [np.asarray(x, np.float64) for x in sets]
    shapes = [x.shape for x in found]
    if any(len(shape) != 2 or shape[0] < least or shape[1] != shapes[0][-1] for shape in shapes):
        raise ValueError(
            f"features have shapes {', '.join(map(str, shapes))}; give pooled ones, [samples, d] with the same d, "
            f"and at least {least} samples of each"
        )
    if not all(np.isfinite(x).all() for x in found):
        raise ValueError("features hold NaN or infinite values; leave those samples out or mend their maker")
    return found


def _kernel_sum(x: np.ndarray, y: np.ndarray) -> float:
    """Sum of the kernel over all pairs."""
    blocks = range(0, len(x), _BLOCK)
    return float(sum(((x[i : i + _BLOCK] @ y.T / x.shape[1] + 1.0) ** 3).sum() for i in blocks))


def _kernel_diagonal(x: np.ndarray) -> float:
    """Sum of the kernel of each sample with itself."""
    return float(((np.mean(x * x, axis=1) + 1.0) ** 3).sum())


def _distances(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of x, and their distances to all of y, block by block."""
    for i in range(0, len(x), _BLOCK):
        yield slice(i, i + _BLOCK), euclidean_distances(x[i : i + _BLOCK], y)


def _reach(x: np.ndarray, k: int) -> np.ndarray:
    """Distance of each sample to its k-th nearest other one; the nearest of all is itself."""
    return np.concatenate([np.partition(distances, k, axis=1)[:, k] for _, distances in _distances(x, x)])


def _nearest(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each row of x to the nearest of y, and its index."""
    index = np.concatenate([distances.argmin(axis=1) for _, distances in _distances(x, y)])
    return np.linalg.norm(x - y[index], axis=1), index  # anew, as a copy's must be exactly 0


def _quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    """The smallest value below or at which the weights sum to the share."""
    order = np.argsort(values, kind="stable")
    # A little less than the share: a sum of equal weights may round to just below it.
    return float(values[order][np.searchsorted(np.cumsum(weights[order]), share * (1.0 - 1e-9))])
