"""AUROC over few-shot draws as one U-statistic: the share of concordant pairs among all pairs of all draws.

What its error needs, and that of a mean loss: resamples of test patients, how well each draw did whoever was tested in
it, and how much each patient adds. `few_shot_errors` makes intervals of these.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rembrandt_featgen.measures import bootstrap

_ROUNDS = 12  # of fitting additive effects, which have settled by then


class Resamples(NamedTuple):
    """How often each patient, and each draw, is there in each resample; the first row is the cohort itself.

    Attributes:
      labels: [patients] in [0, classes).
      groups: [patients] index of what is drawn together.
      drawn: [1 + resamples, groups].
      draws: [1 + resamples, draws] of patients to train on.
      units: [groups] class as which a group is drawn.
    """

    labels: np.ndarray
    groups: np.ndarray
    drawn: np.ndarray
    draws: np.ndarray
    units: np.ndarray

    @property
    def counts(self) -> list[int]:
        """[classes] number of groups."""
        return np.unique(self.units, return_counts=True)[1].tolist()


class Parts(NamedTuple):
    """A measure of one pipeline.

    Attributes:
      tested: [1 + resamples] over resampled test patients.
      effects: [draws] how far each draw is above the mean, whoever was tested in it.
      residuals: [draws, patients] what each tested patient adds to these beyond its mean over draws.
      influence: [groups] by how much the measure rises where a tested group weighs 1 more.
    """

    tested: np.ndarray
    effects: np.ndarray
    residuals: np.ndarray
    influence: np.ndarray


def resamples(
    labels: np.ndarray, *, draws: int, groups: np.ndarray | None = None, times: int = 2000, seed: int = 0
) -> Resamples:
    """Groups drawn with replacement within their class, and draws among all draws.

    Args:
      labels: [patients].
      draws: how many draws of patients to train on there are.
      groups: [patients] what is drawn together; None for each patient alone.
      times: number of resamples.
      seed: of them.
    """
    units, where = bootstrap.drawn_together(np.asarray(labels), groups)
    generator = np.random.default_rng(seed)
    drawn = np.ones((1 + times, len(units)))
    for label in np.unique(units):
        members = np.flatnonzero(units == label)
        drawn[1:, members] = bootstrap.multiplicities(generator, len(members), times)
    again = np.ones((1 + times, draws))
    again[1:] = bootstrap.multiplicities(generator, draws, times)
    return Resamples(np.asarray(labels), where, drawn=drawn, draws=again, units=units)


def auroc(scores: np.ndarray, drawn: Resamples) -> Parts:
    """AUROC over all pairs that were tested in the same draw; of many classes, their mean.

    Args:
      scores: [draws, patients, classes], such as probabilities; NaN where a patient was not tested.
      drawn: resamples of the same patients and draws.
    """
    classes = (1,) if scores.shape[2] == 2 else tuple(range(scores.shape[2]))
    parts = [_auroc(scores[:, :, label], drawn.labels == label, drawn=drawn) for label in classes]
    return Parts(*(np.mean([part[i] for part in parts], axis=0) for i in range(4)))


def mean_loss(losses: np.ndarray, drawn: Resamples) -> Parts:
    """Mean of a loss of patients over draws, each class counting the same.

    Args:
      losses: [draws, patients]; NaN where a patient was not tested.
      drawn: as for `auroc`.
    """
    tested = np.isfinite(losses)
    known, weights = np.where(tested, losses, 0.0), drawn.drawn[:, drawn.groups]
    values, effects, of_patient, residuals = [], [], np.zeros(len(drawn.labels)), np.zeros(losses.shape)
    labels = np.unique(drawn.labels)
    for label in labels:
        rows = drawn.labels == label
        sums, counts = known[:, rows].sum(axis=0), tested[:, rows].sum(axis=0)
        values.append(_ratio(weights[:, rows] @ sums, weights[:, rows] @ counts))
        beyond = np.where(tested[:, rows], known[:, rows] - sums / np.maximum(counts, 1), 0.0)
        there = tested[:, rows].sum(axis=1)
        effects.append(_ratio(beyond.sum(axis=1), there))
        around = np.where(tested[:, rows], beyond - np.nan_to_num(effects[-1])[:, None], 0.0)
        residuals[:, rows] = around / np.maximum(there, 1)[:, None] / len(labels)
        of_patient[rows] = (sums - values[-1][0] * counts) / max(counts.sum(), 1) / len(labels)
    both, influence = _centred(np.mean(effects, axis=0)), _by_group(of_patient, drawn)
    return Parts(np.mean(values, axis=0), both, residuals, influence=influence)


def _auroc(scores, positive, *, drawn) -> tuple[np.ndarray, ...]:
    """The first four of `Parts`, of one class against all others."""
    ours, others = scores[:, positive], scores[:, ~positive]
    weights = drawn.drawn[:, drawn.groups]
    there = (np.isfinite(ours), np.isfinite(others))
    inside = there[0].astype(float).T @ there[1]  # [ours, others] draws that test both
    ordered = np.zeros(inside.shape)
    sums = (np.zeros(ours.shape), np.zeros(others.shape))  # of pairs, over the other side
    for draw, (left, right) in enumerate(zip(ours, others)):
        pairs = (left[:, None] > right) + 0.5 * (left[:, None] == right)  # NaN is neither
        ordered += pairs
        sums[0][draw], sums[1][draw] = pairs.sum(axis=1), pairs.sum(axis=0)
    before, after = weights[:, positive], weights[:, ~positive]
    value = _ratio(((before @ ordered) * after).sum(axis=1), ((before @ inside) * after).sum(axis=1))
    beyond, of_patient = (ordered - value[0] * inside) / max(inside.sum(), 1.0), np.zeros(len(positive))
    of_patient[positive], of_patient[~positive] = beyond.sum(axis=1), beyond.sum(axis=0)
    effects, residuals = _draw_effects(sums, there)
    beyond = np.zeros(scores.shape)
    beyond[:, positive], beyond[:, ~positive] = residuals
    return value, effects, beyond, _by_group(of_patient, drawn)


def _draw_effects(sums, there) -> tuple[np.ndarray, list[np.ndarray]]:
    """[draws] effects, and `Parts.residuals` of both sides.

    Of an additive model of pairs, with an effect of each draw and of each patient of both sides.
    A draw that tests easy patients has a high AUROC that has nothing to do with whom it was trained on.
    """
    (left, right), (a, b) = sums, (there[0].astype(float), there[1].astype(float))
    many, few = b.sum(axis=1), a.sum(axis=1)  # [draws]
    total, pairs = left.sum(axis=1), many * few
    effects, ours, others = np.zeros(len(total)), np.zeros(a.shape[1]), np.zeros(b.shape[1])
    middle = total.sum() / max(pairs.sum(), 1.0)
    for _ in range(_ROUNDS):
        gaps = left - a * (many * (middle + effects) + b @ others)[:, None]
        ours = gaps.sum(axis=0) / np.maximum(a.T @ many, 1.0)
        gaps = right - b * (few * (middle + effects) + a @ ours)[:, None]
        others = gaps.sum(axis=0) / np.maximum(b.T @ few, 1.0)
        effects = _ratio(total - pairs * middle - many * (a @ ours) - few * (b @ others), pairs)
        effects = _centred(effects)
    # What the pairs of each patient are beyond the model, as a share of the mean of the draw.
    gaps = left - a * (many * (middle + effects) + b @ others)[:, None] - a * many[:, None] * ours
    back = right - b * (few * (middle + effects) + a @ ours)[:, None] - b * few[:, None] * others
    return effects, [part / np.maximum(pairs, 1.0)[:, None] for part in (gaps, back)]


def _by_group(of_patient, drawn) -> np.ndarray:
    return np.bincount(drawn.groups, weights=of_patient, minlength=len(drawn.units))


def _centred(effects: np.ndarray) -> np.ndarray:
    """Effects less their mean; 0 where a draw tested nobody of a class."""
    known = np.isfinite(effects)
    return np.where(known, effects - effects[known].mean(), 0.0) if known.any() else np.zeros(len(effects))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """NaN where it is of nothing."""
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=np.asarray(below) > 0)
