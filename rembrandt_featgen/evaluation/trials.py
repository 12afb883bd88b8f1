"""Trainings of a study's arms, all in the same way on the same patients."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rembrandt_featgen.classification import map_fitting, map_networks
from rembrandt_featgen.classification.map_networks import Architecture
from rembrandt_featgen.cohort import splits
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation.arms import Arm
from rembrandt_featgen.generation import training_set
from rembrandt_featgen.generation.training_set import Samples, TrainingSet
from rembrandt_featgen.measures import classification, decisions

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
      kind, filters, units, precision: as for `map_networks.Architecture`.
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

    def architecture(self, shape: tuple[int, int, int], num_classes: int) -> Architecture:
        """Of a classifier of features of that shape."""
        return Architecture(
            self.kind,
            shape,
            filters=self.filters,
            units=self.units,
            precision=self.precision,
            num_classes=num_classes,
        )


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained classifier: its best epoch's weights, and how it came to them.

    Attributes:
      arm: name.
      amount: None for an arm that takes none.
      extra: extra training samples by label; fewer than the amount's where a pool ran out.
      prior: [classes] of the samples and weights that it was trained with.
      architecture, scale, weights: what the network is built of; weights in the order of `build_classifier`'s.
      losses: of each epoch, mean over its batches, as the arm defines it.
      validation_losses: of each epoch, `patient_log_loss` for every arm.
    """

    arm: str
    amount: float | None
    extra: dict[int, int]
    prior: np.ndarray
    architecture: Architecture
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
        """[n, classes] float64 probabilities, fast: no network is built.

        Args:
          features: [n, h, w, channels] in the units of the U-Net.
        """
        fitter = map_fitting.fitter(self.architecture)
        fitter.set_weights(self.weights)
        return fitter.probabilities(tf.constant(training_set.scaled(features, self.scale)))

    def thresholds(self, validation: Validation) -> np.ndarray:
        """[classes] by which is decided: of two those that suit the validation patients best, of more the prior."""
        probabilities = self.probabilities(validation.features)
        _, labels, by_patient = classification.by_patient(validation.patients, validation.labels, probabilities)
        return decisions.choose_thresholds(labels, by_patient, self.prior)

    def network(self) -> tf.keras.Model:
        """A new Keras model, from unscaled features to the probability of each class."""
        network = map_networks.build_classifier(self.architecture, self.scale)
        network.set_weights(self.weights)
        return network


def train(
    arm: Arm,
    training: TrainingSet,
    validation: Validation,
    *,
    amount: float | None,
    settings: Settings,
    seed: int,
) -> Trained:
    """Trains a classifier as an arm has it; the same seed gives the same weights.

    All arms of a seed start from the same weights, and the same number of samples comes in the same order.

    Args:
      arm: one of `arms.ARMS`, or `with_pool` of one.
      training: features of the training patients.
      validation: of the validation patients, by whom the epoch is chosen (lowest `patient_log_loss`).
      amount: see `training_set.counts`; None, and only None, for an arm that takes none.
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
    extra = _extra(arm, training, amount, seed=seed)
    labels = np.concatenate([training.labels, extra.labels])
    height, width, channels = training.features.shape[1:]
    architecture = settings.architecture((height, width, channels), training.num_classes)
    fitter = map_fitting.fitter(architecture)
    objective, mixing = _objective(arm, labels, training.num_classes), _mixing(arm, fitter.places)
    scaled = tf.constant(training.scaled(np.concatenate([training.features, extra.features])))
    validation_features = tf.constant(training.scaled(validation.features))
    targets = tf.one_hot(labels, training.num_classes)
    random = np.random.default_rng(seed)
    fitter.reset(seed, settings.learning_rate)
    losses: list[float] = []
    validation_losses: list[float] = []
    best, weights = -1, fitter.get_weights()
    for epoch in range(settings.epochs):
        losses.append(
            fitter.epoch(scaled, targets, batch=settings.batch, objective=objective, mixing=mixing, random=random)
        )
        probabilities = fitter.probabilities(validation_features)
        validation_losses.append(classification.patient_log_loss(validation.patients, validation.labels, probabilities))
        if not math.isfinite(losses[-1] + validation_losses[-1]):
            raise InputError(
                f"training of arm {arm.name} stopped in epoch {epoch + 1}: loss {losses[-1]}, validation loss "
                f"{validation_losses[-1]}; lower the classifier's learning rate or take --precision=float32"
            )
        if best < 0 or validation_losses[-1] < validation_losses[best]:
            best, weights = epoch, fitter.get_weights()
        if settings.patience and epoch - best >= settings.patience:
            break
    return Trained(
        arm=arm.name,
        amount=amount,
        extra={int(label): int(np.sum(extra.labels == label)) for label in np.unique(training.labels)},
        prior=decisions.prior(labels, training.num_classes, objective.class_weights or None),
        architecture=architecture,
        scale=training.scale,
        weights=weights,
        losses=losses,
        validation_losses=validation_losses,
    )


def _extra(arm: Arm, training: TrainingSet, amount: float | None, *, seed: int) -> Samples:
    """The samples that the arm adds; checks that arm and amount fit."""
    if arm.pooled and arm.synthesise is None:
        raise ValueError(f"arm {arm.name} draws from a pool; hand it one by with_pool")
    if arm.takes_amount != (amount is not None):
        use = "needs an amount" if arm.takes_amount else "takes no amount"
        raise ValueError(f"arm {arm.name} {use}, received {amount}")
    if arm.synthesise is None or amount is None:
        return Samples(np.zeros((0, *training.features.shape[1:]), np.float32), np.zeros(0, np.int64))
    return arm.synthesise(training, training_set.counts(training.labels, amount, training.num_classes), seed)


def _objective(arm: Arm, labels: np.ndarray, num_classes: int) -> map_fitting.Objective:
    focusing = FOCUSING if arm.loss == "focal" else 0.0
    if not arm.class_weights:
        return map_fitting.Objective(focusing=focusing)
    class_weights = len(labels) / (float(num_classes) * np.bincount(labels, minlength=num_classes))
    return map_fitting.Objective(tuple(class_weights), focusing)


def _mixing(arm: Arm, places: tuple[int, ...]) -> map_fitting.Mixing:
    if arm.mixing == "manifold":
        return map_fitting.Mixing(places, MANIFOLD_ALPHA)
    return map_fitting.Mixing(places[:1], MIXUP_ALPHA) if arm.mixing == "input" else map_fitting.Mixing()
