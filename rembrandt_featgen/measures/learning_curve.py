"""What an arm is worth in real patients: how many would bring real samples alone to where the arm is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_TAILS = (0.025, 0.975)
_SAME = 1e-9  # of AUROC: less is rounding


class Worth(NamedTuple):
    """Real patients more that would do the same; below 0 where an arm harms.

    Attributes:
      patients: inf where the arm is above the end of the curve, -inf where it is below its start; NaN where the curve
        does not rise.
      low, high: 95% interval.
      least, most: ends of the curve, less the patients that the arm has.
    """

    patients: float
    low: float
    high: float
    least: float
    most: float

    @property
    def identifiable(self) -> bool:
        """Whether the curve rises."""
        return not np.isnan(self.patients)

    @property
    def text(self) -> str:
        """ "+5.0 [+1.2, more than 12]", or "not identifiable"."""
        if not self.identifiable:
            return "not identifiable"
        value, low, high = map(self._shown, self[:3])
        return value if value == low == high else f"{value} [{low}, {high}]"

    @property
    def record(self) -> dict:
        """As report.json holds it; None where an end is beyond the curve."""
        return {
            "patients": _finite(self.patients),
            "ci95": [_finite(self.low), _finite(self.high)],
            "identifiable": self.identifiable,
            "curve_ends": [self.least, self.most],
            "text": self.text,
        }

    def _shown(self, patients: float) -> str:
        if np.isfinite(patients):
            return f"{patients:+.1f}"
        return f"more than {self.most:.0f}" if patients > 0 else f"less than {self.least:.0f}"


def worth(patients: Sequence[int], curve: np.ndarray, *, gain: np.ndarray, at: int, rises: bool) -> Worth:
    """Real patients more that real samples alone would need for what an arm has.

    The curve is made monotone (isotonic) and taken as linear in the logarithm of the number of patients, in the cohort
    and in each resample.

    Args:
      patients: [points] of the class of few, rising, above 0.
      curve: [points, 1 + resamples] AUROC of real samples alone; the first is of the cohort. Its rise from point to
        point counts, not its height.
      gain: [1 + resamples] AUROC of the arm less that of real samples alone, at the same patients.
      at: how many patients of that class both have, one of `patients`.
      rises: whether the last point is above the first, beyond doubt; else nothing can be said.

    Raises:
      ValueError: `at` is no point of the curve.
    """
    x, place = np.log(np.asarray(patients, float)), list(patients).index(at)
    ends = (float(patients[0] - at), float(patients[-1] - at))
    if not rises:
        return Worth(np.nan, np.nan, np.nan, least=ends[0], most=ends[1])
    smooth = isotonic(curve)
    known = np.isfinite(smooth).all(axis=0) & np.isfinite(gain)
    reached = _reached(x, smooth, smooth[place] + gain, start=place)
    more = np.where(np.isfinite(reached), np.exp(reached) - at, reached)
    low, high = (float(np.quantile(more[known], tail, method="nearest")) for tail in _TAILS)
    return Worth(float(more[0]), low, high, least=ends[0], most=ends[1])


def isotonic(values: np.ndarray) -> np.ndarray:
    """The nearest curves that never fall, by least squares: [points, n] of [points, n]."""
    points = len(values)
    sums = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
    smooth = np.empty(values.shape)
    for i in range(points):
        least = [
            np.min([(sums[last + 1] - sums[first]) / (last + 1 - first) for last in range(i, points)], axis=0)
            for first in range(i + 1)
        ]
        smooth[i] = np.max(least, axis=0)
    return smooth


def _reached(x, curve, wanted, *, start) -> np.ndarray:
    """[n] where each curve reaches what is wanted of it; on a level stretch, where it is nearest to the start.

    Args:
      x: [points].
      curve: [points, n] that never fall.
      wanted: [n].
      start: number of a point.
    """
    found = np.full(len(wanted), x[start])
    above, below = wanted > curve[start], wanted < curve[start]
    found[above], found[below] = np.inf, -np.inf
    for i in range(len(x) - 1):
        step = curve[i + 1] - curve[i]
        inside = (curve[i] - _SAME <= wanted) & (wanted <= curve[i + 1] + _SAME) & (step > 0)
        part = np.divide(wanted - curve[i], step, out=np.zeros(len(wanted)), where=step > 0)
        places = x[i] + part * (x[i + 1] - x[i])
        up, down = inside & above & (i >= start), inside & below & (i < start)
        found[up] = np.minimum(found[up], places[up])
        found[down] = np.maximum(found[down], places[down])
    return found


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
