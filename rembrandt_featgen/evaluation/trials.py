"""Trainings of a study's arms, all in the same way on the same patients, and the choice of their amount."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rembrandt_featgen.classification import classifiers, fitting
from rembrandt_featgen.cohort import splits
from rembrandt_featgen.cohort.layouts import GRADES
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation.arms import Arm
from rembrandt_featgen.generation import classical
from rembrandt_featgen.generation.classical import Samples, TrainingSet
from rembrandt_featgen.measures import classification

FOCUSING = 2.0  # gamma of Lin et al. 2017
MIXUP_ALPHA = 0.2  # Zhang et al. 2018: 0.1 to 0.4
MANIFOLD_ALPHA = 2.0  # Verma et al. 2019


class Validation(NamedTuple):
    """Features of the validation patients [n, h, w, channels], their labels [n] and patients [n]."""

    features: np.ndarray
    labels: np.ndarray
    patients: np.ndarray


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the classifiers of all arms are trained.

    Attributes:
      kind, filters, units, precision: as for `classifier.build_classifier`.
      epochs: at most.
      patience: epochs without a lower validation loss before stopping; 0 never stops.
      batch: features in a batch, at most.
      learning_rate: Adam's.
    """

    kind: str = "cnn"
    filters: int = 64
    units: int = 128
    epochs: int = 50
    patience: int = 10
    batch: int = 16
    learning_rate: float = 1e-4
    precision: str = "float32"


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained classifier: its best epoch's weights, and how it came to them.

    Attributes:
      arm: name.
      amount: None for an arm that takes none.
      extra: extra training samples by label; fewer than the amount's where a pool ran out.
      architecture, scale, weights: what the network is made of; weights in the order of `build_classifier`'s.
      losses: of each epoch, mean over its batches, as the arm defines it.
      validation_losses: of each epoch, `patient_log_loss` for every arm.
    """

    arm: str
    amount: float | None
    extra: dict[int, int]
    architecture: fitting.Architecture
    scale: np.ndarray
    weights: list[np.ndarray]
    losses: list[float]
    validation_losses: list[float]

    @property
    def best_epoch(self) -> int:
        """Index of the first epoch with the lowest validation loss, from 0."""
        return self.validation_losses.index(self.validation_loss)

    @property
    def validation_loss(self) -> float:
        """That of the best epoch."""
        return min(self.validation_losses)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """[n] float64 probabilities of HGG, fast: no network is built.

        Args:
          features: [n, h, w, channels] in the U-Net's own units.
        """
        fitter = fitting.fitter(self.architecture)
        fitter.set_weights(self.weights)
        return fitter.probabilities(tf.constant(classical.scaled(features, self.scale)))

    def network(self) -> tf.keras.Model:
        """A Keras model of its own, from unscaled features to the probability of HGG."""
        a = self.architecture
        network = classifiers.build_classifier(a.kind, a.shape, self.scale, a.filters, a.units, a.precision)
        network.set_weights(self.weights)
        return network


@dataclasses.dataclass(frozen=True)
class Choice:
    """An arm at the amount that served the validation patients best.

    Attributes:
      tried: one for each amount, in their order.
      trained: the chosen one of them: of the lowest validation loss, and of the least amount among equals.
      validation_probabilities: [n] of the validation samples, by the chosen one.
    """

    tried: tuple[Trained, ...]
    trained: Trained
    validation_probabilities: np.ndarray

    @property
    def amount(self) -> float | None:
        """The chosen amount; None for an arm that takes none."""
        return self.trained.amount

    @property
    def table(self) -> list[dict]:
        """A row for each amount, as JSON takes it."""
        return [
            {
                "amount": one.amount,
                "extra": {GRADES[label]: count for label, count in one.extra.items()},
                "validation_loss": one.validation_loss,
                "best_epoch": one.best_epoch,
                "epochs": len(one.validation_losses),
                "chosen": one is self.trained,
            }
            for one in self.tried
        ]


def patient_log_loss(patients: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Log loss per patient (mean log-odds of its slices), each grade counting the same.

    Slices of a patient are not independent, so that patients with many would decide alone. Grades count the same
    because the study measures balanced accuracy, and because arms differ in how far they balance the grades: a plain
    mean would hold that against those that do.

    Args:
      patients, labels, probabilities: as for `classification.by_patient`.
    """
    _, labels, probabilities = classification.by_patient(patients, labels, probabilities)
    losses = -np.log(np.where(labels == 1, probabilities, 1.0 - probabilities))
    return float(np.mean([losses[labels == label].mean() for label in np.unique(labels)]))


def train(
    arm: Arm, training: TrainingSet, validation: Validation, amount: float | None, settings: Settings, seed: int
) -> Trained:
    """Trains a classifier as an arm has it; the same seed gives the same weights.

    All arms of a seed start from the same weights, and the same number of samples comes in the same order.

    Args:
      arm: one of `arms.ARMS`, or `with_pool` of one.
      training: features of the training patients.
      validation: of the validation patients, by whom the epoch is chosen (lowest `patient_log_loss`).
      amount: see `oversampling.counts`; None, and only None, for an arm that takes none.
      settings: the same for all arms.
      seed: from 0.

    Raises:
      ValueError: an amount is missing or has no use, a pooled arm has no pool, or there is no validation sample.
      InputError: a loss is not finite.
      RuntimeError: a patient is in training and validation.
    """
    if len(validation.labels) == 0:
        raise ValueError("an arm needs validation patients, received none; raise the share of them")
    splits.check_disjoint({"train": training.patients, "validation": validation.patients})
    extra = _extra(arm, training, amount, seed)
    features = np.concatenate([training.features, extra.features])
    labels = np.concatenate([training.labels, extra.labels])
    architecture = fitting.Architecture(
        settings.kind, training.features.shape[1:], settings.filters, settings.units, settings.precision
    )
    fitter = fitting.fitter(architecture)
    objective, mixing = _objective(arm, labels), _mixing(arm, fitter.places)
    features = tf.constant(training.scaled(features))
    validation_features = tf.constant(training.scaled(validation.features))
    targets = tf.constant(labels, tf.float32)
    random = np.random.default_rng(seed)
    fitter.reset(seed, settings.learning_rate)
    losses: list[float] = []
    validation_losses: list[float] = []
    best, weights = -1, []
    for epoch in range(settings.epochs):
        losses.append(fitter.epoch(features, targets, settings.batch, objective, mixing, random))
        probabilities = fitter.probabilities(validation_features)
        validation_losses.append(patient_log_loss(validation.patients, validation.labels, probabilities))
        if not math.isfinite(losses[-1] + validation_losses[-1]):
            raise InputError(
                f"training of arm {arm.name} stopped in epoch {epoch + 1}: loss {losses[-1]}, validation loss "
                f"{validation_losses[-1]}; lower the classifier's learning rate or take --precision=float32"
            )
        if best < 0 or validation_losses[-1] < validation_losses[best]:
            best, weights = epoch, fitter.get_weights()
        if settings.patience and epoch - best >= settings.patience:
            break
    found = {label: int(np.sum(extra.labels == label)) for label in range(len(GRADES))}
    return Trained(arm.name, amount, found, architecture, training.scale, weights, losses, validation_losses)


def choose_amount(
    arm: Arm,
    training: TrainingSet,
    validation: Validation,
    amounts: Sequence[float],
    settings: Settings,
    seed: int,
) -> Choice:
    """Trains an arm at each amount and chooses by the validation patients' `patient_log_loss`.

    Args:
      arm, training, validation, settings, seed: as for `train`.
      amounts: to try; an arm that takes none is trained once.
    """
    tried = tuple(
        train(arm, training, validation, amount, settings, seed)
        for amount in (sorted(amounts) if arm.takes_amount else [None])
    )
    chosen = min(tried, key=lambda one: one.validation_loss)
    return Choice(tried, chosen, chosen.probabilities(validation.features))


def _extra(arm: Arm, training: TrainingSet, amount: float | None, seed: int) -> Samples:
    """The samples that the arm adds; checks that arm and amount fit."""
    if arm.pooled and arm.synthesise is None:
        raise ValueError(f"arm {arm.name} draws from a pool; hand it one by with_pool")
    if arm.takes_amount != (amount is not None):
        use = "needs an amount" if arm.takes_amount else "takes no amount"
        raise ValueError(f"arm {arm.name} {use}, received {amount}")
    if arm.synthesise is None:
        return Samples(np.zeros((0, *training.features.shape[1:]), np.float32), np.zeros(0, np.int64))
    return arm.synthesise(training, classical.counts(training.labels, amount), seed)


def _objective(arm: Arm, labels: np.ndarray) -> fitting.Objective:
    focusing = FOCUSING if arm.loss == "focal" else 0.0
    if not arm.class_weights:
        return fitting.Objective(focusing=focusing)
    lgg, hgg = len(labels) / (2.0 * np.bincount(labels, minlength=2))
    return fitting.Objective((lgg, hgg), focusing)


def _mixing(arm: Arm, places: tuple[int, ...]) -> fitting.Mixing:
    if arm.mixing == "manifold":
        return fitting.Mixing(places, MANIFOLD_ALPHA)
    return fitting.Mixing(places[:1], MIXUP_ALPHA) if arm.mixing == "input" else fitting.Mixing()
