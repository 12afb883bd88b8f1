"""Callbacks of U-Net training: a start that cannot stick, and pictures for TensorBoard."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
from absl import logging


class CrossEntropyStart(tf.keras.callbacks.Callback):
    """Soft dice, helped by cross-entropy in the first steps and whenever it sticks.

    Where a network predicts no tumour anywhere, the gradient of soft dice vanishes and training can stay there for
    good; that of cross-entropy does not. Its weight falls from 1 to 0 over `steps`; should hardly any tumour be
    predicted at the end of an epoch, the help starts again and a warning says so.

    Args:
      loss: of (truth, probability), per slice or for the batch.
      steps: steps over which the help fades; 0 for soft dice alone, as in the paper.
    """

    def __init__(self, loss, steps: int):
        super().__init__()
        self._loss, self._steps = loss, steps
        self._remaining = tf.Variable(float(steps), trainable=False, name="cross_entropy_steps")

    def loss(self, truth: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
        """float32, as `loss` gives it: the loss, plus weighted mean cross-entropy of the batch's pixels."""
        total = self._loss(truth, probability)
        if not self._steps:
            return total
        truth = tf.cast(truth, tf.float32)
        # 1e-30, not 1e-7: a clip that binds has no gradient, and a stuck network is below 1e-7
        log_p = tf.math.log(tf.maximum(probability, 1e-30))
        log_not_p = tf.math.log(tf.maximum(1.0 - probability, 1e-7))
        cross_entropy = -tf.reduce_mean(truth * log_p + (1.0 - truth) * log_not_p)
        return total + self._remaining / self._steps * cross_entropy

    def on_train_batch_end(self, batch, logs=None):
        """Fades the help."""
        if self._steps:
            self._remaining.assign(tf.maximum(self._remaining - 1.0, 0.0))

    def on_epoch_end(self, epoch, logs=None):
        """Starts the help again where training sticks."""
        if logs["sensitivity"] < 0.01 and self._steps and self._remaining == 0.0:
            logging.warning(
                "epoch %d: stuck, %.1f%% of the tumour's pixels are predicted; cross-entropy helps for %d more steps",
                epoch + 1,
                100 * logs["sensitivity"],
                self._steps,
            )
            self._remaining.assign(float(self._steps))

    def resume(self, steps_done: int) -> None:
        """Sets the fading to where it was after `steps_done` steps."""
        self._remaining.assign(float(max(self._steps - steps_done, 0)))


class SegmentationImages(tf.keras.callbacks.Callback):
    """Shows a few slices with truth and prediction in TensorBoard after each epoch."""

    def __init__(self, logs: Path, images: tf.Tensor, masks: tf.Tensor):
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(logs))
        self._images, self._masks = images, tf.cast(masks, tf.float32)

    def on_epoch_end(self, epoch, logs=None):
        """Writes image, truth and prediction side by side."""
        image = self._images[..., :1]
        low, high = tf.reduce_min(image, (1, 2, 3), True), tf.reduce_max(image, (1, 2, 3), True)
        grey = (image - low) / tf.maximum(high - low, 1e-6)
        shown = tf.concat([grey, self._masks, self.model(self._images, training=False)], axis=2)
        with self._writer.as_default():
            tf.summary.image("image_truth_prediction", shown, step=epoch, max_outputs=len(shown))
