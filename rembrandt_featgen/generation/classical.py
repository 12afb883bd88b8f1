"""Extra training features of each class by classical resamplers, and from pools that others filled.

Every synthesiser is a function (training set, extra samples by label, seed) -> (features, labels) of the extra samples,
in order of their labels. It sees training patients only, never mixes two classes, and returns features from 0 on, in
the U-Net's own units. Distances and noise are measured on features divided by the scale of their channel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from imblearn import over_sampling
from sklearn.neighbors import NearestNeighbors

from rembrandt_featgen.generation.training_set import Samples, TrainingSet

SMOTE_NEIGHBOURS = 5  # Chawla et al. 2002
DANGER_NEIGHBOURS = 10  # of any class, by which borderline SMOTE judges a sample: imbalanced-learn's default
NEIGHBOURS = 10  # DeVries and Taylor 2017
STEP = 0.5  # theirs, lambda: how far towards, or away from, a neighbour
NOISE = 0.5  # theirs, gamma: standard deviation of the noise, here as a fraction of the channel's scale


Synthesiser = Callable[[TrainingSet, Mapping[int, int], int], Samples]
# From scaled flat features [m, size] of one class, a count and a generator of random numbers, to [count, size].
Draw = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def repeat(training: TrainingSet, wanted: Mapping[int, int], seed: int) -> Samples:
    """Draws samples again, with replacement: random oversampling."""
    random = np.random.default_rng(seed)
    chosen = [
        random.choice(np.flatnonzero(training.labels == label), wanted.get(label, 0))
        for label in range(training.num_classes)
    ]
    rows = np.concatenate(chosen)
    return Samples(training.features[rows].astype(np.float32), training.labels[rows].astype(np.int64))


def smote(training: TrainingSet, wanted: Mapping[int, int], seed: int) -> Samples:
    """SMOTE: points drawn evenly between a sample and one of its nearest of the same class.

    A class of n samples takes at most n - 1 neighbours; one alone is repeated.

    Reference: Chawla et al., SMOTE: Synthetic Minority Over-sampling Technique, 2002.
    """
    return _imbalanced_learn(training, wanted, seed, make_sampler=_smote)


def borderline_smote(training: TrainingSet, wanted: Mapping[int, int], seed: int) -> Samples:
    """Borderline-SMOTE 1: SMOTE from those samples only most of whose nearest, but not all, are of another class.

    They are said to be in danger; a class without any gets plain SMOTE.

    Reference: Han et al., Borderline-SMOTE, 2005.
    """

    def sampler(neighbours, n, **options):
        return over_sampling.BorderlineSMOTE(
            k_neighbors=neighbours, m_neighbors=min(DANGER_NEIGHBOURS, n - 1), **options
        )

    return _imbalanced_learn(training, wanted, seed, make_sampler=sampler)


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

    return _by_class(training, wanted, seed, draw=draw)


def interpolate(training: TrainingSet, wanted: Mapping[int, int], seed: int) -> Samples:
    """Points half way from a sample to one of its nearest of the same class.

    Reference: DeVries and Taylor, 2017, eq. (2).
    """
    return _by_class(training, wanted, seed, draw=_towards_neighbours(STEP))


def extrapolate(training: TrainingSet, wanted: Mapping[int, int], seed: int) -> Samples:
    """Points half as far beyond a sample as one of its nearest of the same class is before it; below 0 becomes 0.

    Reference: DeVries and Taylor, 2017, eq. (3).
    """
    return _by_class(training, wanted, seed, draw=_towards_neighbours(-STEP))


def from_pool(pool: Samples) -> Synthesiser:
    """A synthesiser that draws from a pool of features, without replacement.

    Args:
      pool: such as features of augmented slices, or those that a discriminator accepted, made from the training
        patients alone. Where it holds fewer of a class than are wanted, all of them are returned and no more, so that
        the arm gets less than its amount; count the labels that come back.
    """

    def draw_from_pool(training: TrainingSet, wanted: Mapping[int, int], seed: int) -> Samples:
        if pool.features.shape[1:] != training.features.shape[1:] or len(pool.features) != len(pool.labels):
            raise ValueError(
                f"a pool for features {training.features.shape[1:]} holds {len(pool.labels)} labels and features "
                f"{pool.features.shape}; make it again from the same tap"
            )
        random, rows = np.random.default_rng(seed), []
        for label in range(training.num_classes):
            # The order does not depend on the amount, so that a greater amount holds what a smaller one did.
            rows.append(random.permutation(np.flatnonzero(pool.labels == label))[: wanted.get(label, 0)])
        chosen = np.concatenate(rows)
        return Samples(pool.features[chosen].astype(np.float32), np.asarray(pool.labels)[chosen].astype(np.int64))

    return draw_from_pool


def _by_class(training: TrainingSet, wanted: Mapping[int, int], seed: int, *, draw: Draw) -> Samples:
    """Extra samples by drawing from each class."""
    parts, labels = [], []
    for label in range(training.num_classes):
        real = training.scaled(training.features[training.labels == label])
        extra = draw(real.reshape(len(real), -1), wanted.get(label, 0), np.random.default_rng([seed, label]))
        parts.append(training.unscaled(extra))
        labels += [label] * len(extra)
    return Samples(np.concatenate(parts), np.array(labels, np.int64))


def _take(n: int, count: int, random: np.random.Generator) -> np.ndarray:
    """`count` of n things: all of them equally often, but for the last round."""
    rounds = [random.permutation(n) for _ in range(-(-count // n))]
    return np.concatenate([np.zeros(0, np.int64), *rounds])[:count]


def _towards_neighbours(step: float) -> Draw:
    """Moves samples by `step` of the way to one of their nearest; each pair is taken once before one is taken twice."""

    def draw(real: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
        k = min(NEIGHBOURS, len(real) - 1)
        if not count or not k:  # a sample alone has nowhere to go
            return real[_take(len(real), count, random)]
        nearest = NearestNeighbors(n_neighbors=k).fit(real).kneighbors(return_distance=False)
        pairs = np.stack([np.repeat(np.arange(len(real)), k), nearest.ravel()], axis=1)
        if step == 0.5:  # half way is the same point from both ends
            pairs = np.unique(np.sort(pairs, axis=1), axis=0)
        start, other = real[pairs[_take(len(pairs), count, random)]].swapaxes(0, 1)
        return start + np.float32(step) * (other - start)

    return draw


def _smote(neighbours, n, **options):
    return over_sampling.SMOTE(k_neighbors=neighbours, **options)


def _imbalanced_learn(training: TrainingSet, wanted: Mapping[int, int], seed: int, *, make_sampler) -> Samples:
    """Extra samples by one of imbalanced-learn's, which is fitted on all classes and asked for one at a time.

    Args:
      training, wanted, seed: as for every synthesiser.
      make_sampler: from (neighbours, samples of all classes, **options) to the sampler.
    """
    labels = np.asarray(training.labels)
    flat = training.scaled(training.features).reshape(len(labels), -1)
    parts, extra_labels = [], []
    for label in range(training.num_classes):
        real, count = int(np.sum(labels == label)), wanted.get(label, 0)
        if real == 1 or not count:
            extra = flat[labels == label][np.zeros(count, np.int64)]
        else:
            for make in (make_sampler, _smote):  # borderline SMOTE makes none where no sample is in danger
                sampler = make(
                    min(SMOTE_NEIGHBOURS, real - 1),
                    len(labels),
                    sampling_strategy={label: real + count},
                    random_state=2 * seed + label,
                )
                extra = sampler.fit_resample(flat, labels)[0][len(flat) :]  # the real samples come first
                if len(extra):
                    break
        parts.append(training.unscaled(extra))
        extra_labels += [label] * len(extra)
    return Samples(np.concatenate(parts), np.array(extra_labels, np.int64))
