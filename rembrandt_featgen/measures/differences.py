"""The difference of two pipelines: its intervals over new patients and new trainings, and the word that they allow."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from scipy import stats

from rembrandt_featgen.measures import bootstrap

Key = TypeVar("Key", bound=Hashable)  # of a family of differences

LEVEL = 0.05
POWER = 0.8
MARGIN = 0.05  # of AUROC, within which two pipelines count as equivalent
TRAININGS = 5  # from which on the chance of a training can be told from its mean
WORDS = ("helped", "harmed", "equivalent", "undecided")


class Bounds(NamedTuple):
    """Bounds of one of several differences, and its p-value, both adjusted for all of them."""

    low: float
    high: float
    p_value: float


class Difference(NamedTuple):
    """A difference, with its standard error over new patients and new trainings.

    Attributes:
      value: after - before.
      error: standard error.
      degrees: of freedom of the error.
      trainings: how many it is the mean of.
    """

    value: float
    error: float
    degrees: float
    trainings: int

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """(low, high) that misses the truth at that level, half of it on either side."""
        width = self.error * stats.t.ppf(1.0 - level / 2.0, self.degrees)
        return self.value - width, self.value + width

    @property
    def p_value(self) -> float:
        """Two-sided, against no difference; NaN without an error."""
        if not np.isfinite(self.error):
            return np.nan
        if self.error == 0.0:
            return 1.0 if self.value == 0.0 else 0.0
        return float(2.0 * stats.t.sf(abs(self.value) / self.error, self.degrees))

    @property
    def detectable(self) -> float:
        """The difference that a study of the same error would find with a power of 80%."""
        low, high = self.interval()
        return self.detectable_beyond((high - low) / 2.0)

    def detectable_beyond(self, half: float) -> float:
        """The same where an interval of another width, such as one of several, has to exclude 0.

        Args:
          half: of that width.
        """
        return half + self.error * float(stats.t.ppf(POWER, self.degrees))


def difference(values: np.ndarray, patients: Sequence[int]) -> Difference:
    """The mean difference of a measure between two arms that were resampled together.

    Degrees of freedom follow Satterthwaite: the variance between trainings has one less than there are, that of the
    patients one less than the smallest class. What is of both counts in the error once (see `bootstrap.spread`), but it
    is known no better for that: five seeds that differ a lot leave four degrees of freedom.

    Args:
      values: [1 + draws, trainings] after - before, see `bootstrap.resample`.
      patients: [classes] of each class, or groups of them.
    """
    value, n = float(values[0].mean()), values.shape[1]
    both = bootstrap.spread(values) if min(patients) > 1 else bootstrap.Spread(*[np.nan] * 3)
    parts = both.patients**2 / max(min(patients) - 1, 1) + both.between**2 / max(n - 1, 1)
    degrees = (both.patients + both.trainings) ** 2 / parts if parts != 0 else np.inf
    return Difference(value, both.error, degrees, trainings=n)


def corrected(values: Sequence[float], tested: float) -> Difference:
    """The mean difference over tasks of cross-validation, with Nadeau and Bengio's error.

    The training sets of tasks overlap, so that their differences vary less than those of new cohorts would: the
    variance of the mean is (1 / tasks + tested / trained) times that of the differences.

    Args:
      values: [tasks] difference in each division of the patients.
      tested: patients whom a task tests, as a share of those whom it trains on.

    Reference: Nadeau and Bengio 2003, "Inference for the generalization error".
    """
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    n, mean = len(known), float(known.mean()) if len(known) else np.nan
    if n < 2:
        return Difference(mean, np.nan, np.nan, trainings=n)
    return Difference(mean, float(np.sqrt((1.0 / n + tested) * known.var(ddof=1))), n - 1.0, trainings=n)


def word(found: Difference, margin: float = MARGIN, bounds: Bounds | None = None) -> str:
    """One of `WORDS`.

    "equivalent" where both one-sided tests find it within the margin (the 90% interval lies in it), as a difference
    that small is of no use, whether or not it is 0; else "helped" or "harmed" where the 95% interval lies on one side
    of 0; else, and with fewer than `TRAININGS` trainings, "undecided".

    Args:
      found: difference of AUROC, or of another measure of which more is better.
      margin: above 0.
      bounds: of one among several differences, which then stand for its interval, of equivalence, too.

    Reference: Schuirmann 1987, "A comparison of the two one-sided tests procedure and the power approach".
    """
    if not np.isfinite(found.error) or found.trainings < TRAININGS:
        return "undecided"
    low, high = found.interval(2.0 * LEVEL)
    if bounds is not None:
        inner = (high - low) / max(np.subtract(*found.interval()[::-1]), np.finfo(float).tiny)
        middle, half = found.value, inner * (bounds.high - bounds.low) / 2.0
        low, high = middle - half, middle + half
    if -margin < low and high < margin:
        return "equivalent"
    low, high = found.interval() if bounds is None else bounds[:2]
    return "helped" if low > 0 else "harmed" if high < 0 else "undecided"


def word_beyond_none(word_of_best: str, to_none: Bounds) -> str:
    """The word of an arm against the best without it: "helped" only where it is above real samples alone, too.

    What was chosen as the best without it may have been chosen badly, and be below real samples alone.

    Args:
      word_of_best: `word` of the difference to what was chosen without it.
      to_none: bounds of the difference to real samples alone.
    """
    return "undecided" if word_of_best == "helped" and not to_none.low > 0 else word_of_best


def simultaneous(found: Mapping[Key, Difference], draws: Mapping[Key, np.ndarray]) -> dict[Key, Bounds]:
    """Bounds of several differences that hold all at once with 95%, by the maximum of their statistics.

    Args:
      found: name to difference.
      draws: name to its [1 + draws, trainings], resampled together.

    Returns:
      Name to bounds; NaN without an error.

    Reference: Westfall and Young 1993, "Resampling-based multiple testing".
    """
    statistics = largest(found, draws)
    quantile = float(np.quantile(statistics, 1.0 - LEVEL))
    return {name: bounded(one, quantile, statistics) for name, one in found.items()}


def largest(found: Mapping[Key, Difference], draws: Mapping[Key, np.ndarray]) -> np.ndarray:
    """[draws] the largest statistic of a family in each resample, in deviations; [1] of 0 where none has an error.

    Args:
      found, draws: as for `simultaneous`.
    """
    varying = [name for name, one in found.items() if _varies(one)]
    if not varying:
        return np.zeros(1)
    means = [draws[name].mean(axis=1) for name in varying]
    gaps = np.stack([np.abs(one[1:] - one[0]) for one in means])
    deviations = np.sqrt(np.nanmean(np.square(gaps), axis=1, keepdims=True))
    return np.nanmax(gaps / np.where(deviations > 0, deviations, np.inf), axis=0)


def bounded(one: Difference, quantile: float, statistics: np.ndarray | None = None) -> Bounds:
    """The bounds of one of several differences, whose p-value is against the largest statistics of all.

    Args:
      one: the difference.
      quantile: of the largest statistic of the family, in deviations.
      statistics: [draws] of `largest`; None leaves the p-value NaN.
    """
    if not _varies(one):
        return Bounds(*one.interval(), one.p_value)
    width = one.error * max(quantile, stats.norm.ppf(1.0 - LEVEL / 2.0)) * _wider(one)
    p = np.nan
    if statistics is not None:
        as_large = int(np.sum(statistics * _wider(one) >= abs(one.value) / one.error))
        p = (as_large + 1) / (len(statistics) + 1)
    return Bounds(one.value - width, one.value + width, p)


def _wider(one: Difference) -> float:
    """What few patients and trainings add to an interval, as a factor."""
    return float(stats.t.ppf(1.0 - LEVEL / 2.0, one.degrees) / stats.norm.ppf(1.0 - LEVEL / 2.0))


def _varies(one: Difference) -> bool:
    return bool(np.isfinite(one.error) and one.error > 0)
