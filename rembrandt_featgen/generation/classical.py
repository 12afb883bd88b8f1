"""Extra training features of each grade by classical means, and from pools that others filled.

Every synthesiser is a function (training set, extra samples by grade, seed) -> (features, labels) of the extra samples,
LGG before HGG. It sees training patients only, never mixes two grades, and returns features from 0 on, in the U-Net's
own units. Distances and noise are measured on features divided by the scale of their channel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from imblearn import over_sampling
from sklearn.neighbors import NearestNeighbors

from rembrandt_featgen.cohort.layouts import GRADES

SMOTE_NEIGHBOURS = 5  # Chawla et al. 2002
DANGER_NEIGHBOURS = 10  # of either grade, by which borderline SMOTE judges a sample: imbalanced-learn's default
NEIGHBOURS = 10  # DeVries and Taylor 2017
STEP = 0.5  # theirs, lambda: how far towards, or away from, a neighbour
NOISE = 0.5  # theirs, gamma: standard deviation of the noise, here as a fraction of the channel's scale


def scaled(features: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """float32 features [n, h, w, channels] divided by the scale [channels]; 0 in channels that never fire."""
    inverse = np.divide(1.0, scale, out=np.zeros(len(scale), np.float32), where=scale > 0)
    return features.astype(np.float32) * inverse


class Samples(NamedTuple):
    """Features [n, h, w, channels] float32 in the U-Net's own units, and their labels [n]."""

    features: np.ndarray
    labels: np.ndarray


@dataclasses.dataclass(frozen=True)
class TrainingSet:
    """Features of the training patients.

    Attributes:
      features: [n, h, w, channels], float32 or float16, from 0 on.
      labels: [n] in {0, 1}, both of which must be there.
      patients: [n] ids.
      scale: [channels] of `training.scaling`; 0 marks a channel that never fires.
    """

    features: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    scale: np.ndarray

    def __post_init__(self):
        """Raises ValueError where lengths differ or a grade is missing."""
        n = len(self.features)
        if self.features.ndim != 4 or not len(self.labels) == len(self.patients) == n:
            raise ValueError(
                f"a training set needs features [n, h, w, channels], labels [n] and patients [n], received "
                f"{self.features.shape}, {np.shape(self.labels)} and {np.shape(self.patients)}"
            )
        if np.shape(self.scale) != self.features.shape[-1:]:
            raise ValueError(f"scale must be [{self.features.shape[-1]}], received {np.shape(self.scale)}")
        for label, grade in enumerate(GRADES):
            if not np.any(self.labels == label):
                raise ValueError(f"a training set needs samples of both grades, received none of {grade}")

    def scaled(self, features: np.ndarray) -> np.ndarray:
        """`scaled` by the own scale."""
        return scaled(features, self.scale)

    def unscaled(self, flat: np.ndarray) -> np.ndarray:
        """Features [n, h, w, channels] from 0 on, from scaled and flattened ones [n, size]."""
        features = np.maximum(flat.reshape(-1, *self.features.shape[1:]), 0.0, dtype=np.float32)
        return features * self.scale.astype(np.float32)


Synthesiser = Callable[[TrainingSet, Mapping[int, int], int], Samples]


def counts(labels: np.ndarray, amount: float) -> dict[int, int]:
    """Extra samples of each grade at an amount.

    Amount 0 brings the rarer grade up to the other, and no more. Amount a > 0 does that and then adds a * n / 2 more to
    each grade, rounded half up, so that amount 1 adds as many as there were real samples, half of each grade.

    Args:
      labels: [n] of the real training samples.
      amount: from 0.

    Returns:
      Label to number.

    Raises:
      ValueError: the amount is negative.
    """
    if amount < 0:
        raise ValueError(f"amount must be from 0, received {amount}")
    own = np.bincount(labels, minlength=len(GRADES))
    more = int(amount * len(labels) / 2 + 0.5)
    return {label: int(own.max() - own[label] + more) for label in range(len(GRADES))}


def repeat(training: TrainingSet, wanted: Mapping[int, int], seed: int) -> Samples:
    """Draws samples again, with replacement: random oversampling."""
    random = np.random.default_rng(seed)
    rows = np.concatenate(
        [random.choice(np.flatnonzero(training.labels == label), wanted.get(label, 0)) for label in range(len(GRADES))]
    )
    return Samples(training.features[rows].astype(np.float32), training.labels[rows].astype(np.int64))


def smote(training: TrainingSet, wanted: Mapping[int, int], seed: int) -> Samples:
    """SMOTE: points drawn evenly between a sample and one of its nearest of the same grade.

    A grade of n samples takes at most n - 1 neighbours; one alone is repeated.

    Reference: Chawla et al., SMOTE: Synthetic Minority Over-sampling Technique, 2002.
    """
    return _imbalanced_learn(training, wanted, seed, _smote)


def borderline_smote(training: TrainingSet, wanted: Mapping[int, int], seed: int) -> Samples:
    """Borderline-SMOTE 1: SMOTE from those samples only most of whose nearest, but not all, are of the other grade.

    They are said to be in danger; a grade without any gets plain SMOTE.

    Reference: Han et al., Borderline-SMOTE, 2005.
    """

    def sampler(neighbours, n, **options):
        return over_sampling.BorderlineSMOTE(
            k_neighbors=neighbours, m_neighbors=min(DANGER_NEIGHBOURS, n - 1), **options
        )

    return _imbalanced_learn(training, wanted, seed, sampler)


def gaussian_noise(training: TrainingSet, wanted: Mapping[int, int], seed: int, sigma: float = NOISE) -> Samples:
    """Samples with noise where they fired: a unit that did not was below its threshold by an unknown margin.

    Args:
      training, wanted, seed: as for every synthesiser.
      sigma: standard deviation of the noise as a fraction of the channel's scale.

    Reference: DeVries and Taylor, Dataset Augmentation in Feature Space, 2017, eq. (1).
    """

    def draw(real, count, random):
        chosen = real[_take(len(real), count, random)]
        noise = random.standard_normal(chosen.shape, np.float32)
        return np.where(chosen > 0, chosen + sigma * noise, 0.0)

    return _by_grade(training, wanted, seed, draw)


def interpolate(training: TrainingSet, wanted: Mapping[int, int], seed: int) -> Samples:
    """Points half way from a sample to one of its nearest of the same grade.

    Reference: DeVries and Taylor, 2017, eq. (2).
    """
    return _by_grade(training, wanted, seed, lambda *args: _towards_neighbours(*args, STEP))


def extrapolate(training: TrainingSet, wanted: Mapping[int, int], seed: int) -> Samples:
    """Points half as far beyond a sample as one of its nearest of the same grade is before it; below 0 becomes 0.

    Reference: DeVries and Taylor, 2017, eq. (3).
    """
    return _by_grade(training, wanted, seed, lambda *args: _towards_neighbours(*args, -STEP))


def from_pool(pool: Samples) -> Synthesiser:
    """A synthesiser that draws from features that are there, without replacement.

    Args:
      pool: such as features of augmented slices, or those whose grade a discriminator confirmed, made from the training
        patients alone. Where it holds fewer of a grade than are wanted, all of them are returned and no more, so that
        the arm gets less than its amount; count the labels that come back.
    """

    def draw_from_pool(training: TrainingSet, wanted: Mapping[int, int], seed: int) -> Samples:
        if pool.features.shape[1:] != training.features.shape[1:] or len(pool.features) != len(pool.labels):
            raise ValueError(
                f"a pool for features {training.features.shape[1:]} holds {len(pool.labels)} labels and features "
                f"{pool.features.shape}; make it anew from the same tap"
            )
        random, rows = np.random.default_rng(seed), []
        for label in range(len(GRADES)):
            # All of them in an order of their own, so that a greater amount holds what a smaller one did.
            rows.append(random.permutation(np.flatnonzero(pool.labels == label))[: wanted.get(label, 0)])
        chosen = np.concatenate(rows)
        return Samples(pool.features[chosen].astype(np.float32), np.asarray(pool.labels)[chosen].astype(np.int64))

    return draw_from_pool


def _by_grade(training: TrainingSet, wanted: Mapping[int, int], seed: int, draw) -> Samples:
    """Extra samples by draw(scaled flat features [m, size] of a grade, count, random)."""
    parts, labels = [], []
    for label in range(len(GRADES)):
        real = training.scaled(training.features[training.labels == label])
        extra = draw(real.reshape(len(real), -1), wanted.get(label, 0), np.random.default_rng([seed, label]))
        parts.append(training.unscaled(extra))
        labels += [label] * len(extra)
    return Samples(np.concatenate(parts), np.array(labels, np.int64))


def _take(n: int, count: int, random: np.random.Generator) -> np.ndarray:
    """`count` of n things: all of them equally often, but for the last round."""
    rounds = [random.permutation(n) for _ in range(-(-count // n))]
    return np.concatenate([np.zeros(0, np.int64), *rounds])[:count]


def _towards_neighbours(real: np.ndarray, count: int, random: np.random.Generator, step: float) -> np.ndarray:
    """Samples moved by `step` of the way to one of their nearest; each pair is taken once before one is taken twice."""
    k = min(NEIGHBOURS, len(real) - 1)
    if not count or not k:  # a sample alone has nowhere to go
        return real[_take(len(real), count, random)]
    nearest = NearestNeighbors(n_neighbors=k).fit(real).kneighbors(return_distance=False)
    pairs = np.stack([np.repeat(np.arange(len(real)), k), nearest.ravel()], axis=1)
    if step == 0.5:  # half way is the same point from both ends
        pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    own, other = real[pairs[_take(len(pairs), count, random)]].swapaxes(0, 1)
    return own + np.float32(step) * (other - own)


def _smote(neighbours, n, **options):
    return over_sampling.SMOTE(k_neighbors=neighbours, **options)


def _imbalanced_learn(training: TrainingSet, wanted: Mapping[int, int], seed: int, make_sampler) -> Samples:
    """Extra samples by one of imbalanced-learn's, which is fitted on both grades and asked for one of them at a time.

    Args:
      training, wanted, seed: as for every synthesiser.
      make_sampler: from (neighbours, samples of both grades, **options) to the sampler.
    """
    labels = np.asarray(training.labels)
    flat = training.scaled(training.features).reshape(len(labels), -1)
    parts, extra_labels = [], []
    for label in range(len(GRADES)):
        own, count = int(np.sum(labels == label)), wanted.get(label, 0)
        if own == 1 or not count:
            extra = flat[labels == label][np.zeros(count, np.int64)]
        else:
            for make in (make_sampler, _smote):  # borderline SMOTE makes none where no sample is in danger
                sampler = make(
                    min(SMOTE_NEIGHBOURS, own - 1),
                    len(labels),
                    sampling_strategy={label: own + count},
                    random_state=2 * seed + label,
                )
                extra = sampler.fit_resample(flat, labels)[0][len(flat) :]  # the real samples come first
                if len(extra):
                    break
        parts.append(training.unscaled(extra))
        extra_labels += [label] * len(extra)
    return Samples(np.concatenate(parts), np.array(extra_labels, np.int64))
