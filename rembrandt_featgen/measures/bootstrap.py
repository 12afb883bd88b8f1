"""Intervals over new patients and new trainings: bootstrap that draws patients, never slices, and runs; exact intervals
of proportions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from rembrandt_featgen.measures import classification
from rembrandt_featgen.measures.out_of_fold import OutOfFold

_RANGES = {"mcc": (-1.0, 1.0), "brier": (0.0, 2.0), "log_loss": (0.0, np.inf)}  # of measures that leave 0 to 1
# Whatever the model, resamples repeat patients, so that bins of them look less calibrated than those of the cohort.
_RAISED = ("ece",)
_BLOCK = 2**18  # counts of resampled samples that are held at once; measures need some ten times as many numbers


class Estimate(NamedTuple):
    """A value over all patients, and its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        """(low, high)."""
        return self.low, self.high


def exact_interval(right: int, n: int) -> tuple[float, float]:
    """Clopper-Pearson 95% interval of a proportion; (NaN, NaN) for n = 0.

    For 7 of 11 patients it is (0.31, 0.89): what the size of the paper's test set lets one say.
    """
    if n == 0:
        return np.nan, np.nan
    interval = stats.binomtest(int(right), int(n)).proportion_ci(0.95, "exact")
    return float(interval.low), float(interval.high)


class Spread(NamedTuple):
    """Variance of a mean over trainings.

    Attributes:
      patients: over new patients.
      trainings: what new trainings add to it.
      between: the variance between trainings by their number, from which `trainings` was found (0 where that is 0), and
        of which `patients` holds a part. It rests on as few numbers as there are trainings.
    """

    patients: float
    trainings: float
    between: float

    @property
    def error(self) -> float:
        """Standard error over both."""
        return float(np.sqrt(self.patients + self.trainings))


def bootstrap_arms(
    labels: np.ndarray,
    arms: Mapping[str, OutOfFold],
    *,
    draws: int = 2000,
    seed: int = 0,
    patients: np.ndarray | None = None,
    trainings: Sequence[int] | None = None,
    inflation: float | None = None,
) -> dict[str, dict[str, Estimate]]:
    """95% intervals of every measure of every arm: percentiles over patients, widened by what trainings add.

    Args:
      labels, arms, draws, seed, patients: as for `resample`.
      trainings: [runs] of which training each run is; None for one each.
      inflation: see `spread`.

    Returns:
      Arm to measure to `Estimate`; intervals are (NaN, NaN) where a class has fewer than two patients.
    """
    values = resample(labels, arms, draws=draws, seed=seed, patients=patients)
    classes, _ = drawn_together(np.asarray(labels), patients)
    counts = np.unique(classes, return_counts=True)[1].tolist()
    return {arm: estimates(each, counts, trainings, inflation=inflation) for arm, each in values.items()}


def estimates(
    values: Mapping[str, np.ndarray],
    patients: Sequence[int],
    trainings: Sequence[int] | None = None,
    *,
    inflation: float | None = None,
) -> dict[str, Estimate]:
    """95% intervals of the measures of an arm.

    Args:
      values: measure to [1 + draws, runs] of `resample`.
      patients: [classes] of each class, or groups of them; where one is below 2 there are no intervals.
      trainings, inflation: as for `bootstrap_arms`.
    """
    rows = slice(None) if min(patients) > 1 else slice(1)
    return {name: _estimate(of_trainings(x[rows], trainings), inflation, name) for name, x in values.items()}


def drawn_together(labels: np.ndarray, patients: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The class of each patient or group that is drawn, the rarest of its samples', and where each sample's is."""
    ids, where = np.unique(np.arange(len(labels)) if patients is None else patients, return_inverse=True)
    rarest_first = np.argsort(np.bincount(labels), kind="stable")
    rank = np.empty(len(rarest_first), int)
    rank[rarest_first] = np.arange(len(rarest_first))
    best = np.full(len(ids), len(rank))
    np.minimum.at(best, where, rank[labels])
    return rarest_first[best], where


def _limits(name: str) -> tuple[float, float]:
    """What a measure can be; what is none of `classification`, such as a difference, has no limits."""
    base = name.rstrip("0123456789").rstrip("_")
    known = (*classification.MEASURES, *classification.OF_CLASSES, *classification.OF_EACH)
    return _RANGES.get(name, (0.0, 1.0)) if base in known else (-np.inf, np.inf)


def resample(
    labels: np.ndarray,
    arms: Mapping[str, OutOfFold],
    *,
    draws: int = 2000,
    seed: int = 0,
    patients: np.ndarray | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """Measures of each run of each arm in resamples of the patients.

    Patients are drawn with replacement within each class; all arms and runs see the same draws, and all samples of a
    drawn patient come along, so that the dependence of slices within a patient widens the interval as it should.

    Args:
      labels: [samples] in [0, classes). A group whose samples have several is drawn among those of the rarest, as plans
        divide it.
      arms: name to predictions of these samples, in this order; arms may differ in runs.
      draws: number of resamples.
      seed: of the resampling; the same patients are drawn for the same seed.
      patients: [samples] id of each sample's patient (or of what else is drawn together); None where each sample is
        one.

    Returns:
      Arm to measure to [1 + draws, runs], of which the first row is that of the cohort itself.

    Raises:
      ValueError: an arm's arrays do not fit the labels.
    """
    labels = np.asarray(labels)
    generator = np.random.default_rng(seed)
    classes, where = drawn_together(labels, patients)
    # The first row is the cohort itself.
    drawn = np.ones((1 + draws, len(classes)), np.min_scalar_type(len(classes)))
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        for rows in _blocks(1, 1 + draws, len(members)):
            drawn[rows, members] = multiplicities(generator, len(members), rows.stop - rows.start)
    return {
        name: _resampled(labels, arm.checked(len(labels), name), folds=arm.folds, drawn=drawn, where=where)
        for name, arm in arms.items()
    }


def of_trainings(values: np.ndarray, trainings: Sequence[int] | None = None) -> np.ndarray:
    """[1 + draws, trainings] means over the runs of each training.

    Args:
      values: [1 + draws, runs] of `resample`.
      trainings: [runs] of which training each run is; None for one each.
    """
    if trainings is None:
        return values
    _, of_run = np.unique(trainings, return_inverse=True)
    return np.stack([values[:, of_run == number].mean(axis=1) for number in range(of_run.max() + 1)], axis=1)


def spread(values: np.ndarray, inflation: float | None = None) -> Spread:
    """Variance of the mean over trainings, as it would be with new patients and new trainings.

    Patients and trainings are crossed: each training is tested on each patient. Resamples of patients at these
    trainings hold the variance of patients and a share of what is of both (a patient whom one training serves well, and
    another badly); the variance between trainings holds that share, too, and it must not count twice. It is the
    difference of what resamples of patients say of one training and of the mean of all.

    Of cross-validation that is not all: a new cohort would bring new training patients, too, and repeats of the
    division show little of that. Nadeau and Bengio's variance of a mean over folds and divisions, (1 / folds /
    divisions + tested / trained) times that of one fold, is (1 / divisions + 1 + tested / trained) times that of a run.

    Args:
      values: [1 + draws, trainings].
      inflation: that factor; None where training patients are given, as in a hold-out, or where two arms are compared,
        which have the same ones.

    Reference: Owen 2007, "The pigeonhole bootstrap", on why drawing both at once counts it three times; Nadeau, Bengio
      2003, "Inference for the generalization error".
    """
    draws, n = values[1:], values.shape[1]
    draws = draws[np.isfinite(draws).all(axis=1)]
    if len(draws) < 2:
        return Spread(np.nan, np.nan, np.nan)
    of_mean = float(draws.mean(axis=1).var(ddof=1))
    if inflation is not None:
        return Spread(float(draws.var(axis=0, ddof=1).mean()) * inflation, 0.0, between=0.0)
    if n == 1:
        return Spread(of_mean, 0.0, between=0.0)
    of_both = max(float(draws.var(axis=0, ddof=1).mean()) - of_mean, 0.0) * n / (n - 1)
    between = float(values[0].var(ddof=1))
    more = max(between - of_both, 0.0) / n
    return Spread(of_mean, more, between=between / n if more > 0 else 0.0)


def multiplicities(generator: np.random.Generator, n: int, draws: int) -> np.ndarray:
    """How often each of n is drawn in n draws with replacement: [draws, n]."""
    return generator.multinomial(n, np.full(n, 1.0 / n), draws)


def _blocks(start: int, stop: int, width: int) -> Iterator[slice]:
    """Slices that cut rows of that width into blocks, so that thousands of samples do not fill the memory."""
    step = max(1, _BLOCK // max(width, 1))
    for first in range(start, stop, step):
        yield slice(first, min(first + step, stop))


def _resampled(
    labels: np.ndarray,
    arm: tuple[np.ndarray, np.ndarray],
    *,
    folds: np.ndarray | None,
    drawn: np.ndarray,
    where: np.ndarray,
) -> dict[str, np.ndarray]:
    """Each measure of each run of an arm in each resample: [resamples, runs].

    Args:
      labels: [samples].
      arm: `OutOfFold.checked`.
      folds: of `OutOfFold`.
      drawn: [resamples, patients] how often each patient is in it.
      where: [samples] index of its patient.
    """
    parts = []
    for rows in _blocks(0, len(drawn), len(labels)):
        counts = drawn[rows][:, where].astype(np.float64)
        runs = [
            classification.weighted_measures(labels, p, counts, thresholds=t, folds=f)
            for p, t, f in zip(*arm, itertools.repeat(None) if folds is None else folds)
        ]
        parts.append({measure: np.stack([run[measure] for run in runs], axis=1) for measure in runs[0]})
    return {measure: np.concatenate([part[measure] for part in parts]) for measure in parts[0]}


def _estimate(values: np.ndarray, inflation: float | None, name: str) -> Estimate:
    """The mean over trainings, with percentiles over patients that are as far apart as the error over both demands.

    What resampling adds to a measure of `_RAISED` is taken off: its percentiles are those of resamples less the
    distance of their median from the value, which they then hold.
    """
    value, both = float(values[0].mean()), spread(values, inflation)
    means = values[1:].mean(axis=1)
    means = means[np.isfinite(means)]
    if means.size == 0:
        return Estimate(value, np.nan, np.nan)
    if name in _RAISED:
        means = means - (np.median(means) - value)
    deviation = float(means.std(ddof=1)) if means.size > 1 else 0.0
    wider = max(both.error / deviation, 1.0) if deviation > 0 else 1.0
    low, high = np.percentile(means, [2.5, 97.5])
    low, high = np.clip([value - wider * (value - low), value + wider * (high - value)], *_limits(name))
    return Estimate(value, float(low), float(high))
