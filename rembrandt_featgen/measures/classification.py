"""Measures of a classifier of two classes: label 1 is the positive class, label 0 the negative one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

THRESHOLD = 0.5
SPECIFICITY = 0.8  # at which the sensitivity is read off
BINS = 10  # of the expected calibration error
MEASURES = (
    "sensitivity",
    "specificity",
    "accuracy",
    "balanced_accuracy",
    "mcc",
    "auroc",
    "auprc",
    "sensitivity_at_specificity",
    "brier",
    "ece",
)


class Reliability(NamedTuple):
    """A reliability diagram, bin by bin; a bin without samples has NaN, NaN and 0."""

    probability: np.ndarray  # [bins] mean probability of the positive class
    observed: np.ndarray  # [bins] share of the positive class
    samples: np.ndarray  # [bins] how many


def measures(
    labels: np.ndarray,
    probabilities: np.ndarray,
    threshold: float | np.ndarray = THRESHOLD,
    specificity: float = SPECIFICITY,
) -> dict[str, float]:
    """Every measure that the report shows.

    Args:
      labels: [n] in {0, 1}.
      probabilities: [n] in [0, 1], of the positive class.
      threshold: above it a sample is predicted positive; a scalar, or [n] where samples were predicted by models
        (folds) that chose different ones. The measures after mcc do not depend on it.
      specificity: in [0, 1], for sensitivity_at_specificity.

    Returns:
      `MEASURES` to values, NaN where a measure is not defined, as AUROC is for one class alone:
      sensitivity (accuracy of the positive class), specificity (of the negative class), accuracy, balanced_accuracy,
      mcc; auroc; auprc, the average precision sum_t (recall_t - recall_t-1) precision_t, whose chance level is the
      share of positive samples; sensitivity_at_specificity, the largest sensitivity over the thresholds with at least
      that specificity; brier, the mean squared error of the probability; ece, the expected calibration error over 10
      bins of equal width, |mean probability - share of positive samples| weighted by the samples in the bin (Guo et
      al. 2017, "On calibration of modern neural networks"; with few samples it is far above 0 by chance alone).

    Raises:
      ValueError: a probability is NaN or outside [0, 1].
    """
    counts = np.ones((1, len(np.asarray(labels))))
    values = weighted_measures(labels, probabilities, counts, threshold=threshold, specificity=specificity)
    return {name: float(value[0]) for name, value in values.items()}


def weighted_measures(
    labels: np.ndarray,
    probabilities: np.ndarray,
    counts: np.ndarray,
    *,
    threshold: float | np.ndarray = THRESHOLD,
    specificity: float = SPECIFICITY,
) -> dict[str, np.ndarray]:
    """`measures` of many resamples at once, each given by how often it holds every sample.

    Args:
      labels, probabilities, threshold, specificity: as for `measures`.
      counts: [resamples, n] whole numbers >= 0.

    Returns:
      `MEASURES` to [resamples].

    Raises:
      ValueError: as `measures`.
    """
    positive, p = np.asarray(labels) == 1, np.asarray(probabilities, np.float64)
    if not p.size:
        return {name: np.full(len(counts), np.nan) for name in MEASURES}
    if not (p.min() >= 0.0 and p.max() <= 1.0):
        raise ValueError(
            f"probabilities run from {p.min()} to {p.max()}; give finite ones in [0, 1], as a sigmoid makes them"
        )
    predicted = p > threshold
    # All plain sums in one product: counts [resamples, n] x terms [n, 4 + bins].
    terms = np.zeros((p.size, 4 + BINS))
    terms[:, 0], terms[:, 1], terms[:, 2] = positive, predicted, positive & predicted
    error = p - positive
    terms[:, 3] = error * error
    terms[np.arange(p.size), 4 + _bins(p, BINS)] = error
    sums = np.asarray(counts, np.float64) @ terms
    positives, called, hit, squared = sums[:, :4].T
    # At each distinct score as threshold, from the highest down: samples above it, and positive ones among them.
    order = np.argsort(-p, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(p[order])), p.size - 1)
    ordered = np.asarray(counts, np.float64)[:, order]
    above = ordered.cumsum(axis=1)[:, ends]
    hits = (ordered * positive[order]).cumsum(axis=1)[:, ends]
    alarms = above - hits
    new_hits, new_alarms = hits.copy(), alarms.copy()
    new_hits[:, 1:] -= hits[:, :-1]
    new_alarms[:, 1:] -= alarms[:, :-1]
    n = above[:, -1]
    negatives = n - positives
    with np.errstate(divide="ignore", invalid="ignore"):
        both = positives * negatives
        both = np.where(both > 0, both, np.nan)
        sensitivity, right_negative = hit / positives, (negatives - called + hit) / negatives
        spread = called * (n - called)
        mcc = np.where(spread > 0, (n * hit - positives * called) / np.sqrt(both * spread), 0.0 * both)
        allowed = (negatives[:, None] - alarms) / negatives[:, None] >= specificity
        return {
            "sensitivity": sensitivity,
            "specificity": right_negative,
            "accuracy": (negatives - called + 2.0 * hit) / n,
            "balanced_accuracy": (sensitivity + right_negative) / 2.0,
            "mcc": mcc,
            "auroc": (new_alarms * (hits - new_hits / 2.0)).sum(axis=1) / both,
            "auprc": (new_hits * hits / np.maximum(above, 1.0)).sum(axis=1) / positives,
            "sensitivity_at_specificity": (hits * allowed).max(axis=1) * negatives / both,
            "brier": squared / n,
            "ece": np.abs(sums[:, 4:]).sum(axis=1) / n,
        }


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> Reliability:
    """Reliability diagram over bins of equal width; a probability on an edge belongs to the bin below.

    Args:
      labels: [n] in {0, 1}.
      probabilities: [n] in [0, 1], of the positive class.
      bins: how many.

    Returns:
      `Reliability`; the mean of |probability - observed|, weighted by samples, is `measures`' ece.
    """
    p = np.asarray(probabilities, np.float64)
    where = _bins(p, bins)
    count = np.bincount(where, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean, observed = (np.bincount(where, x, minlength=bins) / count for x in (p, np.asarray(labels) == 1))
    return Reliability(mean, observed, count)


def choose_threshold(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The threshold of greatest balanced accuracy, for predictions of patients who are not the test's.

    Args:
      labels: [patients] in {0, 1}.
      probabilities: [patients] in [0, 1], of the positive class.

    Returns:
      0.5 or a midpoint between neighbouring scores; of equally good ones the nearest to 0.5, the lower at equal
      distance; 0.5 when a class is missing.
    """
    positive, p = np.asarray(labels) == 1, np.asarray(probabilities, np.float64)
    above, below = np.sort(p[positive]), np.sort(p[~positive])
    if not (len(above) and len(below)):
        return THRESHOLD
    scores = np.unique(p)
    candidates = np.append(scores[:-1] + np.diff(scores) / 2.0, THRESHOLD)
    hits = len(above) - np.searchsorted(above, candidates, side="right")
    # Balanced accuracy times 2 x positives x negatives: whole numbers, so that ties are ties.
    value = hits * len(below) + np.searchsorted(below, candidates, side="right") * len(above)
    best = np.sort(candidates[value == value.max()])
    return float(best[np.argmin(np.abs(best - THRESHOLD))])


def by_patient(
    patients: ArrayLike, labels: ArrayLike, probabilities: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gathers slices into patients: a patient's log-odds are the mean of the log-odds of the patient's slices.

    Args:
      patients: [n] ids.
      labels: [n] in {0, 1}, the same for all slices of a patient.
      probabilities: [n] in [0, 1], of the positive class.

    Returns:
      Sorted ids, labels and probabilities, each [patients].
    """
    ids, first, where = np.unique(np.asarray(patients), return_index=True, return_inverse=True)
    clipped = np.clip(np.asarray(probabilities).astype(np.float64), 1e-6, 1.0 - 1e-6)
    log_odds = np.bincount(where, np.log(clipped / (1.0 - clipped))) / np.bincount(where)
    return ids, np.asarray(labels)[first], 1.0 / (1.0 + np.exp(-log_odds))


def patient_log_loss(patients: ArrayLike, labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Log loss per patient (mean log-odds of its slices), each class counting the same.

    Slices of a patient are not independent, so that patients with many would decide alone. Classes count the same
    because studies measure balanced accuracy, and because arms differ in how far they balance the classes: a plain
    mean would hold that against those that do.

    Args:
      patients, labels, probabilities: as for `by_patient`.
    """
    _, truth, p = by_patient(patients, labels, probabilities)
    losses = -np.log(np.where(truth == 1, p, 1.0 - p))
    return float(np.mean([losses[truth == label].mean() for label in np.unique(truth)]))


def _bins(p: np.ndarray, bins: int) -> np.ndarray:
    """Index of the bin (i / bins, (i + 1) / bins] of each probability; 0 belongs to the first."""
    return np.searchsorted(np.arange(1, bins) / bins, p)
