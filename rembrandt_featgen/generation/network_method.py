"""What generators of vectors that are networks share: batches of patients, training of many at once, and drawing."""

from __future__ import annotations

import abc
import dataclasses
import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from rembrandt_featgen.generation.class_residuals import Residuals
from rembrandt_featgen.generation.sampling_method import FlatDraw, Method, RealSamples, stream
from rembrandt_featgen.generation.stacked_networks import Networks
from rembrandt_featgen.generation.whitening import Whitening, whiten

_CHUNK = 64  # trainings at once
_BLOCK = 50  # steps of one call, whose random numbers are in memory
_DRAWS = 4096  # samples that are drawn at a time


class Batch(NamedTuple):
    """What a step sees of p trainings.

    Attributes:
      values: [p, batch, q] whitened real samples, blurred.
      classes: [p, batch, K] one-hot of the classes that they stand for.
      normals: [p, batch, m] standard normal numbers.
      uniforms: [p, batch, 1] from 0 to below 1.
      constants: [p, ...] each, see `NetworkMethod.constants`.
      step: from 1, float32.
      progress: share of the training that is done, from 0 to below 1.
      rate: learning rate of the step.
      decay: of kernels, in units of the rate.
    """

    values: tf.Tensor
    classes: tf.Tensor
    normals: tf.Tensor
    uniforms: tf.Tensor
    constants: tuple[tf.Tensor, ...]
    step: tf.Tensor
    progress: tf.Tensor
    rate: tf.Tensor
    decay: tf.Tensor


class Schedule(NamedTuple):
    """Random numbers of some steps: rows [steps, p, batch] and labels int32, normals and uniforms float32."""

    rows: tf.Tensor
    labels: tf.Tensor
    normals: tf.Tensor
    uniforms: tf.Tensor


@dataclasses.dataclass(frozen=True)
class NetworkMethod(Method):
    """A class-conditional generator of whitened vectors, see `whitening`; it starts as `gaussian` and learns the rest.

    Each class, and in it each patient, is seen equally often. What few patients of a class do not show is learnt from
    the deviations of all: a class of n patients is shown its own in n of n + `borrowed` times. Real samples are moved
    towards the mean of their class and blurred by noise in each step, so that none is learnt as it is (Bishop,
    Training with noise is equivalent to Tikhonov regularization, 1995).

    Attributes:
      units: of each hidden layer.
      steps: of the training, all of which are done; the rate falls to 0 along a cosine.
      batch: samples in a step.
      learning_rate: Adam's, at the start.
      decay: of kernels (decoupled weight decay).
      blur: standard deviation of the noise on real samples, whose deviations are 1.
      borrowed: patients' worth of deviations of all classes that each class is shown.
      components: axes of the vectors that are learnt, at most; along others draws are those of one Gaussian.
    """

    kind = "generative"
    nested = True  # but for the last bits
    layers: ClassVar[Mapping[str, int]]  # of each network
    losses: ClassVar[tuple[str, ...]]  # names of what `update` returns
    constant_count: ClassVar[int] = 0
    centred: ClassVar[bool] = False  # whether draws are moved to the means of classes, which training left

    units: int = 64
    steps: int = 400
    batch: int = 64
    learning_rate: float = 1e-2
    decay: float = 0.01
    blur: float = 0.2
    borrowed: float = 5.0
    components: int = 16

    def __post_init__(self):
        """Checks the settings."""
        if min(self.units, self.steps, self.batch, self.components) < 1 or not self.learning_rate > 0:
            raise ValueError(f"units, steps, batch and components must be from 1, the rate above 0, received {self}")
        if not 0 <= self.blur < 1 or min(self.borrowed, self.decay) < 0:
            raise ValueError(f"blur must be in [0, 1), borrowed and decay from 0, received {self}")

    @abc.abstractmethod
    def initial(self, q: int, classes: int, random: np.random.Generator) -> dict[str, list[np.ndarray]]:
        """Weights of each network before training."""

    @abc.abstractmethod
    def update(self, networks: Networks, batch: Batch) -> tf.Tensor:
        """Takes a step, in graph mode; returns losses [p, len(self.losses)] before it."""

    @abc.abstractmethod
    def generate(self, weights: Mapping[str, list[tf.Tensor]], classes: tf.Tensor, normals: tf.Tensor) -> tf.Tensor:
        """Whitened samples [1, count, q] of classes [1, count, K] one-hot and normals [1, count, `normals_of_draw`]."""

    @abc.abstractmethod
    def normals_of_step(self, q: int) -> int:
        """Normal numbers that a step needs for each sample."""

    @abc.abstractmethod
    def normals_of_draw(self, q: int) -> int:
        """Normal numbers that `generate` needs for each sample."""

    def constants(self, whitening: Whitening, labels: np.ndarray, classes: int) -> tuple[np.ndarray, ...]:
        """Arrays of rank 2, float32, that steps need beside the samples."""
        return ()

    def width(self, q: int) -> int | None:
        """Width of the samples in the graph, from q on, where that must be known; else None, and it is q."""
        return None

    def places(self, q: int) -> np.ndarray:
        """[q] places of the numbers of a sample among those of the graph."""
        return np.arange(q)

    def fit_flat(self, real: RealSamples) -> FlatDraw:
        """Trains one."""
        return self.fit_each_flat([real])[0]

    def fit_each_flat(self, reals: Sequence[RealSamples]) -> list[FlatDraw]:
        """Trains all that have the same number of axes and classes together; each as if it were alone."""
        spaces = [whiten(Residuals.of(real), self.components) for real in reals]
        fitted: list[FlatDraw] = [NetworkDraw(self, space, real.num_classes) for space, real in zip(spaces, reals)]
        keys = [(space.size, real.num_classes) for space, real in zip(spaces, reals)]
        order = sorted((number for number, key in enumerate(keys) if key[0]), key=lambda number: keys[number])
        for (q, classes), alike in itertools.groupby(order, lambda number: keys[number]):
            numbers = list(alike)
            trainer = _trainer(self.of_graph, self.width(q))
            for start in range(0, len(numbers), _CHUNK):
                chunk = numbers[start : start + _CHUNK]
                trained = trainer.train(self, [spaces[k] for k in chunk], [reals[k] for k in chunk])
                for number, (weights, losses) in zip(chunk, trained):
                    fitted[number] = NetworkDraw(self, spaces[number], classes, weights=weights, losses=losses)
        return fitted

    @property
    def of_graph(self) -> NetworkMethod:
        """The method without what does not change the graph of a step, which is traced once."""
        return dataclasses.replace(
            self, steps=1, batch=1, learning_rate=1e-3, decay=0.0, blur=0.0, borrowed=0.0, components=1
        )


@dataclasses.dataclass(frozen=True, eq=False)
class NetworkDraw:
    """Draws from a trained generator.

    Attributes:
      method: that trained it.
      space: of its samples.
      classes: of the run.
      weights: by network; {} where nothing varies, so that nothing was trained.
      losses: [steps, len(method.losses)] of the training.
    """

    method: NetworkMethod
    space: Whitening
    classes: int
    weights: Mapping[str, list[np.ndarray]] = dataclasses.field(default_factory=dict)
    losses: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def __call__(self, label: int, count: int, seed: int) -> np.ndarray:
        """Flat samples [count, size] float64."""
        random, size = stream(seed, label), self.space.normals
        parts = []
        for start in range(0, count, _DRAWS):
            # sample by sample, so that more begin with fewer
            normals = random.standard_normal((min(_DRAWS, count - start), size + self._normals))
            rows = self._rows(label, normals[:, size:]) - self._means.get(label, 0.0)
            parts.append(self.space.decode(label, rows, normals[:, :size]))
        return np.concatenate(parts)

    @functools.cached_property
    def _normals(self) -> int:
        """Normal numbers that the generator needs for each sample."""
        q = self.space.size
        return self.method.normals_of_draw(self.method.width(q) or q) if self.weights else 0

    @functools.cached_property
    def _means(self) -> dict[int, np.ndarray]:
        """Label to mean [q] of what is drawn, which is moved to 0."""
        if not self.method.centred or not self.weights:
            return {}
        normals = np.random.default_rng(0).standard_normal((_DRAWS, self._normals))
        return {int(label): self._rows(label, normals).mean(axis=0) for label in np.unique(self.space.residuals.labels)}

    def _rows(self, label, normals):
        """Whitened samples [count, q]."""
        if not self.weights:
            return np.zeros((len(normals), 0))
        method, q = self.method, self.space.size
        weights = {name: [tf.constant(value[None]) for value in values] for name, values in self.weights.items()}
        drawn = _trainer(method.of_graph, method.width(q)).generate(
            weights, tf.one_hot(tf.fill([1, len(normals)], label), self.classes), tf.constant(normals[None], tf.float32)
        )
        return drawn.numpy()[0][:, method.places(q)]


@functools.lru_cache(maxsize=32)
def _trainer(method, width):
    """The one `Trainer` of a method and a width."""
    return Trainer(method, width)


class Trainer:
    """Networks of many trainings, some traced steps of them, and what draws from one.

    Args:
      method: whose `update` is traced.
      width: of the samples, or None for any.
    """

    def __init__(self, method: NetworkMethod, width: int | None):
        self.networks, self._method, self._width = Networks(method.layers), method, width
        integers, floats = (functools.partial(tf.TensorSpec, dtype=dtype) for dtype in (tf.int32, tf.float32))
        schedule = Schedule(
            rows=integers([None, None, None]),
            labels=integers([None, None, None]),
            normals=floats([None, None, None, None]),
            uniforms=floats([None, None, None, 1]),
        )
        constants = tuple(floats([None, None, None]) for _ in range(method.constant_count))
        signature = [schedule, floats([None, None, width]), integers([2]), floats([None, 2]), floats([2]), constants]
        self.steps = tf.function(self._steps, signature)
        weights = {name: [floats([None, None, None])] * 2 * count for name, count in method.layers.items()}
        numbers = None if width is None else method.normals_of_draw(width)
        self.generate = tf.function(
            method.generate, [weights, floats([None, None, None]), floats([None, None, numbers])]
        )

    def train(
        self, method: NetworkMethod, spaces: Sequence[Whitening], reals: Sequence[RealSamples]
    ) -> list[tuple[dict[str, list[np.ndarray]], np.ndarray]]:
        """Trains a generator in each space.

        Args:
          method: its settings.
          spaces: with the same number of axes.
          reals: of which they are, with the same number of classes.

        Returns:
          Weights by network, and losses [steps, losses], of each.

        Raises:
          FloatingPointError: a loss is not finite.
        """
        q, classes = spaces[0].size, reals[0].num_classes
        width, count = self._width or q, len(spaces)
        pool = np.zeros((count, max(len(space.rows) for space in spaces), width), np.float32)
        for place, space in zip(pool, spaces):
            place[: len(space.rows), method.places(q)] = space.rows
        randoms = [np.random.default_rng([real.seed, 0]) for real in reals]
        self.networks.reset([method.initial(width, classes, random) for random in randoms])
        constants = zip(*(method.constants(space, real.labels, classes) for space, real in zip(spaces, reals)))
        chosen = [choices(method, space, random) for space, random in zip(spaces, randoms)]
        normals, losses = width + method.normals_of_step(width), []
        done = np.arange(method.steps) / method.steps
        pace = np.stack([done, method.learning_rate * (1 + np.cos(math.pi * done)) / 2], axis=1)
        stacked = [tf.constant(np.stack(values), tf.float32) for values in constants]
        for start in range(0, method.steps, _BLOCK):
            block = min(_BLOCK, method.steps - start)
            shape = (block, method.batch)
            rows, labels = (np.stack([each[k][start : start + block] for each in chosen], axis=1) for k in (0, 1))
            noise = np.stack([random.standard_normal((*shape, normals), np.float32) for random in randoms], axis=1)
            uniforms = np.stack([random.random((*shape, 1), np.float32) for random in randoms], axis=1)
            losses.append(
                self.steps(
                    Schedule(*map(tf.constant, (rows, labels, noise, uniforms))),
                    tf.constant(pool),
                    tf.constant([start, classes]),
                    pace=tf.constant(pace[start : start + block], tf.float32),
                    blur_and_decay=tf.constant([method.blur, method.decay], tf.float32),
                    constants=tuple(stacked),
                ).numpy()
            )
        found = np.concatenate(losses).swapaxes(0, 1)
        if not np.isfinite(found).all():
            raise FloatingPointError(f"a loss of {type(method).__name__} is not finite: lower its learning rate")
        return list(zip(self.networks.arrays(), found))

    def _steps(self, schedule, pool, start_and_classes, pace, blur_and_decay, constants):
        """Takes some steps; returns losses [steps, p, losses].

        Args:
          schedule: of the steps.
          pool: [p, n, width] whitened real samples.
          start_and_classes: steps before these, and classes of the run.
          pace: [steps, 2] progress and learning rate.
          blur_and_decay: see `NetworkMethod`.
          constants: see `NetworkMethod.constants`.
        """
        count, width, blur = tf.shape(schedule.rows)[0], tf.shape(pool)[2], blur_and_decay[0]
        losses = tf.TensorArray(tf.float32, count, element_shape=[None, len(self._method.losses)])
        for step in tf.range(count):
            normals = schedule.normals[step]
            values = tf.gather(pool, schedule.rows[step], batch_dims=1)
            batch = Batch(
                values=tf.sqrt(1 - blur**2) * values + blur * normals[..., :width],
                classes=tf.one_hot(schedule.labels[step], start_and_classes[1]),
                normals=normals[..., width:],
                uniforms=schedule.uniforms[step],
                constants=constants,
                step=tf.cast(start_and_classes[0] + step + 1, tf.float32),
                progress=pace[step, 0],
                rate=pace[step, 1],
                decay=blur_and_decay[1],
            )
            losses = losses.write(step, self._method.update(self.networks, batch))
        return losses.stack()


def choices(method: NetworkMethod, space: Whitening, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """[steps, batch] int32 rows of the samples that are shown, and the labels that they stand for.

    Args:
      method: its settings.
      space: of the real samples.
      random: what draws.
    """
    residuals, shape = space.residuals, (method.steps, method.batch)
    labels = random.choice(np.unique(residuals.labels), shape)
    patients, known = residuals.patients[labels], np.flatnonzero(residuals.shares > 0)
    rows = residuals.choose(known, random.random(shape))
    own = random.random(shape) * (patients + method.borrowed) < patients
    for label in np.unique(labels):
        places = own & (labels == label)
        rows[places] = residuals.choose(np.flatnonzero(residuals.labels == label), random.random(int(places.sum())))
    return rows.astype(np.int32), labels.astype(np.int32)
