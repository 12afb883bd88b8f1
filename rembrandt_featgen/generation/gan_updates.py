"""Updates of weights in the training step of a GAN: by gradients, and by the exponential moving average."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from rembrandt_featgen.nn import distribution


def scaled_loss(optimizer: tf.keras.optimizers.Optimizer, loss: tf.Tensor) -> tf.Tensor:
    """A loss times its scale where the optimizer is wrapped for loss scaling (float16), else as it is."""
    return optimizer.get_scaled_loss(loss) if _scales(optimizer) else loss


def apply_gradients(
    optimizer: tf.keras.optimizers.Optimizer, tape: tf.GradientTape, loss: tf.Tensor, *, of: tf.keras.Model
) -> None:
    """One step down the gradients of a `scaled_loss`, summed over replicas, in the trainable weights `of` a network."""
    gradients = tape.gradient(loss, of.trainable_variables)
    if _scales(optimizer):
        gradients = optimizer.get_unscaled_gradients(gradients)
    optimizer.apply_gradients(zip(gradients, of.trainable_variables))


def update_ema(
    ema: Sequence[tf.Variable], weights: Sequence[tf.Variable], *, decay: float, iterations: tf.Tensor
) -> None:
    """Takes the averages a little closer to the weights; by more in the first steps, which are soon outdated.

    The decay of step t is min(decay, (1 + t) / (10 + t)).

    Args:
      ema: averages, which change.
      weights: in the same order.
      decay: in (0, 1).
      iterations: how many steps have been taken, int scalar.
    """
    step = tf.cast(iterations, tf.float32)
    rate = 1.0 - tf.minimum(decay, (1.0 + step) / (10.0 + step))
    for mean, weight in zip(ema, weights):
        if distribution.in_strategy():
            distribution.assign(mean, mean - rate * (mean - weight))
        else:
            mean.assign_sub(rate * (mean - weight))


def _scales(optimizer: tf.keras.optimizers.Optimizer) -> bool:
    return isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer)
