"""Dice of whole volumes, and its interval over patients; that of slices is in `segmentation.losses`."""

from __future__ import annotations

import numpy as np
from scipy import stats


def patient_dice(
    patients: np.ndarray, *, overlap: np.ndarray, total: np.ndarray, tumour: np.ndarray
) -> dict[str, float]:
    """Hard dice of each patient, 2 TP / ((TP + FP) + (TP + FN)), its pixels counted over all of its slices together.

    Args:
      patients: [n] names, of the slices.
      overlap: [n] pixels of each slice that are tumour and predicted, TP.
      total: [n] pixels that are tumour plus pixels that are predicted.
      tumour: [n] pixels that are tumour.

    Returns:
      Name to dice in [0, 1], by name; NaN for a patient without tumour.
    """
    names, where = np.unique(patients, return_inverse=True)
    overlaps, totals, tumours = (np.bincount(where, counts) for counts in (overlap, total, tumour))
    dice = np.where(tumours > 0, 2.0 * overlaps / np.maximum(totals, 1.0), np.nan)
    return dict(zip(names.tolist(), dice.tolist()))


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """95% t interval of a mean, cut to [0, 1]; NaN for fewer than two values."""
    if len(values) < 2:
        return np.nan, np.nan
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return max(float(values.mean() - half), 0.0), min(float(values.mean() + half), 1.0)
