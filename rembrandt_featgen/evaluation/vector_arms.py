"""The arms of a study of vectors: what is added to or done with the training samples, as problems for a classifier."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from rembrandt_featgen.classification.training_problems import Problem
from rembrandt_featgen.generation import training_set
from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.generation.sample_pool import SamplePool
from rembrandt_featgen.generation.training_set import Samples

FOCUSING = 2.0  # gamma of Lin et al. 2017
SYNTHETIC = "synthetic"  # the arm of samples that somebody else's generator made


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
      inputs: of `covariates.INPUTS`, what the classifier learns from.
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
    inputs: str = "features"


# In the order of the table. The first four are real samples alone: "none" is what generation has to beat, "plain" what
# is often taken for it, and the two between say which of the two steps from there to here is worth what.
VECTOR_ARMS: dict[str, VectorArm] = {
    arm.name: arm
    for arm in (
        VectorArm("none", "none"),
        VectorArm("plain", "none", tuned=False, threshold=False),
        VectorArm("weight_decay", "none", threshold=False),
        VectorArm("threshold_tuning", "none", tuned=False),
        VectorArm("covariates", "none", inputs="covariates"),
        VectorArm("features_and_covariates", "none", inputs="both"),
        VectorArm("class_weights", class_weights=True),
        VectorArm("focal_loss", focusing=FOCUSING),
        VectorArm("undersampling", undersample=True),
        VectorArm("mixup", mixing="input"),
        VectorArm("manifold_mixup", mixing="manifold"),
        *(VectorArm(name, method.kind, method=True) for name, method in METHODS.items()),
        VectorArm(SYNTHETIC, "generative", method=True),
    )
}


def available(names: Sequence[str], *, covariates: bool, synthetic: bool) -> tuple[str, ...]:
    """Those of some arms, in the order of the table, for which there is what they need.

    Args:
      names: of arms.
      covariates: whether there are clinical columns.
      synthetic: whether there are samples that somebody else's generator made.
    """
    arms = [VECTOR_ARMS[name] for name in VECTOR_ARMS if name in names]
    return tuple(
        arm.name for arm in arms if (covariates or arm.inputs == "features") and (synthetic or arm.name != SYNTHETIC)
    )


def problem(
    arm: VectorArm,
    samples: TrainingSamples,
    *,
    amount: float | None,
    num_classes: int,
    seed: int,
    pool: SamplePool | None = None,
) -> Problem:
    """What a classifier is to be trained on.

    Args:
      arm: of `VECTOR_ARMS`.
      samples: of the training patients, or of an inner part of them.
      amount: of extra samples, see `training_set.counts`; None, and only None, for an arm without a method.
      num_classes: of the run.
      seed: of what is drawn.
      pool: for the arm "synthetic", prepared like `samples`; where it holds fewer of a class than are wanted, the
        problem has fewer.

    Raises:
      ValueError: an amount is missing, or has no use; or there is no pool for the arm "synthetic".
    """
    if (amount is not None) != arm.method:
        raise ValueError(f"arm {arm.name} takes {'an' if arm.method else 'no'} amount, received {amount}")
    features, labels = samples.features, samples.labels
    if amount is not None:
        wanted = training_set.counts(labels, amount, num_classes)
        wanted = {label: count for label, count in wanted.items() if label in labels}
        extra = _extra(arm, samples, wanted, num_classes=num_classes, seed=seed, pool=pool)
        features, labels = np.concatenate([features, extra.features]), np.concatenate([labels, extra.labels])
    elif arm.undersample:
        rows = _undersampled(labels, np.random.default_rng([seed, 2]))
        features, labels = features[rows], labels[rows]
    weights = None
    if arm.class_weights:
        counts = np.bincount(labels, minlength=num_classes)
        weights = len(labels) / (num_classes * np.maximum(counts, 1.0))[labels]
    return Problem(features, labels, num_classes, weights=weights, focusing=arm.focusing, mixing=arm.mixing, seed=seed)


def _extra(arm, samples, wanted, *, num_classes, seed, pool) -> Samples:
    """Samples that the method of an arm adds, or those of the pool."""
    if arm.name != SYNTHETIC:
        # once standardised, values are below 0
        fitted = METHODS[arm.name].fit(*samples, num_classes=num_classes, signed=True, seed=seed)
        return fitted.draw_all(wanted, seed)
    if pool is None:
        raise ValueError(f"arm {SYNTHETIC} needs samples that were made elsewhere")
    parts = {label: pool.draw(label, count, seed) for label, count in wanted.items()}
    for label, count in wanted.items():
        if len(parts[label]) < count:
            have = len(parts[label])
            logging.log_first_n(logging.WARNING, "%d samples of label %d are wanted, of %d", 3, count, label, have)
    return Samples(np.concatenate(list(parts.values())), np.repeat(list(parts), list(map(len, parts.values()))))


def _undersampled(labels, random):
    """Rows of as many samples of each class as the smallest has."""
    there = np.unique(labels)
    least = min(int((labels == label).sum()) for label in there)
    rows = [random.permutation(np.flatnonzero(labels == label))[:least] for label in there]
    return np.sort(np.concatenate(rows))
