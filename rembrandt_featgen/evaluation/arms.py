"""The arms of a study: what is added to or done with the training samples, as problems for a classifier."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from rembrandt_featgen.classification.training_problems import Problem
from rembrandt_featgen.generation import sampling_method, training_set
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.generation.sampling_method import Fitted, RealSamples
from rembrandt_featgen.generation.training_set import Samples

FOCUSING = 2.0  # gamma of Lin et al. 2017
AUGMENTED = "image_augmentation"  # the arm of features of augmented slices
ORACLE = "oracle"  # the arm of real patients more, what a perfect generator would add: a control, no competitor
COPY = "copy"  # the control that adds nothing new: as many samples as generators, all of them copies
SHUFFLED = "shuffled"  # the control whose generator knows nothing of the classes
SYNTHETIC = "synthetic"  # the arm of samples that somebody else's generator made
_WARNED: set[tuple[str, str]] = set()  # arms and classes whose pools were said to hold too few


class TrainingSamples(NamedTuple):
    """Prepared features [n, *shape] float32, labels [n] int64 and groups [n] of training patients."""

    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray


@dataclasses.dataclass(frozen=True)
class Arm:
    """One way to train; all else is as in the arm "none".

    Attributes:
      name: as in the table; of an arm that adds samples the name of its method in `METHODS`.
      kind: "none", "classical", "generative" or "control" (beside the contrasts, in which it is no candidate).
      method: whether samples are added by `METHODS[adds]`.
      other_method: the name in `METHODS` of what adds samples, where it is not that of the arm.
      shuffled: whether that is fitted to labels that were shuffled over patients.
      pool: whether samples are added that were made before, such as those of a GAN.
      reserve: whether real samples are added that the plan keeps for this purpose alone.
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
    other_method: str = ""
    shuffled: bool = False
    pool: bool = False
    reserve: bool = False
    undersample: bool = False
    class_weights: bool = False
    focusing: float = 0.0
    mixing: str | None = None
    tuned: bool = True
    threshold: bool = True
    inputs: str = "features"

    @property
    def takes_amount(self) -> bool:
        """Whether there are amounts to choose from."""
        return self.method or self.pool

    @property
    def adds(self) -> str:
        """The key of `METHODS` by which samples are added; "" where none is."""
        return (self.other_method or self.name) if self.method else ""


# In the order of the table. The first four are real samples alone: "none" is what generation has to beat, "plain" what
# is often taken for it, and the two between say which of the two steps from there to here is worth what.
ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("none", "none"),
        Arm("plain", "none", tuned=False, threshold=False),
        Arm("weight_decay", "none", threshold=False),
        Arm("threshold_tuning", "none", tuned=False),
        Arm("covariates", "none", inputs="covariates"),
        Arm("features_and_covariates", "none", inputs="both"),
        Arm("class_weights", class_weights=True),
        Arm("focal_loss", focusing=FOCUSING),
        Arm("undersampling", undersample=True),
        Arm("mixup", mixing="input"),
        Arm("manifold_mixup", mixing="manifold"),
        *(Arm(name, method.kind, method=True) for name, method in METHODS.items()),
        Arm(AUGMENTED, pool=True),
        *(Arm(kind, "generative", pool=True) for kind in KINDS),
        Arm(SYNTHETIC, "generative", pool=True),
        Arm(ORACLE, "control", reserve=True),
        Arm(COPY, "control", method=True, other_method="random_oversampling"),
        Arm(SHUFFLED, "control", method=True, other_method="gaussian", shuffled=True),
    )
}

# Those that take no part unless they are named: every arm makes a study longer, and its bounds wider.
_ON_REQUEST = ("kde", "transfer", "calibration", "wgan", "cvae", "flow", "diffusion", "adcgan", COPY, SHUFFLED)
USUAL = tuple(name for name in ARMS if name not in _ON_REQUEST)


def available(
    names: Collection[str], *, covariates: bool, pools: Collection[str], reserve: bool = False
) -> tuple[str, ...]:
    """Those of some arms, in the order of the table, for which there is what they need.

    Args:
      names: of arms.
      covariates: whether there are clinical columns.
      pools: arms for which samples were made before.
      reserve: whether the plan keeps real samples for an arm.
    """
    arms = [ARMS[name] for name in ARMS if name in names]
    return tuple(
        arm.name
        for arm in arms
        if (covariates or arm.inputs == "features")
        and (not arm.pool or arm.name in pools)
        and (reserve or not arm.reserve)
    )


def problem(
    arm: Arm,
    samples: TrainingSamples,
    *,
    amount: float | None,
    num_classes: int,
    signed: bool,
    seed: int,
    draw: Callable[[int, int, int], np.ndarray] | None = None,
    reserve: Samples | None = None,
    fitted: Fitted | None = None,
    class_names: Sequence[str] = (),
) -> Problem:
    """What a classifier is to be trained on.

    Args:
      arm: of `ARMS`.
      samples: of the training patients, or of an inner part of them.
      amount: of extra samples, see `training_set.counts`; None, and only None, for an arm that takes none.
      num_classes: of the run.
      signed: whether values below 0 are possible.
      seed: of what is drawn.
      draw: for an arm with a pool: from (label, count, seed) to as many samples of it, prepared like `samples`; where
        it gives fewer, the problem has fewer.
      reserve: for an arm that adds it: samples that the plan keeps, prepared like `samples`.
      fitted: of an arm with a method: it, fitted to `real_samples` of these arguments; None to fit it here.
      class_names: for messages; without them a class is its number.

    Raises:
      ValueError: an amount is missing, or has no use; or there is no pool for an arm that draws from one.
    """
    if (amount is not None) != arm.takes_amount:
        raise ValueError(f"arm {arm.name} takes {'an' if arm.takes_amount else 'no'} amount, received {amount}")
    features, labels = samples.features, samples.labels
    if amount is not None:
        wanted = training_set.counts(labels, amount, num_classes)
        wanted = {label: count for label, count in wanted.items() if label in labels}
        extra = extra_samples(
            arm,
            samples,
            wanted,
            num_classes=num_classes,
            signed=signed,
            seed=seed,
            draw=draw,
            fitted=fitted,
            class_names=class_names,
        )
        features, labels = np.concatenate([features, extra.features]), np.concatenate([labels, extra.labels])
    elif arm.reserve:
        if reserve is None:
            raise ValueError(f"arm {arm.name} adds samples that the plan keeps for it, and there are none")
        features, labels = np.concatenate([features, reserve.features]), np.concatenate([labels, reserve.labels])
    elif arm.undersample:
        rows = _undersampled(labels, np.random.default_rng([seed, 2]))
        features, labels = features[rows], labels[rows]
    weights = None
    if arm.class_weights:
        counts = np.bincount(labels, minlength=num_classes)
        weights = len(labels) / (num_classes * np.maximum(counts, 1.0))[labels]
    return Problem(
        features,
        labels,
        num_classes,
        weights=weights,
        focusing=arm.focusing,
        mixing=arm.mixing,
        seed=seed,
        epoch=len(samples.labels),  # all arms take the steps that real samples alone take
    )


def extra_samples(
    arm: Arm,
    samples: TrainingSamples,
    wanted: Mapping[int, int],
    *,
    num_classes: int,
    signed: bool,
    seed: int,
    draw: Callable[[int, int, int], np.ndarray] | None = None,
    fitted: Fitted | None = None,
    class_names: Sequence[str] = (),
) -> Samples:
    """Samples that the method of an arm makes, or those of its pool.

    Args:
      arm, samples, num_classes, signed, seed, draw, fitted, class_names: as for `problem`.
      wanted: label to count.
    """
    if not arm.pool:
        if fitted is None:
            real = real_samples(arm, samples, num_classes=num_classes, signed=signed, seed=seed)
            (fitted,) = METHODS[arm.adds].fit_many([real])
        return fitted.draw_all(wanted, seed)
    if draw is None:
        raise ValueError(f"arm {arm.name} draws from samples that were made before, and there are none")
    parts = {label: draw(label, count, seed) for label, count in wanted.items()}
    for label, count in wanted.items():
        if len(parts[label]) < count:
            have = len(parts[label])
            name = class_names[label] if len(class_names) else label
            words = f"{count} samples of class {name} are wanted, and {have} are there: the arm adds these {have}"
            _warn_of_few(arm.name, str(name), words=words)
    return Samples(np.concatenate(list(parts.values())), np.repeat(list(parts), list(map(len, parts.values()))))


def _warn_of_few(arm, class_name, *, words):
    """Once for each arm and class; folds and seeds repeat it."""
    if (arm, class_name) not in _WARNED:
        _WARNED.add((arm, class_name))
        logging.warning("arm %s: %s", arm, words)


def real_samples(arm: Arm, samples: TrainingSamples, *, num_classes: int, signed: bool, seed: int) -> RealSamples:
    """What the method of an arm is fitted to; args as for `problem`."""
    labels = _shuffled(samples, np.random.default_rng([seed, 4])) if arm.shuffled else samples.labels
    return sampling_method.real_samples(
        samples.features, labels, samples.groups, num_classes=num_classes, signed=signed, seed=seed
    )


def _shuffled(samples, random):
    """Labels that change places with those of other patients; samples of one patient and label stay together."""
    _, patients = np.unique(samples.groups, return_inverse=True)
    pairs = patients * (samples.labels.max() + 1) + samples.labels
    _, first, whose = np.unique(pairs, return_index=True, return_inverse=True)
    return random.permutation(samples.labels[first])[whose]


def _undersampled(labels, random):
    """Rows of as many samples of each class as the smallest has."""
    there = np.unique(labels)
    least = min(int((labels == label).sum()) for label in there)
    rows = [random.permutation(np.flatnonzero(labels == label))[:least] for label in there]
    return np.sort(np.concatenate(rows))
