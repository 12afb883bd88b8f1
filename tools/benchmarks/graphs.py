"""Training steps inside one graph."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def steps_in_graph(model: tf.keras.Model, batch: tuple[tf.Tensor, tf.Tensor], steps: int) -> Callable[[], object]:
    """A function that does so many training steps on one batch without leaving the graph, and waits for them.

    Args:
      model: compiled.
      batch: as `train_step` takes it.
      steps: how many.
    """

    @tf.function
    def run():
        for _ in tf.range(steps):
            model.train_step(batch)
        return model.trainable_variables[0][..., :1]

    return lambda: run().numpy()
