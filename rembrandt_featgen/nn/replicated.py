"""What Keras has for one device, for several: layers and a model that compute what one device would.

Dropout is drawn by seed and step, with a strategy or without: Keras draws from a state that no checkpoint holds, so
that a training that is resumed would see other masks. All else is Keras' own without a strategy, to the last bit. The
layers have Keras' names, by which Keras numbers them and TensorFlow orders the sums of their gradients.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow as tf

from rembrandt_featgen.nn import distribution, weights

_PACKAGE = "rembrandt_featgen"
_of_thread = threading.local()  # replicas are traced by a thread each


@contextlib.contextmanager
def seeded(seed: int, step: tf.Tensor) -> Iterator[None]:
    """In which layers of this thread draw from seed and step alone, each call from its own stream.

    Args:
      seed: of the training.
      step: int64, steps done.
    """
    before = getattr(_of_thread, "state", None)
    _of_thread.state = (tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)]), [0])
    try:
        yield
    finally:
        _of_thread.state = before


def _next_seed() -> tf.Tensor | None:
    """Of the next call of a layer inside `seeded`; None outside, where layers draw from Keras' generator."""
    of_step, calls = getattr(_of_thread, "state", None) or (None, [0])
    if of_step is None:
        return None
    calls[0] += 1
    return tf.random.experimental.stateless_fold_in(of_step, 1000 + calls[0])  # lower ones are of the steps' own draws


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class Dropout(tf.keras.layers.Dropout):
    """Keras' layer, whose mask is drawn for the global batch inside `seeded`."""

    def call(self, inputs, training=None):
        """What Keras' does."""
        seed = _next_seed() if training is True else None
        if seed is None:
            return super().call(inputs, training=training)

        return dropout(inputs, self.rate, seed)


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    """`tf.nn.experimental.stateless_dropout` of the global batch, of which x are the replica's rows."""
    if distribution.replicas() == 1:
        return tf.nn.experimental.stateless_dropout(x, rate, seed)

    def factors(total):
        ones = tf.ones(tf.concat([[total], tf.shape(x)[1:]], 0), x.dtype)
        return tf.nn.experimental.stateless_dropout(ones, rate, seed)

    return x * distribution.draws(factors, x)


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class BatchNormalization(tf.keras.layers.BatchNormalization):
    """Keras' layer, over the last axis, by mean and variance of the global batch."""

    def call(self, inputs, training=None, mask=None):
        """What Keras' does, where there are several replicas from one sum over them."""
        if distribution.replicas() == 1 or training is not True:
            return super().call(inputs, training=training, mask=mask)
        inputs = tf.cast(inputs, self.compute_dtype)
        axes = list(range(len(inputs.shape) - 1))
        mean, variance, count = distribution.moments(inputs, axes, about=self.moving_mean)
        # the fused operation that one device takes for maps keeps the unbiased one
        kept = variance * count / tf.maximum(count - 1.0, 1.0) if self.fused else variance
        for average, now in ((self.moving_mean, mean), (self.moving_variance, kept)):
            distribution.assign(average, average - (average - tf.stop_gradient(now)) * (1.0 - self.momentum))
        x = tf.cast(inputs, tf.float32)
        scaled = tf.nn.batch_normalization(
            x, mean, variance, offset=self.beta, scale=self.gamma, variance_epsilon=self.epsilon
        )
        return tf.cast(scaled, inputs.dtype)


class Replicated(tf.keras.Model):
    """A functional model whose Keras training step is right in each replica: see `replicated`."""

    seed = 0

    def train_step(self, data):
        """Keras' own, with masks by seed and step."""
        with seeded(self.seed, self.optimizer.iterations):
            return super().train_step(data)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        """The replica's part of the loss of the global batch."""
        return global_loss(super().compute_loss(x, y, y_pred, sample_weight), tf.nest.flatten(y_pred)[0])


def global_loss(loss: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    """The replica's part of the loss of the global batch.

    Args:
      loss: of Keras: a mean over the replica's rows, divided by the number of replicas as if each had as many.
      batch: the rows.
    """
    number = distribution.replicas()
    return loss if number == 1 else loss * number * distribution.share(batch).weight


def replicated(model: tf.keras.Model, seed: int) -> tf.keras.Model:
    """A functional model as one that Keras trains right under the present strategy, with the same weights.

    Args:
      model: functional; it is returned as it is where there is neither a strategy nor dropout.
      seed: of its masks.
    """
    if not tf.distribute.has_strategy() and not any(isinstance(part, Dropout) for part in model.submodules):
        return model
    found = Replicated(model.input, model.output, name=model.name)
    found.seed = seed
    return found


def on_one_device(
    where: tf.distribute.Strategy, model: tf.keras.Model, *, build: Callable[[], tf.keras.Model], path: Path
) -> tf.keras.Model:
    """A trained model for what one worker does alone, for which variables that several hold would wait for the others.

    Args:
      where: the strategy that it was trained under.
      model: the trained one, which is returned without a strategy.
      build: makes another one like it.
      path: of its weights, see `weights.save`.
    """
    if not distribution.is_distributed(where):
        return model
    other = build()
    weights.load(other, path)
    return other
