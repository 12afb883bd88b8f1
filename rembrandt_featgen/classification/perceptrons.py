"""Networks of one hidden layer (ReLU), trained many at once by Adam with decoupled weight decay.

Each weight of all problems of a chunk is one variable with a problem axis, a step is a few batched products. Batches
are gathered from one pool of samples; a batch that is not full is filled with a blank sample of weight 0. Batch,
epochs and last batch are as in scikit-learn's MLPClassifier.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from rembrandt_featgen.classification import vector_problems
from rembrandt_featgen.classification.vector_problems import Problem

_CHUNK_BYTES = {"CPU": 16 * 2**20, "GPU": 2**30}  # of weights and what is kept for each; a CPU's stay in its cache
_POOL_BYTES = 256 * 2**20  # of samples and their orders, for a chunk
_BETAS = (0.9, 0.999)  # of Adam
_EPSILON = 1e-8
_SURE = 1e-7  # 1 - p below which the focal loss takes it for that


@dataclasses.dataclass(frozen=True)
class PerceptronSettings:
    """How all networks of a call are trained.

    Attributes:
      units: of the hidden layer.
      epochs: all of which are done.
      batch: samples in a batch; the last one of an epoch has the rest.
      learning_rate: Adam's.
    """

    units: int = 32
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
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    # Problems of a chunk have the same number of steps.
    order = sorted(range(len(problems)), key=lambda k: (_steps(problems[k], settings), id(problems[k].features)))
    weights, samples = zip(*(_bytes(problem, settings) for problem in problems)) if problems else ((), ())
    for steps in sorted({_steps(problem, settings) for problem in problems}):
        alike = [number for number in order if _steps(problems[number], settings) == steps]
        for part in vector_problems.chunks(alike, samples, _POOL_BYTES):
            for run in vector_problems.chunks(part, weights, _CHUNK_BYTES[device]):
                trained = _fit_chunk([problems[k] for k in run], settings, [strengths[k] for k in run])
                for number, arrays in zip(run, trained):
                    results[number] = arrays
    return results


def logits(arrays: dict, features: np.ndarray) -> np.ndarray:
    """[m, classes] of features [m, d]."""
    hidden = np.maximum(features @ arrays["hidden_kernel"] + arrays["hidden_bias"], 0)
    return hidden @ arrays["kernel"] + arrays["bias"]


def _steps(problem, settings):
    return -(-len(problem.labels) // settings.batch)


def _bytes(problem, settings):
    """Of the weights of a problem, four times, and of its samples with their order in all epochs."""
    n, d = problem.features.shape
    return 16 * settings.units * (d + problem.classes + 1), 4 * n * (d + problem.classes + settings.epochs)


def initial_weights(problem: Problem, units: int) -> list[np.ndarray]:
    """Hidden kernel, hidden bias, kernel and bias before training: Glorot and Bengio (2010), biases 0.

    Args:
      problem: whose seed, d and number of classes decide; of two classes there is one output.
      units: of the hidden layer.
    """
    random = np.random.default_rng([problem.seed, 0])
    d, outputs = problem.features.shape[1], 1 if problem.classes == 2 else problem.classes
    weights = []
    for shape in ((d, units), (units, outputs)):
        bound = math.sqrt(6.0 / sum(shape))
        weights += [random.uniform(-bound, bound, shape).astype(np.float32), np.zeros((1, shape[1]), np.float32)]
    return weights


def _fit_chunk(problems, settings, strengths):
    pool, offsets = _pool(problems)
    most = max(len(problem.labels) for problem in problems)
    targets = np.zeros((len(problems), 1 + most, problems[0].classes), np.float32)  # row 0 is the blank sample's
    for place, problem in zip(targets, problems):
        place[1 : 1 + len(problem.labels)] = problem.targets()
    orders = [_order(problem, settings) for problem in problems]
    shares = np.stack([_shares(problem, settings) for problem in problems], 2)  # [epochs * steps, places, p]
    counts = np.array([len(problem.labels) for problem in problems])
    steps = _steps(problems[0], settings)
    starts = np.arange(steps)[:, None] * settings.batch
    classes = problems[0].classes
    network = _network(problems[0].features.shape[1], settings.units, 1 if classes == 2 else classes)
    network.reset([initial_weights(problem, settings.units) for problem in problems])
    constants = {
        "pool": tf.constant(pool),
        "offsets": tf.constant(offsets, tf.int32),
        "targets": tf.constant(targets),
        "sizes": tf.constant(np.clip(counts - starts, 1, settings.batch), tf.int32),
        "focusing": tf.constant([[[problem.focusing]] for problem in problems], tf.float32),
        "kept": tf.constant(1 - settings.learning_rate * np.reshape(strengths, (-1, 1, 1)), tf.float32),
        "rate": tf.constant(settings.learning_rate, tf.float32),
    }
    focal, mixing = any(problem.focusing for problem in problems), any(problem.mixing for problem in problems)
    for epoch in range(settings.epochs):
        rows = np.zeros((len(problems), steps * settings.batch), np.int32)
        for place, order in zip(rows, orders):
            place[: order.shape[1]] = 1 + order[epoch]
        network.epoch(
            tf.constant(rows.reshape(len(problems), steps, settings.batch).transpose(1, 0, 2)),
            tf.constant(shares[epoch * steps : (epoch + 1) * steps], tf.float32),
            tf.constant(epoch * steps),
            focal=focal,
            mixing=mixing,
            **constants,
        )
    return network.arrays(classes)


def _pool(problems):
    """Samples of all problems, those of shared features once, each set behind a blank one; and where each set is."""
    sets, places, length = [], {}, 0
    for problem in problems:
        if id(problem.features) not in places:
            places[id(problem.features)] = length
            sets += [np.zeros((1, problem.features.shape[1]), np.float32), problem.features]
            length += 1 + len(problem.features)
    return np.concatenate(sets).astype(np.float32), [places[id(problem.features)] for problem in problems]


def _order(problem, settings):
    """[epochs, n] of a problem's samples."""
    order = np.tile(np.arange(len(problem.labels), dtype=np.int32), (settings.epochs, 1))
    return np.random.default_rng([problem.seed, 1]).permuted(order, axis=1)


def _shares(problem, settings):
    """[epochs * steps, 2] share of a sample in its mixtures at the input and at the hidden layer; 1 mixes nothing."""
    shares = np.ones((settings.epochs * _steps(problem, settings), 2))
    if problem.mixing:
        random = np.random.default_rng([problem.seed, 2])
        places = random.integers(2 if problem.mixing == "manifold" else 1, size=len(shares))
        shares[np.arange(len(shares)), places] = random.beta(problem.alpha, problem.alpha, len(shares))
    return shares


@functools.lru_cache(maxsize=8)
def _network(d, units, outputs):
    """The one `_Network` of a shape: its epoch is traced once."""
    return _Network(d, units, outputs)


class _Network:
    """Weights of many networks of a shape, and a traced epoch of their training; lent to one chunk after another."""

    def __init__(self, d, units, outputs):
        shapes = [(d, units), (1, units), (units, outputs), (1, outputs)]
        self._weights, self._means, self._squares = (
            [tf.Variable(tf.zeros([1, *shape]), trainable=False, shape=[None, *shape]) for shape in shapes]
            for _ in range(3)
        )
        self._outputs = outputs
        self.epoch = tf.function(self._epoch, reduce_retracing=True)

    def reset(self, initial):
        """Takes the initial weights of each problem, and sets the optimizer to its start."""
        for values, *variables in zip(zip(*initial), self._weights, self._means, self._squares):
            stacked = np.stack(values)
            for variable, value in zip(variables, (stacked, np.zeros_like(stacked), np.zeros_like(stacked))):
                variable.assign(value)

    def arrays(self, classes):
        """Weights of each problem, for `logits` of all classes."""
        hidden_kernels, hidden_biases, kernels, biases = (weight.numpy() for weight in self._weights)
        if classes == 2:  # the first class's logit is 0
            kernels, biases = (np.concatenate([np.zeros_like(value), value], 2) for value in (kernels, biases))
        names = ("hidden_kernel", "hidden_bias", "kernel", "bias")
        return [
            dict(zip(names, (hidden_kernel, hidden_bias[0], kernel, bias[0])))
            for hidden_kernel, hidden_bias, kernel, bias in zip(hidden_kernels, hidden_biases, kernels, biases)
        ]

    def _epoch(self, rows, shares, done, *, pool, offsets, targets, sizes, focusing, kept, rate, focal, mixing):
        """Does all steps of an epoch.

        Args:
          rows: [steps, p, batch] int32, of a problem's samples from 1 on; 0 is the blank one.
          shares: [steps, 2, p], see `_shares`.
          done: steps before this epoch.
          pool, offsets: [samples, d] and [p], see `_pool`.
          targets: [p, 1 + n, classes], weighted.
          sizes: [steps, p], samples in a batch.
          focusing: [p, 1, 1].
          kept: [p, 1, 1] what weight decay leaves.
          rate: learning rate.
          focal, mixing: whether any problem needs it.
        """
        for step in tf.range(tf.shape(rows)[0]):
            its_rows, size, share = rows[step], sizes[step], shares[step][..., None, None]
            x = tf.gather(pool, its_rows + offsets[:, None])
            wanted = tf.gather(targets, its_rows, batch_dims=1) / tf.cast(size, tf.float32)[:, None, None]
            partners = _partners(tf.shape(rows)[2], size)
            if mixing:
                x, wanted = _mix(x, partners, share[0]), _mix(wanted, partners, share[0] * share[1])
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(self._weights)
                hidden_kernel, hidden_bias, kernel, bias = self._weights
                hidden = tf.nn.relu(tf.matmul(x, hidden_kernel) + hidden_bias)
                if mixing:
                    hidden = _mix(hidden, partners, share[1])
                loss = self._loss(tf.matmul(hidden, kernel) + bias, wanted, focusing=focusing, focal=focal)
            self._apply(tape.gradient(loss, self._weights), tf.cast(done + step + 1, tf.float32), kept, rate=rate)

    def _loss(self, outputs, wanted, *, focusing, focal):
        """Sum over problems of the mean loss of a batch."""
        if self._outputs == 1:
            outputs = tf.concat([tf.zeros_like(outputs), outputs], 2)
        log_p = tf.nn.log_softmax(outputs)
        losses = -wanted * log_p
        if focal:  # (1 - p)^gamma
            losses *= tf.exp(focusing * tf.math.log(tf.maximum(-tf.math.expm1(log_p), _SURE)))
        return tf.reduce_sum(losses)

    def _apply(self, gradients, step, kept, *, rate):
        for number, weight in enumerate(self._weights):
            if number % 2 == 0:  # kernels decay, biases do not
                weight.assign(weight * kept)
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=self._means[number].handle,
                v=self._squares[number].handle,
                beta1_power=_BETAS[0] ** step,
                beta2_power=_BETAS[1] ** step,
                lr=rate,
                beta1=_BETAS[0],
                beta2=_BETAS[1],
                epsilon=_EPSILON,
                grad=gradients[number],
            )


def _partners(batch, sizes):
    """[p, batch] place of the sample that each one is mixed with: the one before it; blank samples with themselves."""
    places = tf.range(batch)[None]
    before = tf.where(places == 0, sizes[:, None] - 1, places - 1)
    return tf.where(places < sizes[:, None], before, places)


def _mix(values, partners, share):
    """Mixtures of values [p, batch, k] by share [p, 1, 1]."""
    return share * values + (1 - share) * tf.gather(values, partners, batch_dims=1)
