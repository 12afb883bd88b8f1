"""A judge of generated features: which class they are of, by classifiers that no generator was trained against.

Ridge logistic regression of what is known of a map without its positions: mean and deviation of each channel. It is
cross-fitted, so that its probabilities are calibrated on patients that it has not seen; what is judged is seen by the
classifiers of all folds.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy import optimize

from rembrandt_featgen.classification import classifier_kinds, tuning
from rembrandt_featgen.classification.classifier_kinds import Model
from rembrandt_featgen.classification.ridge import RidgeSettings
from rembrandt_featgen.classification.training_problems import Problem

_MOST_DEVIATIONS = 5.0  # from the mean, beyond which a number says no more: channels that hardly ever fire
_TEMPERATURES = (0.1, 100.0)  # between which one is sought


class _Scaling(NamedTuple):
    """Mean and deviation [d] of training samples."""

    mean: np.ndarray
    deviation: np.ndarray

    def apply(self, values):
        scaled = np.divide(values - self.mean, self.deviation, out=np.zeros_like(values), where=self.deviation > 0)
        return np.clip(scaled, -_MOST_DEVIATIONS, _MOST_DEVIATIONS)


class _Member(NamedTuple):
    """A classifier of the training part of a fold, and the problem that it was trained on."""

    scaling: _Scaling
    model: Model
    problem: Problem

    def probabilities(self, values):
        """[n, classes], as of a training in which classes weigh the same."""
        return tuning.balanced(self.model.probabilities(self.scaling.apply(values)), self.problem)


@dataclasses.dataclass(frozen=True, eq=False)
class Judge:
    """Calibrated probabilities of the classes, which are taken to be equally frequent.

    Attributes:
      members: a classifier for each fold.
      strength: of their regularisation.
      temperature: by which their logits are divided.
      out_of_fold: [n, classes] of the samples that it was trained on, each by the classifier that did not see its
        group; NaN of a group that no fold leaves out.
    """

    members: tuple[_Member, ...]
    strength: float
    temperature: float
    out_of_fold: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """[n, classes] float64 of maps [n, h, w, c], or of what `summary` makes of them: the mean over folds."""
        values = summary(features)
        return np.mean([_cooled(one.probabilities(values), self.temperature) for one in self.members], 0)


def summary(features: np.ndarray) -> np.ndarray:
    """[n, 2 c] float64, mean and deviation of each channel of maps [n, h, w, c]; vectors [n, d] as they are."""
    features = np.asarray(features, np.float64)
    return features if features.ndim == 2 else np.concatenate([features.mean((1, 2)), features.std((1, 2))], 1)


def train_judge(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, num_classes: int, seed: int) -> Judge:
    """Trains a judge: the strength is chosen, and the temperature fitted, by the log loss of left-out groups.

    Args:
      features: maps [n, h, w, c] of training samples, or what `summary` makes of them.
      labels: [n] int64.
      groups: [n] what no fold divides.
      num_classes: of the run.
      seed: of the folds, from 0.

    Raises:
      ValueError: fewer than two classes have two groups, so that no fold can be left out.

    Reference: Guo et al. 2017, "On calibration of modern neural networks", for the temperature.
    """
    values = summary(features)

    def part(rows, validation):
        scaling = _Scaling(values[rows].mean(0), values[rows].std(0))
        scaled = scaling.apply(values[rows]).astype(np.float32)
        return Problem(scaled, labels[rows], num_classes, seed=seed), scaling.apply(values[validation])

    folds = tuning.inner_folds(labels, groups, tuning.FOLDS, seed=seed)
    if not folds:
        raise ValueError("a judge needs two classes that have two groups (patients) each")
    settings = RidgeSettings()
    (choice,) = tuning.tune([tuning.Task(labels, groups, part, seed=seed, size=values.nbytes)], settings)
    problems = [part(*fold)[0] for fold in folds]
    models = classifier_kinds.train(problems, settings, strength=[choice.strength] * len(folds))
    scalings = [_Scaling(values[rows].mean(0), values[rows].std(0)) for rows, _ in folds]
    members = tuple(_Member(*each) for each in zip(scalings, models, problems))
    left_out = np.full((len(labels), num_classes), np.nan)
    for member, (_, rows) in zip(members, folds):
        left_out[rows] = member.probabilities(values[rows])
    judged = np.isfinite(left_out[:, 0])

    def loss(log_temperature):
        cooled = _cooled(left_out[judged], np.exp(log_temperature))
        return tuning.group_log_loss(labels[judged], groups[judged], cooled)

    found = optimize.minimize_scalar(loss, bounds=np.log(_TEMPERATURES), method="bounded")
    temperature = float(np.exp(found.x))
    return Judge(members, choice.strength, temperature, out_of_fold=_cooled(left_out, temperature))


def performance(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> dict:
    """How good a judge is on real samples; classes, and in them groups, count the same.

    Args:
      probabilities: [n, classes] of the judge.
      labels: [n] int64.
      groups: [n].

    Returns:
      "accuracy"; "log_loss", which is log(classes) of an uninformative classifier; "recall" and "probability", lists by
      label: the share of the class that is judged to be of it, as is asked of generated features, and the mean
      probability that it is given. NaN for a class without samples, which has no part in the other two.
    """
    of_class = np.full((2, probabilities.shape[1]), np.nan)
    for label in np.unique(labels):
        rows = labels == label
        _, inverse = np.unique(groups[rows], return_inverse=True)
        right = probabilities[rows].argmax(-1) == label
        for place, values in enumerate((right, probabilities[rows, label])):
            of_class[place, label] = np.mean(np.bincount(inverse, values) / np.bincount(inverse))
    return {
        "accuracy": float(np.nanmean(of_class[0])),
        "log_loss": tuning.group_log_loss(labels, groups, probabilities),
        "recall": of_class[0].tolist(),
        "probability": of_class[1].tolist(),
    }


def _cooled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities whose logits are divided by the temperature."""
    logits = np.log(np.maximum(probabilities, 1e-300)) / temperature
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
