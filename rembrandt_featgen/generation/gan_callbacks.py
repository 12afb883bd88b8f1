"""Pictures of generated features for TensorBoard, while a generator trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.cohort.classes import Classes


class GeneratedMaps(tf.keras.callbacks.Callback):
    """Shows a few maps of a generated feature of each class in TensorBoard, always of the same noise.

    It does so about ten times in a training, or after each epoch of fewer.

    Args:
      logs: folder of the events.
      classes: of the run.
      channels: whose maps are shown, side by side.
      epochs: of the training.
    """

    def __init__(self, logs: Path, classes: Classes, *, channels: Sequence[int] | np.ndarray, epochs: int):
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(logs))
        self._classes = classes
        self._channels, self._every = tf.constant(channels), max(epochs // 10, 1)

    def on_epoch_end(self, epoch, logs=None):
        """Writes an image for each class; a channel has the same brightness in all."""
        if (epoch + 1) % self._every:
            return
        count = self._classes.count
        features = self.model.generate(tf.repeat(self.model.noise(1, [0, 0]), count, 0), tf.range(count))
        maps = tf.gather(features, self._channels, axis=-1)
        low, high = (end(maps, (0, 1, 2), True) for end in (tf.reduce_min, tf.reduce_max))
        maps = tf.transpose((maps - low) / tf.maximum(high - low, 1e-6), (0, 1, 3, 2))
        rows = tf.reshape(maps, (*maps.shape[:2], -1, 1))  # [class, height, channel, width] -> one row
        with self._writer.as_default():
            for name, image in zip(self._classes.names, rows):
                tf.summary.image(f"generated_{name}", image[tf.newaxis], step=epoch)
