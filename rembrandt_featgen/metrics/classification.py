"""Measures of a binary classifier of grade; positive is HGG (label 1), negative LGG (label 0)."""

from __future__ import annotations

import numpy as np
from sklearn import metrics

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
    right = (probabilities > THRESHOLD) == (labels == 1)
    hgg, lgg = _mean(right[labels == 1]), _mean(right[labels == 0])
    both = np.unique(labels).size == 2
    return {
        "accuracy_HGG": hgg,
        "accuracy_LGG": lgg,
        "accuracy_total": _mean(right),
        "balanced_accuracy": (hgg + lgg) / 2.0,
        "mcc": float(metrics.matthews_corrcoef(labels, probabilities > THRESHOLD)) if both else np.nan,
        "auroc": float(metrics.roc_auc_score(labels, probabilities)) if both else np.nan,
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


def _mean(x) -> float:
    return float(np.mean(x)) if len(x) else np.nan
