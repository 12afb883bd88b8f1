"""Uncertainty over patients: exact binomial intervals and the bootstrap that draws patients, never slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats


def exact_interval(right: int, n: int) -> tuple[float, float]:
    """Clopper-Pearson 95% interval of a proportion; (NaN, NaN) for n = 0.

    For 7 of 11 patients it is (0.31, 0.89): what the size of the paper's test set lets one say.
    """
    if n == 0:
        return np.nan, np.nan
    interval = stats.binomtest(int(right), int(n)).proportion_ci(0.95, "exact")
    return float(interval.low), float(interval.high)


def bootstrap(
    patients: np.ndarray,
    labels: np.ndarray,
    measure: Callable[[np.ndarray], Mapping[str, float]],
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """95% percentile intervals of measures by the bootstrap over patients, stratified by grade.

    Patients are drawn with replacement within each grade, and all slices of a drawn patient come along, so that
    the dependence of slices within a patient widens the interval as it should.

    Args:
      patients: [n] id of each sample (slice, or patient itself).
      labels: [n] in {0, 1}, the same for all samples of a patient.
      measure: from sample indices [m] to named values, possibly NaN; call it with pairs of arms for paired differences.
      draws: number of resamples.
      seed: of the resampling.

    Returns:
      Name to (low, high); (NaN, NaN) where no draw defines the measure, or a grade has fewer than two patients, whose
      resampling would show no spread.
    """
    patients, labels = np.asarray(patients), np.asarray(labels)
    generator = np.random.default_rng(seed)
    strata = [np.unique(patients[labels == label]) for label in np.unique(labels)]
    rows = {patient: np.flatnonzero(patients == patient) for patient in np.unique(patients)}
    values: dict[str, list[float]] = {}
    for _ in range(draws):
        drawn = np.concatenate([generator.choice(stratum, len(stratum)) for stratum in strata])
        for name, value in measure(np.concatenate([rows[patient] for patient in drawn])).items():
            values.setdefault(name, []).append(value)
    if min(map(len, strata)) < 2:
        return dict.fromkeys(values, (np.nan, np.nan))
    return {name: _percentiles(np.asarray(column)) for name, column in values.items()}


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    if values.size == 0:
        return np.nan, np.nan
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
