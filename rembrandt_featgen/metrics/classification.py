"""Measures of a binary classifier of grade; positive is HGG (label 1), negative LGG (label 0)."""

from __future__ import annotations

import numpy as np
from scipy import stats

THRESHOLD = 0.5


def measures(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Every measure that the report shows.

    Args:
      labels: [n] in {0, 1}.
      probabilities: [n] in [0, 1], of HGG.

    Returns:
      accuracy_HGG (sensitivity), accuracy_LGG (specificity), accuracy_total, balanced_accuracy, mcc and auroc; NaN
      where a measure is not defined, as AUROC is for one class alone.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    positive, predicted = labels == 1, probabilities > THRESHOLD
    right = predicted == positive
    hgg, lgg = _mean(right[positive]), _mean(right[~positive])
    return {
        "accuracy_HGG": hgg,
        "accuracy_LGG": lgg,
        "accuracy_total": _mean(right),
        "balanced_accuracy": (hgg + lgg) / 2.0,
        "mcc": _mcc(positive, predicted),
        "auroc": _auroc(positive, probabilities),
    }


def by_patient(patients: np.ndarray, labels: np.ndarray, probabilities: np.ndarray):
    """Gathers slices into patients: a patient's log-odds are the mean of the log-odds of the patient's slices.

    Args:
      patients: [n] ids.
      labels: [n] in {0, 1}, the same for all slices of a patient.
      probabilities: [n] in [0, 1], of HGG.

    Returns:
      Sorted ids, labels and probabilities, each [patients].
    """
    patients, labels, probabilities = map(np.asarray, (patients, labels, probabilities))
    ids, first, where = np.unique(patients, return_index=True, return_inverse=True)
    clipped = np.clip(probabilities.astype(np.float64), 1e-6, 1.0 - 1e-6)
    log_odds = np.bincount(where, np.log(clipped / (1.0 - clipped))) / np.bincount(where)
    return ids, labels[first], 1.0 / (1.0 + np.exp(-log_odds))


# Written out because the bootstrap calls them ten thousands of times; tests hold them against scikit-learn's.
def _mcc(positive, predicted) -> float:
    """Matthews correlation; 0 when all predictions are alike, NaN when all labels are."""
    n, p, q, both = len(positive), positive.sum(), predicted.sum(), (positive & predicted).sum()
    if p in (0, n):
        return np.nan
    spread = float(p) * (n - p) * q * (n - q)
    return float((n * both - p * q) / np.sqrt(spread)) if spread else 0.0


def _auroc(positive, probabilities) -> float:
    """Area under the ROC curve, from the rank sum of the positives (Mann-Whitney); NaN when all labels are alike."""
    p = positive.sum()
    if p in (0, len(positive)):
        return np.nan
    rank_sum = stats.rankdata(probabilities)[positive].sum()
    return float((rank_sum - p * (p + 1) / 2) / (p * (len(positive) - p)))


def _mean(x) -> float:
    return float(np.mean(x)) if len(x) else np.nan
