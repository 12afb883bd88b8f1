"""Errors of measures over few-shot draws, for new patients who are tested and trained on, and for new draws.

A patient is tested in many draws and trained on in others, so that a new cohort changes both. The first-order expansion
of a measure in the weights of patients has two parts: as tested patients their pairs weigh more; as trained ones the
draws that hold them do (infinitesimal jackknife).

- Of the class of few, the second is a covariance over draws of being trained on and of how the draw does, whoever was
  tested in it. Finitely many draws add noise to it that would count as if it were of patients: it is subtracted.
- Of other classes nearly all groups are trained on in every draw, so that this noise would exceed all else. What can be
  known is the part that goes with how a group does as tested, as typical patients are easy to classify and good to
  learn from: one slope for each class, and no less than that of the class of few, or 0. The rest is counted only
  where there are so many draws that it is beyond their noise (some 300).

To both comes the chance of the draws themselves. Intervals were simulated, see README.md.

References: Efron 2014, "Estimation and accuracy after model selection"; Wager, Hastie and Efron 2014, "Confidence
  intervals for random forests: the jackknife and the infinitesimal jackknife", for the bias by finitely many draws;
  Wager and Athey 2018 for draws without replacement.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special, stats

from rembrandt_featgen.measures.differences import LEVEL, Difference
from rembrandt_featgen.measures.few_shot_auroc import Parts, Resamples

_SURE = 1.645  # deviations of noise, beyond which a sum of squares is more than noise


class Training(NamedTuple):
    """Who was trained on.

    Attributes:
      trained: [draws, groups] whether anybody of a group was.
      few: class of which few are.
    """

    trained: np.ndarray
    few: int


class Estimate(NamedTuple):
    """A measure, or a difference.

    Attributes:
      difference: the value and its error.
      values: [1 + resamples], of which 95% lie as far apart as the interval; the first is the value.
    """

    difference: Difference
    values: np.ndarray


def estimate(parts: Parts, training: Training, drawn: Resamples) -> Estimate:
    """A measure over new patients, tested and trained on, and new draws.

    Args:
      parts: of `auroc` or `mean_loss`.
      training: who was trained on in these draws.
      drawn: as for `parts`.
    """
    return _estimate(
        parts, parts.influence * _slopes(parts, training, drawn)[drawn.units], training=training, drawn=drawn
    )


def difference(after: Parts, before: Parts, *, training: Training, drawn: Resamples) -> Estimate:
    """The difference of two pipelines that were tested on the same patients.

    Args:
      after, before: of `auroc` or `mean_loss`.
      training: who was trained on, by both.
      drawn: as for `after`.
    """
    gap = Parts(*(one - other for one, other in zip(after, before)))
    slopes = [_slopes(one, training, drawn) for one in (after, before)]
    middle, others = (after.influence + before.influence) / 2.0, np.zeros(len(drawn.units))
    for label, (slope, beyond) in enumerate(zip(np.mean(slopes, axis=0), slopes[0] - slopes[1])):
        rows = drawn.units == label
        if label == training.few or not rows.any():
            continue
        _, noise = _covariance(gap.effects, training, drawn.units, label=label)
        size = float(np.sum(middle[rows] ** 2)) * rows.sum()
        # One slope more than the other may be noise of finitely many draws; half of it was enough in simulations.
        beyond *= np.sqrt(max(1.0 - 0.5 * noise / max(beyond**2 * size, np.finfo(float).tiny), 0.0))
        others[rows] = slope * gap.influence[rows] + beyond * middle[rows]
    both = [after.influence, before.influence]
    others = others + _beyond(gap.effects, both, training=training, units=drawn.units)
    return _estimate(gap, others, training=training, drawn=drawn)


def _estimate(parts, others, *, training, drawn) -> Estimate:
    """`estimate`, with the influence [groups] of training on other classes than that of few."""
    influence = others + _of_few(parts.effects, training, drawn.units)
    n, least = len(parts.effects), min(drawn.counts)
    # [1 + resamples]: the first row is the cohort itself, to which nothing is added.
    of_patients = parts.tested + (drawn.drawn - 1.0) @ influence
    known = of_patients[1:][np.isfinite(of_patients[1:])]
    # Resamples of n vary by a factor (n - 1) / n less than cohorts of n do.
    patients = float(known.var(ddof=1)) * least / (least - 1) if len(known) > 1 and least > 1 else np.nan
    between = float(parts.effects.var(ddof=1)) if n > 1 else np.nan
    # Effects of draws vary, too, by who was tested in each; that is the patients' already.
    true = max(between - float(np.square(parts.residuals).sum(axis=1).mean()), 0.0)
    chance = true / n
    # The variance of patients is itself of covariances: half of the freedom, by simulation.
    squares = patients**2 / max((least - 1) / 2, 1) + chance**2 / max(n - 1, 1)
    degrees = (patients + chance) ** 2 / squares if squares != 0 else np.inf
    error = float(np.sqrt(patients + chance))
    of_draws = (drawn.draws - 1.0) @ parts.effects / n * np.sqrt(true / between if between > 0 else 0.0)
    found = Difference(float(parts.tested[0]), error, degrees, trainings=n)
    values = of_patients + of_draws
    width, half = float(np.nanstd(values[1:])) * stats.norm.ppf(1.0 - LEVEL / 2.0), found.interval()[1] - found.value
    return Estimate(found, found.value + (values - found.value) * (half / width if width > 0 else 1.0))


def interval(found: Difference) -> tuple[float, float]:
    """95% interval of an AUROC itself, symmetric in its log-odds: near 1 it may be much lower and hardly higher."""
    if not 0.0 < found.value < 1.0:
        return found.value, found.value
    middle = special.logit(found.value)
    half = (found.interval()[1] - found.value) / (found.value * (1.0 - found.value))
    return float(special.expit(middle - half)), float(special.expit(middle + half))


def _of_few(effects, training, units) -> np.ndarray:
    """[groups] influence of training on the class of few; shrunk by what finitely many draws add to its variance."""
    raw, noise = _covariance(effects, training, units, label=training.few)
    total = float(np.sum(raw**2))
    return raw * np.sqrt(max(1.0 - noise / total, 0.0)) if total > 0 else raw


def _beyond(effects, influences, *, training, units) -> np.ndarray:
    """[groups] influence of training on other classes that does not go with what groups do as tested.

    Only where draws are so many that it is beyond the noise that they leave.

    Args:
      influences: [groups] of those tested, one for each pipeline.
    """
    found = np.zeros(len(units))
    for label in np.unique(units):
        if label == training.few:
            continue
        raw, noise = _covariance(effects, training, units, label=label)
        rows = units == label
        known = np.stack([one[rows] for one in influences], axis=1)
        rest = raw[rows] - known @ np.linalg.lstsq(known, raw[rows], rcond=None)[0]
        total = float(np.sum(rest**2))
        if total > noise * (1.0 + _SURE * np.sqrt(2.0 / rows.sum())):
            found[rows] = rest * np.sqrt(1.0 - noise / total)
    return found


def _slopes(parts, training, drawn) -> np.ndarray:
    """[classes] by how much a measure rises through training on a group, as a multiple of what it rises as tested.

    0 for the class of few, whose groups are known one by one.
    """
    influence, slopes = parts.influence, np.zeros(int(drawn.units.max()) + 1, np.float64)
    for label in np.unique(drawn.units):
        own = np.where(drawn.units == label, influence, 0.0)
        raw, _ = _covariance(parts.effects, training, drawn.units, label=label)
        slopes[label] = np.dot(own, raw) / np.maximum(np.dot(own, own), np.finfo(float).tiny)
    slopes = np.maximum(slopes, max(slopes[training.few], 0.0))
    slopes[training.few] = 0.0
    return slopes


def _covariance(effects, training, units, *, label) -> tuple[np.ndarray, float]:
    """[groups] influence through training of the groups of a class, and how much noise adds to its sum of squares."""
    raw, members = np.zeros(len(units)), np.flatnonzero(units == label)
    inside, n = training.trained[:, members].astype(float), len(members)
    share, taken = inside.mean(axis=0), inside.sum(axis=1).mean()
    if len(effects) < 2 or not 0 < taken < n:
        return raw, 0.0
    # Draws are without replacement: where one group is in, another is less likely so.
    factor = (n - 1) / (n - taken)
    raw[members] = factor * (inside - share).T @ effects / len(effects)
    return raw, factor**2 * float(np.sum(share * (1.0 - share))) * float(effects.var(ddof=1)) / len(effects)
