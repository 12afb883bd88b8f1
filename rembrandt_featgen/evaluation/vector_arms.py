"""The arms of a study of vectors: what is added to or done with the training samples, as problems for a classifier."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.classification.vector_problems import Problem
from rembrandt_featgen.generation import training_set
from rembrandt_featgen.generation.methods import METHODS

FOCUSING = 2.0  # gamma of Lin et al. 2017


class TrainingSamples(NamedTuple):
    """Prepared vectors [n, d] float32, labels [n] int64 and groups [n] of training patients."""

    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray


@dataclasses.dataclass(frozen=True)
class VectorArm:
    """One way to train; all else is as in the arm "none".

    Attributes:
      name: as in the table; of an arm that adds samples the name of its method in `METHODS`.
      kind: "none", "classical" or "generative".
      method: whether samples are added by `METHODS[name]`.
      undersample: whether samples of each class are left out at random, down to as many as the minority class has.
      class_weights: whether a sample of class c weighs n / (classes n_c).
      focusing: gamma of the focal loss.
      mixing: None, "input" (mixup) or "manifold".
      tuned: whether regularisation is tuned; else it is the weakest of those that tuning tries.
      threshold: whether thresholds are chosen; else each class has the same.
    """

    name: str
    kind: str = "classical"
    method: bool = False
    undersample: bool = False
    class_weights: bool = False
    focusing: float = 0.0
    mixing: str | None = None
    tuned: bool = True
    threshold: bool = True


# In the order of the table. The first four are real samples alone: "none" is what generation has to beat, "plain" what
# is often taken for it, and the two between say which of the two steps from there to here is worth what.
VECTOR_ARMS: dict[str, VectorArm] = {
    arm.name: arm
    for arm in (
        VectorArm("none", "none"),
        VectorArm("plain", "none", tuned=False, threshold=False),
        VectorArm("weight_decay", "none", threshold=False),
        VectorArm("threshold_tuning", "none", tuned=False),
        VectorArm("class_weights", class_weights=True),
        VectorArm("focal_loss", focusing=FOCUSING),
        VectorArm("undersampling", undersample=True),
        VectorArm("mixup", mixing="input"),
        VectorArm("manifold_mixup", mixing="manifold"),
        *(VectorArm(name, method.kind, method=True) for name, method in METHODS.items()),
    )
}


def problem(
    arm: VectorArm, samples: TrainingSamples, *, amount: float | None, num_classes: int, signed: bool, seed: int
) -> Problem:
    """What a classifier is to be trained on.

    Args:
      arm: of `VECTOR_ARMS`.
      samples: of the training patients, or of an inner part of them.
      amount: of extra samples, see `training_set.counts`; None, and only None, for an arm without a method.
      num_classes: of the run.
      signed: whether a prepared value may be below 0.
      seed: of what is drawn.

    Raises:
      ValueError: an amount is missing, or has no use.
    """
    if (amount is not None) != arm.method:
        raise ValueError(f"arm {arm.name} takes {'an' if arm.method else 'no'} amount, received {amount}")
    features, labels = samples.features, samples.labels
    if amount is not None:
        fitted = METHODS[arm.name].fit(
            features, labels, samples.groups, num_classes=num_classes, signed=signed, seed=seed
        )
        there = np.unique(labels)
        wanted = training_set.counts(labels, amount, num_classes)
        extra = fitted.draw_all({label: count for label, count in wanted.items() if label in there}, seed)
        features, labels = np.concatenate([features, extra.features]), np.concatenate([labels, extra.labels])
    elif arm.undersample:
        rows = _undersampled(labels, np.random.default_rng([seed, 2]))
        features, labels = features[rows], labels[rows]
    weights = None
    if arm.class_weights:
        counts = np.bincount(labels, minlength=num_classes)
        weights = len(labels) / (num_classes * np.maximum(counts, 1.0))[labels]
    return Problem(features, labels, num_classes, weights=weights, focusing=arm.focusing, mixing=arm.mixing, seed=seed)


def _undersampled(labels, random):
    """Rows of as many samples of each class as the smallest has."""
    there = np.unique(labels)
    least = min(int((labels == label).sum()) for label in there)
    rows = [random.permutation(np.flatnonzero(labels == label))[:least] for label in there]
    return np.sort(np.concatenate(rows))
