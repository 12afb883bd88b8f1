"""Training of networks on maps in memory, fast where there are many hundreds of trainings on one core.

Regularisation is early stopping: a strength divides the epochs, so that one training gives the networks of all
strengths that are tried, each a copy of the weights on the way.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import tensorflow as tf

from rembrandt_featgen.classification import map_fitter
from rembrandt_featgen.classification.map_networks import Architecture
from rembrandt_featgen.classification.training_problems import Problem
from rembrandt_featgen.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class NetworkSettings:
    """How a network is trained.

    Attributes:
      filters, units, precision: as for `map_networks.Architecture`.
      epochs: of the weakest regularisation.
      batch: samples in a batch, at most.
      learning_rate: Adam's.
    """

    filters: int = 64
    units: int = 128
    epochs: int = 50
    batch: int = 16
    learning_rate: float = 1e-4
    precision: str = "float32"
    kind: ClassVar[str] = ""

    def architecture(self, problem: Problem) -> Architecture:
        """Of the network of a problem of maps [n, h, w, c]."""
        height, width, channels = problem.features.shape[1:]
        return Architecture(
            self.kind,
            (height, width, channels),
            filters=self.filters,
            units=self.units,
            precision=self.precision,
            num_classes=problem.classes,
        )

    def stopped(self, strength: float) -> int:
        """Epochs at a strength of regularisation, from 1."""
        return max(1, round(self.epochs / strength))


@dataclasses.dataclass(frozen=True)
class CnnSettings(NetworkSettings):
    """Of the paper's CNN."""

    kind: ClassVar[str] = "cnn"


@dataclasses.dataclass(frozen=True)
class LinearSettings(NetworkSettings):
    """Of the paper's linear classifier."""

    kind: ClassVar[str] = "linear"


def fit(problems: Sequence[Problem], settings: NetworkSettings, strengths: Sequence[float]) -> list[dict]:
    """Trains a network for each problem, one after another.

    The same seed gives the same initial weights, and the same order to the same number of samples.

    Args:
      problems: of maps [n, h, w, c]. One that comes several times (the same object) is trained once, for as many
        epochs as its weakest strength has.
      settings: of all.
      strengths: by which the epochs of each problem are divided, from 1.

    Returns:
      {"architecture": JSON, "weight000": array, ...} of each problem, weights in the order of `build_classifier`'s.

    Raises:
      InputError: a loss is not finite.
    """
    members: dict[int, list[int]] = {}
    for number, problem in enumerate(problems):
        members.setdefault(id(problem), []).append(number)
    results: list[dict] = [{} for _ in problems]
    for numbers in members.values():
        problem = problems[numbers[0]]
        wanted = [settings.stopped(strengths[number]) for number in numbers]
        trained = _train(problem, settings, wanted)
        described = np.array(json.dumps(dataclasses.asdict(settings.architecture(problem))))
        for number, epochs in zip(numbers, wanted):
            weights = {f"weight{place:03d}": weight for place, weight in enumerate(trained[epochs])}
            results[number] = {"architecture": described, **weights}
    return results


def logits(arrays: dict, features: np.ndarray) -> np.ndarray:
    """[m, classes] float64 of scaled maps [m, h, w, c]; no network is built where one of its kind was before."""
    the_one = map_fitter.fitter(architecture_of(arrays))
    the_one.set_weights(weights_of(arrays))
    return the_one.logits(tf.constant(features, tf.float32))


def architecture_of(arrays: dict) -> Architecture:
    """What the network of a result of `fit` is built of."""
    described = json.loads(str(arrays["architecture"]))
    return Architecture(**{**described, "shape": tuple(described["shape"])})


def weights_of(arrays: dict) -> list[np.ndarray]:
    """Weights of a result of `fit`, in the order of `build_classifier`'s."""
    return [arrays[name] for name in sorted(arrays) if name.startswith("weight")]


def _train(problem, settings, stops) -> dict[int, list[np.ndarray]]:
    """Epochs to the weights after them."""
    network = map_fitter.fitter(settings.architecture(problem))
    features, targets = tf.constant(problem.features, tf.float32), tf.constant(problem.targets(), tf.float32)
    places = {"input": network.places[:1], "manifold": network.places}.get(problem.mixing, ())
    random = np.random.default_rng(problem.seed)
    network.reset(problem.seed, settings.learning_rate)
    kept = {}
    for epoch in range(1, max(stops) + 1):
        loss = network.epoch(
            features,
            targets,
            batch=settings.batch,
            focusing=problem.focusing,
            mixing=map_fitter.Mixing(places, problem.alpha),
            seen=problem.seen,
            random=random,
        )
        if not math.isfinite(loss):
            raise InputError(
                f"training of the {settings.kind} stopped in epoch {epoch}: its loss is {loss}; lower "
                "--classifier_learning_rate or take --precision=float32"
            )
        if epoch in stops:
            kept[epoch] = network.get_weights()
    return kept
