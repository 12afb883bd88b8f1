"""Uncertainty over patients: intervals, tests and power that draw patients, never slices.

A study by cross-validation predicts every patient once in each run (a repeat of the cross-validation with a seed of
its own), out of fold. An arm's measure is the mean over runs of the measure of a run, and its uncertainty is over
patients: all runs of a patient are drawn, or swapped between arms, together. What a retrained network would do is
averaged over by the runs, not tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from rembrandt_featgen.measures import classification

EXACT = 12  # patients up to which all 2^n swaps are enumerated
CHANCE = 0.5  # balanced accuracy of an answer that knows nothing


class Arm(NamedTuple):
    """Out-of-fold predictions of one arm."""

    probabilities: np.ndarray  # [runs, patients] in [0, 1], of HGG
    threshold: float | np.ndarray = classification.THRESHOLD  # scalar, or [runs, patients]: that of the patient's fold


class Estimate(NamedTuple):
    """A value over all patients, and its 95% interval."""

    value: float
    low: float
    high: float


class Comparison(NamedTuple):
    """Measures of each arm, and their differences (arm - reference) over the same draws of patients."""

    arms: dict[str, dict[str, Estimate]]
    differences: dict[str, dict[str, Estimate]]


class PairedTest(NamedTuple):
    """Difference of balanced accuracy between two arms, and its two-sided p-value."""

    difference: float
    p_value: float


def exact_interval(right: int, n: int) -> tuple[float, float]:
    """Clopper-Pearson 95% interval of a proportion; (NaN, NaN) for n = 0.

    For 7 of 11 patients it is (0.31, 0.89): what the size of the paper's test set lets one say.
    """
    if n == 0:
        return np.nan, np.nan
    interval = stats.binomtest(int(right), int(n)).proportion_ci(0.95, "exact")
    return float(interval.low), float(interval.high)


def bootstrap_arms(
    labels: np.ndarray,
    arms: Mapping[str, Arm],
    reference: str | None = None,
    draws: int = 2000,
    seed: int = 0,
    patients: np.ndarray | None = None,
) -> Comparison:
    """95% percentile intervals of every measure of every arm, and of its paired difference against one of them.

    Patients are drawn with replacement within each grade; all arms see the same draws, and all samples and runs of a
    drawn patient come along, so that the dependence of slices within a patient widens the interval as it should.
    Percentile intervals are a little short for few patients: with 60, simulations covered the truth in 93% of cases.

    Args:
      labels: [samples] in {0, 1}, the same for all samples of a patient.
      arms: name to predictions of these samples, in this order; arms may differ in runs.
      reference: the arm that the others are compared with; None compares nothing.
      draws: number of resamples.
      seed: of the resampling; the same patients are drawn for the same seed.
      patients: [samples] id of each sample's patient; None where each sample is a patient.

    Returns:
      `Comparison`; intervals are (NaN, NaN) where a grade has fewer than two patients.

    Raises:
      ValueError: an arm's arrays do not fit the labels, or there is no such reference.
    """
    labels = np.asarray(labels)
    if reference is not None and reference not in arms:
        raise ValueError(f"reference {reference!r} is not among the arms {', '.join(arms)}; name one of them")
    generator = np.random.default_rng(seed)
    _, first, where = np.unique(
        np.arange(len(labels)) if patients is None else patients, return_index=True, return_inverse=True
    )
    drawn = np.ones((1 + draws, len(first)), np.int64)  # the first row is the cohort itself
    grades = labels[first]
    for label in np.unique(grades):
        members = grades == label
        drawn[1:, members] = _multiplicities(generator, int(members.sum()), draws)
    counts = drawn[:, where]  # [1 + draws, samples]
    values: dict[str, dict[str, np.ndarray]] = {}
    for name, arm in arms.items():
        probabilities, thresholds = _arrays(arm, len(labels), name)
        runs = [classification.weighted_measures(labels, p, counts, t) for p, t in zip(probabilities, thresholds)]
        values[name] = {measure: np.mean([run[measure] for run in runs], axis=0) for measure in runs[0]}
    spread = min(np.sum(grades == label) for label in np.unique(grades)) >= 2
    return Comparison(
        {arm: {name: _estimate(x, spread) for name, x in own.items()} for arm, own in values.items()},
        {
            arm: {name: _estimate(x - values[reference][name], spread) for name, x in own.items()}
            for arm, own in values.items()
            if reference is not None and arm != reference
        },
    )


def paired_permutation(
    labels: np.ndarray, before: Arm, after: Arm, permutations: int = 10000, seed: int = 0
) -> PairedTest:
    """Tests whether two arms differ in balanced accuracy: each patient's scores are swapped between them at random.

    All runs of a patient are swapped together, with the thresholds of its folds. As each run holds every patient, the
    mean balanced accuracy over runs is a sum over patients, and swapping a patient changes the sign of its part.

    Args:
      labels: [patients] in {0, 1}.
      before, after: predictions of these patients in the same number of runs.
      permutations: random ones, where more than `EXACT` patients differ between the arms.
      seed: of the permutations.

    Returns:
      `PairedTest`, difference after - before; NaN where a grade has no patient.

    Raises:
      ValueError: an arm's arrays do not fit the labels or each other.

    Reference: Good 2005, "Permutation, parametric and bootstrap tests of hypotheses", chapter 3 (matched pairs).
    """
    labels = np.asarray(labels)
    first, second = (_right(labels, arm, name) for arm, name in ((before, "before"), (after, "after")))
    if first.shape != second.shape:
        raise ValueError(
            f"{len(first)} runs before, {len(second)} after; swapping needs the same number of runs of both arms"
        )
    sizes = np.where(labels == 1, np.sum(labels == 1), np.sum(labels == 0))
    if len(np.unique(labels)) < 2:
        return PairedTest(np.nan, np.nan)
    parts = (second.mean(axis=0) - first.mean(axis=0)) / (2.0 * sizes)
    return PairedTest(float(parts.sum()), sign_flip(parts, permutations, seed))


def sign_flip(parts: np.ndarray, permutations: int = 10000, seed: int = 0) -> float:
    """Two-sided permutation p-value of a sum whose independent parts are symmetric about 0 under the null hypothesis.

    Args:
      parts: [n], one for each patient. Zeros change no sum and are left out.
      permutations: number m of random signs, where more than `EXACT` parts are not zero; otherwise all 2^n are tried.
      seed: of the signs.

    Returns:
      Share of all signs whose sum is at least as far from 0, or (b + 1) / (m + 1) with b of m random ones (Phipson
      and Smyth 2010, "Permutation p-values should never be zero"); 1 where no part differs from 0.
    """
    parts = np.asarray(parts, np.float64)
    parts = parts[parts != 0]
    if not parts.size:
        return 1.0
    exact = parts.size <= EXACT
    if exact:
        bits = np.arange(2**parts.size)[:, None] >> np.arange(parts.size) & 1
    else:
        bits = np.random.default_rng(seed).integers(0, 2, (permutations, parts.size))
    sums = np.abs((2.0 * bits - 1.0) @ parts)
    # Sums that are equal but for rounding count as equal.
    extreme = int(np.sum(sums >= np.abs(parts.sum()) - 1e-9 * np.abs(parts).sum()))
    return extreme / len(sums) if exact else (extreme + 1) / (len(sums) + 1)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's step-down adjustment of p-values, for the family-wise error rate.

    Args:
      p_values: [n] in [0, 1]; a NaN (a test that could not be made) stays NaN and is not counted.

    Returns:
      [n] adjusted: of the i-th smallest (from 0), the largest of (n - j) p_j over j <= i, at most 1.

    Reference: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    p = np.asarray(p_values, np.float64)
    adjusted = np.full(p.shape, np.nan)
    order = np.argsort(p, kind="stable")[: np.sum(~np.isnan(p))]  # NaNs sort last
    steps = np.arange(len(order), 0, -1) * p[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def power(
    labels: np.ndarray, arm: Arm, patients: int, simulations: int = 1000, draws: int = 1000, seed: int = 0
) -> float:
    """Estimated probability that a balanced accuracy above 0.5 is detected with a cohort of some size.

    Detected means what a report would say: the 95% bootstrap interval over patients, as by `bootstrap_arms`, lies
    wholly above 0.5. Cohorts are drawn with replacement from the given patients, within each grade and in their
    proportions. So it answers for a population like these patients and for networks as good as these: more
    patients to train on would make better ones. From few patients it is as uncertain as the balanced accuracy itself,
    and says no more than its interval; use it to see how many patients a next study needs.

    Args:
      labels: [patients given] in {0, 1}, both present.
      arm: out-of-fold predictions of these patients.
      patients: size of the imagined cohorts; at least two of each grade must be in it.
      simulations: cohorts drawn.
      draws: resamples behind each interval, the same for all cohorts.
      seed: of both.

    Returns:
      Share of the cohorts in which it is detected.

    Raises:
      ValueError: a grade has fewer than two patients in the cohort, or none in what is given.
    """
    labels = np.asarray(labels)
    generator = np.random.default_rng(seed)
    right = _right(labels, arm, "arm").mean(axis=0)
    hgg = int(round(patients * float(np.mean(labels == 1))))
    accuracy = np.zeros((simulations, draws))
    for label, count in ((1, hgg), (0, patients - hgg)):
        if count < 2 or label not in labels:
            raise ValueError(
                f"{patients} patients in the proportions given are {hgg} HGG and {patients - hgg} LGG; "
                "raise patients until both are at least 2"
            )
        cohorts = generator.choice(right[labels == label], (simulations, count))
        accuracy += cohorts @ _multiplicities(generator, count, draws).T / (2.0 * count)
    return float(np.mean(np.percentile(accuracy, 2.5, axis=1) > CHANCE))


def _arrays(arm: Arm, patients: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and thresholds of an arm, both [runs, patients]."""
    probabilities = np.asarray(arm.probabilities, np.float64)
    if probabilities.ndim != 2 or probabilities.shape[1] != patients or not len(probabilities):
        raise ValueError(
            f"probabilities of {name} have shape {probabilities.shape}; with {patients} labels give [runs, {patients}]"
        )
    threshold = np.asarray(arm.threshold, np.float64)
    if threshold.shape not in ((), probabilities.shape):
        raise ValueError(
            f"threshold of {name} has shape {threshold.shape}; give a scalar or one for each of {probabilities.shape}"
        )
    if not (np.isfinite(probabilities).all() and np.isfinite(threshold).all()):
        raise ValueError(f"scores of {name} are not all finite; every run must predict every patient once")
    return probabilities, np.broadcast_to(threshold, probabilities.shape)


def _right(labels: np.ndarray, arm: Arm, name: str) -> np.ndarray:
    """Whether each run said the right grade of each patient: [runs, patients]."""
    probabilities, thresholds = _arrays(arm, len(labels), name)
    return (probabilities > thresholds) == (labels == 1)


def _multiplicities(generator: np.random.Generator, n: int, draws: int) -> np.ndarray:
    """How often each of n is drawn in n draws with replacement: [draws, n]."""
    return generator.multinomial(n, np.full(n, 1.0 / n), draws)


def _estimate(values: np.ndarray, spread: bool) -> Estimate:
    """The first value with the interval of the others."""
    return Estimate(float(values[0]), *(_percentiles(values[1:]) if spread else (np.nan, np.nan)))


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    if values.size == 0:
        return np.nan, np.nan
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
