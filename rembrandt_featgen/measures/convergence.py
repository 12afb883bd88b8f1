"""Whether chains of a sampler agree with one another, and how many independent draws they are worth.

Reference: Gelman et al. 2013, "Bayesian data analysis", 11.4; Vehtari et al. 2021, "Rank-normalization, folding, and
localization: an improved R-hat".
"""

from __future__ import annotations

import numpy as np


def r_hat(chains: np.ndarray) -> float:
    """Split R-hat: 1 where the halves of all chains vary as one; from 1.01 on they are not to be trusted.

    Args:
      chains: [chains, draws] of one quantity, at least 4 draws.
    """
    halves = _halves(chains)
    within = halves.var(axis=1, ddof=1).mean()
    between = halves.mean(axis=1).var(ddof=1)
    n = halves.shape[1]
    if within == 0:
        return 1.0 if between == 0 else np.inf
    return float(np.sqrt((n - 1) / n + between / within))


def effective_size(chains: np.ndarray) -> float:
    """Number of independent draws whose mean would be as precise as that of all chains.

    Autocorrelations are summed in pairs until a pair is negative (Geyer), each pair at most as large as the one before.

    Args:
      chains: [chains, draws] of one quantity, at least 4 draws.
    """
    halves = _halves(chains)
    m, n = halves.shape
    centred = halves - halves.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centred, 2 * n, axis=1)
    covariances = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :n].mean(axis=0) / n
    within = covariances[0] * n / (n - 1)
    total = (n - 1) / n * within + halves.mean(axis=1).var(ddof=1)
    if total == 0:
        return float(m * n)
    correlations = 1.0 - (within - covariances * n / (n - 1)) / total
    correlations[0] = 1.0
    pairs = correlations[: n // 2 * 2].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs < 0)
    pairs = np.minimum.accumulate(pairs[: negative[0]] if len(negative) else pairs)
    time = max(2.0 * pairs.sum() - 1.0, 1.0 / np.log10(m * n))
    return float(m * n / time)


def _halves(chains: np.ndarray) -> np.ndarray:
    """[2 chains, draws / 2]."""
    half = chains.shape[1] // 2
    return np.concatenate([chains[:, :half], chains[:, half : 2 * half]]).astype(np.float64)
