"""Callbacks of U-Net training: cross-entropy that helps, validation by volume, and pictures for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data import pipelines
from rembrandt_featgen.measures.segmentation import volume_measures
from rembrandt_featgen.nn import distribution, inference, sharding
from rembrandt_featgen.segmentation import losses

_THROUGHOUT = 300  # steps that cross-entropy may need to lead anywhere
_MEASURES = ("loss", "soft_dice_loss", "hard_dice", "iou", "overlap", "predicted", "tumour")
_ROW: tuple[tuple[str, type], ...] = (("patient", str), *((name, np.float32) for name in _MEASURES))  # of a slice


class CrossEntropyHelp(tf.keras.callbacks.Callback):
    """A loss to which cross-entropy is added: throughout, in the first steps, or from when it is needed.

    Where a network predicts no tumour anywhere, the gradient of soft dice vanishes and training can stay there for
    good; that of cross-entropy does not.

    Args:
      loss: of (truth, probability), per slice or for the batch.
      steps: steps over which the weight of cross-entropy falls from 1 to 0; 0 for `loss` alone, as in the paper.
      throughout: whether it stays 1 instead.
    """

    def __init__(self, loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], steps: int = 0, *, throughout: bool = False):
        super().__init__()
        self._loss, self._steps, self._kept = loss, max(steps, 1), throughout
        start = float(self._steps) if steps or throughout else 0.0
        self._remaining = tf.Variable(start, trainable=False, name="cross_entropy_steps")

    @property
    def steps(self) -> int:
        """Steps that a network needs, at least, before one can tell that it is stuck in spite of the help."""
        return _THROUGHOUT if self._kept else self._steps

    def loss(self, truth: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
        """float32, as `loss` gives it: the loss, plus weighted mean cross-entropy of the batch's pixels."""
        weight = self._remaining / self._steps
        return self._loss(truth, probability) + weight * losses.cross_entropy(truth, probability)

    def on_train_batch_end(self, batch, logs=None):
        """Fades the help."""
        if not self._kept:
            self._remaining.assign(tf.maximum(self._remaining - 1.0, 0.0))

    def resume(self, steps_done: int) -> None:
        """Sets the fading to where it was after `steps_done` steps."""
        if not self._kept:
            self._remaining.assign(max(float(self._remaining.numpy()) - steps_done, 0.0))

    def keep(self) -> None:
        """Adds cross-entropy in full from now on."""
        self._kept = True
        self._remaining.assign(float(self._steps))


class Validation(tf.keras.callbacks.Callback):
    """Measures the validation slices at the end of each epoch, slice by slice and by volume.

    Into the logs go, for the callbacks after it, val_loss (of the batches, each weighing by its slices),
    val_soft_dice_loss, val_hard_dice and val_iou (means over slices, as Keras takes them); val_volume_dice, the mean
    over the volumes that have tumour of the dice of all their slices together, which is 0 where nothing is predicted;
    and val_tumour_found, the share of all tumour pixels that is predicted. The last two need some tumour.

    Several devices and workers each take whole batches in turn; all learn the logs that one device would have.

    Args:
      unet: from slices to the tumour's probability.
      loss: of (truth, probability), per slice or for the batch.
      folder: the slices stage's.
      batch: slices in a batch.
    """

    def __init__(self, unet: tf.keras.Model, loss: Callable, *, folder: Path, batch: int):
        super().__init__()
        self._slices, self._where = pipelines.slices(folder, "validation", batch), unet.distribute_strategy
        spec = self._slices.element_spec

        def measuring(network):
            @tf.function(input_signature=(spec["image"], spec["mask"]))  # one graph, whatever the length of a batch
            def measure(images, masks):
                probability, truth = network(images, training=False), tf.cast(masks, tf.float32)
                predicted = tf.cast(probability > 0.5, tf.float32)
                return {
                    "loss": tf.fill(tf.shape(images)[:1], tf.reduce_mean(loss(masks, probability))),
                    "soft_dice_loss": losses.soft_dice_loss(masks, probability),
                    "hard_dice": losses.hard_dice(masks, probability),
                    "iou": losses.iou(masks, probability),
                    "overlap": tf.reduce_sum(truth * predicted, (1, 2, 3)),
                    "predicted": tf.reduce_sum(predicted, (1, 2, 3)),
                    "tumour": tf.reduce_sum(truth, (1, 2, 3)),
                }

            return measure

        self._measure = inference.OnDevices(unet, measuring)

    def _rows(self, batch) -> dict[str, list]:
        """Of each slice of a batch its measures, and the patient."""
        measured = self._measure.here()(batch["image"], batch["mask"])
        patients = pipelines.text(batch["patient"].numpy())
        return {"patient": patients.tolist(), **{name: value.numpy().tolist() for name, value in measured.items()}}

    def on_epoch_end(self, epoch, logs=None):
        """Measures, and adds to the logs."""
        where = self._where
        if distribution.is_distributed(where):
            self._measure.refresh()
        measured = inference.over_devices(where, self._rows, sharding.share_of(self._slices, where))
        batches = sharding.in_turn(sharding.gathered(where, [rows for _, rows in measured]))
        columns = {name: np.concatenate([np.array(rows[name], dtype) for rows in batches]) for name, dtype in _ROW}
        of_pixels = {name: columns.pop(name).astype(float) for name in ("overlap", "predicted", "tumour")}
        volumes = volume_measures(columns.pop("patient"), **of_pixels)
        logs.update({f"val_{name}": float(values.mean(dtype=float)) for name, values in columns.items()})
        if of_pixels["tumour"].any():
            logs["val_volume_dice"] = float(np.nanmean([row["dice"] for row in volumes.values()]))
            logs["val_tumour_found"] = float(of_pixels["overlap"].sum() / of_pixels["tumour"].sum())


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
