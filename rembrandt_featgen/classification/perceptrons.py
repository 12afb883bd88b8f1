"""Networks of one hidden layer (ReLU), trained many at once by Adam with decoupled weight decay.

Each weight of all problems of a chunk is one variable with a problem axis, a step is a few batched products. Batches
are gathered from one pool of samples; a batch that is not full is filled with a blank sample of weight 0. Batch,
epochs and last batch are as in scikit-learn's MLPClassifier.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from rembrandt_featgen.classification import perceptron_steps, training_problems
from rembrandt_featgen.classification.training_problems import Problem
from rembrandt_featgen.nn import devices

_CHUNK_BYTES = {"CPU": 16 * 2**20, "GPU": 2**30}  # of weights and what is kept for each; a CPU's stay in its cache
_POOL_BYTES = 256 * 2**20  # of samples and their orders, for a chunk


@dataclasses.dataclass(frozen=True)
class PerceptronSettings:
    """How all networks of a call are trained.

    Attributes:
      units: of the hidden layer.
      epochs: all of which are done.
      batch: samples in a batch; the last one of an epoch has the rest.
      learning_rate: Adam's.
    """

    units: int = 16
    epochs: int = 60
    batch: int = 32
    learning_rate: float = 1e-3


def fit(problems: Sequence[Problem], settings: PerceptronSettings, strengths: Sequence[float]) -> list[dict]:
    """Trains a network for each problem, minimising the mean weighted loss of each batch.

    Weight decay is decoupled (Loshchilov and Hutter 2019): each step takes learning_rate * strength of every kernel.
    The same seed gives the same initial weights, and the same order to the same number of samples.

    Args:
      problems: with the same d and number of classes.
      settings: of all.
      strengths: weight decay of each problem, from 0 to below 1 / learning_rate.

    Returns:
      {"hidden_kernel": [d, units], "hidden_bias": [units], "kernel": [units, classes], "bias": [classes]} float32.

    Raises:
      ValueError: a strength is out of range.
    """
    if any(not 0 <= strength * settings.learning_rate < 1 for strength in strengths):
        raise ValueError(f"weight decay must be from 0 to below {1 / settings.learning_rate:g}, received {strengths}")
    results: list[dict] = [{} for _ in problems]
    device = "GPU" if devices.is_on_gpu() else "CPU"
    # Problems of a chunk have the same number of steps; what but some need is not done for others.
    keys = [(_steps(one, settings), bool(one.mixing), one.focusing > 0) for one in problems]
    firsts = training_problems.first_of_features(problems)
    order = sorted(range(len(problems)), key=lambda number: (keys[number], firsts[number]))
    weights, samples = zip(*(_bytes(problem, settings) for problem in problems)) if problems else ((), ())
    for _, alike in itertools.groupby(order, lambda number: keys[number]):
        for part in training_problems.chunks(alike, samples, _POOL_BYTES):
            for run in training_problems.chunks(part, weights, _CHUNK_BYTES[device]):
                trained = _fit_chunk([problems[k] for k in run], settings, [strengths[k] for k in run])
                for number, arrays in zip(run, trained):
                    results[number] = arrays
    return results


def logits(arrays: dict, features: np.ndarray) -> np.ndarray:
    """[m, classes] of features [m, d]."""
    hidden = np.maximum(features @ arrays["hidden_kernel"] + arrays["hidden_bias"], 0)
    return hidden @ arrays["kernel"] + arrays["bias"]


def _steps(problem, settings):
    return -(-problem.seen // settings.batch)


def _bytes(problem, settings):
    """Of the weights of a problem, four times, and of its samples with their order in all epochs."""
    n, d = problem.features.shape
    weights, samples = 4 * settings.units * (d + problem.classes + 1), n * (d + problem.classes)
    return 4 * weights, 4 * (samples + problem.seen * settings.epochs)


def initial_weights(problem: Problem, units: int) -> list[np.ndarray]:
    """Hidden kernel, hidden bias, kernel and bias before training.

    Kernels are those of Glorot and Bengio (2010), drawn by the problem's seed. The last bias gives classes their shares
    of the samples: where weight decay leaves nothing else, that is what a network should say.

    Args:
      problem: as for `fit`; of two classes there is one output.
      units: of the hidden layer.
    """
    random = np.random.default_rng([problem.seed, 0])
    logits = np.log(problem.shares())
    last = logits[1:] - logits[0] if problem.classes == 2 else logits - logits.mean()
    weights = []
    for shape, bias in ((problem.features.shape[1], units), np.zeros(units)), ((units, len(last)), last):
        bound = math.sqrt(6.0 / sum(shape))
        weights += [random.uniform(-bound, bound, shape).astype(np.float32), bias[None].astype(np.float32)]
    return weights


def _fit_chunk(problems, settings, strengths):
    pool, offsets = _pool(problems)
    most = max(len(problem.labels) for problem in problems)
    targets = np.zeros((len(problems), 1 + most, problems[0].classes), np.float32)  # row 0 is the blank sample's
    for place, problem in zip(targets, problems):
        place[1 : 1 + len(problem.labels)] = problem.targets()
    orders = [sample_orders(problem, settings) for problem in problems]
    shares = np.stack([mixing_shares(problem, settings) for problem in problems], 2)  # [epochs * steps, places, p]
    counts = np.array([problem.seen for problem in problems])
    steps = _steps(problems[0], settings)
    starts = np.arange(steps)[:, None] * settings.batch
    classes = problems[0].classes
    networks = perceptron_steps.network(
        problems[0].features.shape[1],
        settings.units,
        1 if classes == 2 else classes,
        focal=any(problem.focusing for problem in problems),
        mixing=any(problem.mixing for problem in problems),
    )
    networks.reset([initial_weights(problem, settings.units) for problem in problems])
    chunk = perceptron_steps.Chunk(
        pool=tf.constant(pool),
        offsets=tf.constant(offsets, tf.int32),
        targets=tf.constant(targets),
        sizes=tf.constant(np.clip(counts - starts, 1, settings.batch), tf.int32),
        focusing=tf.constant([[[problem.focusing]] for problem in problems], tf.float32),
        kept=tf.constant(1 - settings.learning_rate * np.reshape(strengths, (-1, 1, 1)), tf.float32),
        rate=tf.constant(settings.learning_rate, tf.float32),
    )
    for epoch in range(settings.epochs):
        rows = np.zeros((len(problems), steps * settings.batch), np.int32)
        for place, order in zip(rows, orders):
            place[: order.shape[1]] = 1 + order[epoch]
        networks.epoch(
            tf.constant(rows.reshape(len(problems), steps, settings.batch).transpose(1, 0, 2)),
            tf.constant(shares[epoch * steps : (epoch + 1) * steps], tf.float32),
            tf.constant(epoch * steps),
            chunk=chunk,
        )
    return networks.arrays(classes)


def _pool(problems):
    """Samples of all problems, those of shared features once, each set behind a blank one; and where each set is."""
    sets, places, length = [], {}, 0
    for problem in problems:
        if id(problem.features) not in places:
            places[id(problem.features)] = length
            sets += [np.zeros((1, problem.features.shape[1]), np.float32), problem.features]
            length += 1 + len(problem.features)
    return np.concatenate(sets).astype(np.float32), [places[id(problem.features)] for problem in problems]


def sample_orders(problem: Problem, settings: PerceptronSettings) -> np.ndarray:
    """[epochs, seen] of a problem's samples."""
    order = np.tile(np.arange(len(problem.labels), dtype=np.int32), (settings.epochs, 1))
    if problem.seen != len(problem.labels):
        random = np.random.default_rng([problem.seed, 1])
        epochs = [training_problems.epoch_order(len(problem.labels), problem.seen, random) for _ in order]
        return np.stack(epochs)
    return np.random.default_rng([problem.seed, 1]).permuted(order, axis=1)


def mixing_shares(problem: Problem, settings: PerceptronSettings) -> np.ndarray:
    """[epochs * steps, 2] share of a sample in its mixtures at the input and at the hidden layer; 1 mixes nothing."""
    shares = np.ones((settings.epochs * _steps(problem, settings), 2))
    if problem.mixing:
        random = np.random.default_rng([problem.seed, 2])
        places = random.integers(2 if problem.mixing == "manifold" else 1, size=len(shares))
        shares[np.arange(len(shares)), places] = random.beta(problem.alpha, problem.alpha, len(shares))
    return shares
