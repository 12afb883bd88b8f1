"""Numeric precision: the one flag value that users give, as Keras dtype policies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

PRECISIONS = ("float32", "bfloat16", "float16")


def policy(precision: str) -> str:
    """Returns the Keras dtype policy that computes in `precision` and keeps variables in float32.

    Args:
      precision: one of `PRECISIONS`.

    Raises:
      ValueError: for any other name.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, received {precision!r}")
    return "float32" if precision == "float32" else f"mixed_{precision}"


@contextlib.contextmanager
def policy_scope(name: str | tf.keras.mixed_precision.Policy) -> Iterator[None]:
    """Makes `name` the global Keras policy inside the scope, for layers that third parties build without a dtype."""
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)


def adam(learning_rate, beta_1: float = 0.9) -> tf.keras.optimizers.legacy.Optimizer:
    """Adam (Kingma and Ba 2015), a step of which is one operation for each weight.

    Keras' newer Adam takes some twelve, each of which goes through all of the weight's memory.

    Args:
      learning_rate: a number or a schedule.
      beta_1: decay of the mean of gradients.
    """
    return tf.keras.optimizers.legacy.Adam(learning_rate, beta_1)


def scaled(optimizer: tf.keras.optimizers.Optimizer, precision: str) -> tf.keras.optimizers.Optimizer:
    """Wraps `optimizer` for loss scaling where `precision` needs it (float16), else returns it as it is.

    `Model.compile` does this for its one optimizer; a model that holds two must wrap both itself.
    """
    return tf.keras.mixed_precision.LossScaleOptimizer(optimizer) if precision == "float16" else optimizer
