"""Whether probabilities mean what they say: of the positive class of two, or of the most probable one of more."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

BINS = 10  # of the expected calibration error


class Reliability(NamedTuple):
    """A reliability diagram, bin by bin; a bin without samples has NaN, NaN and 0."""

    probability: np.ndarray  # [bins] mean probability
    observed: np.ndarray  # [bins] share of samples that are of the class whose probability it is
    samples: np.ndarray  # [bins] how many


class Calibration(NamedTuple):
    """What calibration is computed of, sample by sample."""

    probability: np.ndarray  # [n] of the positive class of two, or of the most probable one of more
    observed: np.ndarray  # [n] bool, whether the sample is of that class
    bins: np.ndarray  # [n] index of the bin (i / bins, (i + 1) / bins] of the probability; 0 belongs to the first


def of_samples(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> Calibration:
    """`Calibration` of labels [n] and probabilities [n, classes]."""
    p = np.asarray(probabilities, np.float64)
    label = np.ones(len(p), np.int64) if p.shape[1] == 2 else p.argmax(axis=1)
    probability = p[np.arange(len(p)), label]
    return Calibration(
        probability, np.asarray(labels) == label, np.searchsorted(np.arange(1, bins) / bins, probability)
    )


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> Reliability:
    """Reliability diagram over bins of equal width; a probability on an edge belongs to the bin below.

    Args:
      labels: [n] in [0, classes).
      probabilities: [n, classes] in [0, 1].
      bins: how many.

    Returns:
      `Reliability`; the mean of |probability - observed|, weighted by samples, is the ece of `classification.measures`.
    """
    p, observed, where = of_samples(labels, probabilities, bins)
    count = np.bincount(where, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean, share = (np.bincount(where, x, minlength=bins) / count for x in (p, observed))
    return Reliability(mean, share, count)
