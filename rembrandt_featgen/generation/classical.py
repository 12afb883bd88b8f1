"""The methods as the engine of arms takes them: (training set, extra samples by label, seed) -> samples.

Features come and go in the U-Net's own units, from 0 on; distances and noise are measured on features divided by the
scale of their channel. What the methods do is in `methods`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.generation.resampling import repeated
from rembrandt_featgen.generation.sample_pool import SamplePool
from rembrandt_featgen.generation.training_set import Samples, TrainingSet

Synthesiser = Callable[[TrainingSet, Mapping[int, int], int], Samples]


def from_method(name: str) -> Synthesiser:
    """A synthesiser that draws by a method of `METHODS`."""

    def synthesise(training: TrainingSet, wanted: Mapping[int, int], seed: int) -> Samples:
        fitted = METHODS[name].fit(
            training.scaled(training.features),
            np.asarray(training.labels),
            training.patients,
            num_classes=training.num_classes,
            signed=False,
            seed=seed,
        )
        extra = fitted.draw_all(wanted, seed)
        return Samples(training.unscaled(extra.features), extra.labels)

    return synthesise


smote, borderline_smote = from_method("smote"), from_method("borderline_smote")
gaussian_noise = from_method("gaussian_noise")
interpolate, extrapolate = from_method("interpolation"), from_method("extrapolation")


def repeat(training: TrainingSet, wanted: Mapping[int, int], seed: int) -> Samples:
    """Random oversampling; one stream of random numbers for all classes."""
    random = np.random.default_rng(seed)
    labels = np.asarray(training.labels)
    rows = [
        repeated(np.flatnonzero(labels == label), wanted.get(label, 0), random) for label in range(training.num_classes)
    ]
    return _rows(training.features, labels, np.concatenate(rows))


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
        random, samples = np.random.default_rng(seed), SamplePool(pool.features, np.asarray(pool.labels))
        rows = [samples.rows(label, wanted.get(label, 0), random) for label in range(training.num_classes)]
        return _rows(samples.features, samples.labels, np.concatenate(rows))

    return draw_from_pool


def _rows(features: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Samples:
    return Samples(features[rows].astype(np.float32), labels[rows].astype(np.int64))
