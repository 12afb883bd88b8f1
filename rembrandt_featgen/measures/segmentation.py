"""Measures of whole volumes, and their intervals over patients.

Those of slices are in `segmentation.losses`, those in mm in `surfaces`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import stats

from rembrandt_featgen.measures.surfaces import SURFACE_MEASURES

VOLUME_MEASURES = ("dice", "iou", "sensitivity", "precision", "volume_error")
# What a measure can be; an interval says no more.
_RANGES = {**dict.fromkeys(SURFACE_MEASURES, (0.0, np.inf)), "volume_error": (-1.0, np.inf)}


def volume_measures(
    patients: np.ndarray, *, overlap: np.ndarray, predicted: np.ndarray, tumour: np.ndarray
) -> dict[str, dict[str, float]]:
    """Measures of each volume, its voxels counted over all of its slices together.

    A network that predicts nothing anywhere has dice 0 in every volume with tumour, however many slices have none.

    Args:
      patients: [n] names, of the slices.
      overlap: [n] pixels of each slice that are tumour and predicted, TP.
      predicted: [n] pixels that are predicted, TP + FP.
      tumour: [n] pixels that are tumour, TP + FN.

    Returns:
      Name to measures, by name: "dice", "iou", "sensitivity", "precision" in [0, 1], and "volume_error", the volume
      that is predicted in excess (or is missing, below 0) over the tumour's. NaN where there is no tumour; precision
      is NaN where nothing is predicted.
    """
    names, where = np.unique(patients, return_inverse=True)
    both, positive, true = (np.bincount(where, counts) for counts in (overlap, predicted, tumour))
    some = np.where(true > 0, true, np.nan)
    columns = {
        "dice": 2.0 * both / (positive + some),
        "iou": both / (positive + some - both),
        "sensitivity": both / some,
        "precision": np.where(np.isnan(some), np.nan, both / np.where(positive > 0, positive, np.nan)),
        "volume_error": (positive - true) / some,
    }
    return {
        str(name): {measure: float(column[number]) for measure, column in columns.items()}
        for number, name in enumerate(names)
    }


def over_volumes(measures: Mapping[str, Mapping[str, float]]) -> dict[str, dict]:
    """Each measure of `volume_measures`, and of `surface_measures`, over the volumes in which it is defined.

    Args:
      measures: of each volume, by name; None is NaN. Those of surfaces may be missing.

    Returns:
      Measure to "mean", "median", "ci95" (95% t interval of the mean, cut to what the measure can be) and "volumes",
      their number. Those of surfaces are left out where no volume has them.
    """
    found = {}
    for name in (*VOLUME_MEASURES, *SURFACE_MEASURES):
        values = np.array([row.get(name, np.nan) for row in measures.values()], float)
        values = values[np.isfinite(values)]
        if name in SURFACE_MEASURES and not len(values):
            continue
        least, most = _RANGES.get(name, (0.0, 1.0))
        low, high = t_interval(values)
        found[name] = {
            "mean": float(values.mean()) if len(values) else np.nan,
            "median": float(np.median(values)) if len(values) else np.nan,
            "ci95": (float(np.clip(low, least, most)), float(np.clip(high, least, most))),
            "volumes": len(values),
        }
    return found


def t_interval(values: np.ndarray) -> tuple[float, float]:
    """95% t interval of a mean; NaN for fewer than two values."""
    if len(values) < 2:
        return np.nan, np.nan
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return float(values.mean() - half), float(values.mean() + half)


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """95% t interval of a mean, cut to [0, 1]; NaN for fewer than two values."""
    low, high = t_interval(values)
    return (low, high) if np.isnan(low) else (max(low, 0.0), min(high, 1.0))
