"""Networks that are run batch by batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf


def runner(network: tf.keras.Model) -> Callable[[tf.Tensor], np.ndarray]:
    """`network` in inference mode, as one compiled graph from a batch to its output.

    Keras' `predict_on_batch` makes a tf.data pipeline for each batch, and closing it waits for the thread that tunes
    it: here, up to half a second.
    """
    run = tf.function(lambda batch: network(batch, training=False), reduce_retracing=True)
    return lambda batch: run(tf.convert_to_tensor(batch)).numpy()
