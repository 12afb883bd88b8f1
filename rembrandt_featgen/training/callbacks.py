"""Keras callbacks: resumable checkpoints, finite numbers, a start that cannot stick, progress and TensorBoard."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from absl import logging
from tqdm.keras import TqdmCallback

from rembrandt_featgen import rundir
from rembrandt_featgen.cohort.layouts import GRADES
from rembrandt_featgen.errors import InputError
from rembrandt_featgen.training import weights

SAVE_SECONDS = 15.0  # between saves of trainings whose epochs are short


class Checkpointing(tf.keras.callbacks.Callback):
    """Keeps the last epoch to go on from, the best epoch to use, and stops when the best is long past.

    `history.json` is the one record of what was done: best epoch and patience are derived from it, so a resumed
    training stops where an unbroken one would have.

    Args:
      folder: where `history.json`, `best.npz` and `checkpoints/` go.
      model: what is trained; its optimizers must be its attributes.
      monitor: the log whose best epoch is kept; None keeps the last one.
      mode: "max" or "min".
      patience: epochs without a better one after which training stops; 0 never stops.
      seconds: least time between two saves, where epochs are shorter than it takes to save them; a kill costs the
        epochs since the last one. 0 saves each epoch.
    """

    def __init__(
        self,
        folder: Path,
        model: tf.keras.Model,
        monitor: str | None,
        mode: str = "max",
        patience: int = 0,
        seconds: float = 0.0,
    ):
        super().__init__()
        self._seconds, self._saved_at, self._saved_epochs, self._best = seconds, time.monotonic(), 0, None
        self._folder, self._monitor, self._mode, self._patience = folder, monitor, mode, patience
        self._checkpoint = tf.train.Checkpoint(model=model)
        self._directory = folder / "checkpoints"
        path = folder / "history.json"
        self.history: dict[str, list[float]] = rundir.read_json(path) if path.exists() else {}
        if self.history:
            path = str(self._directory / f"epoch-{self.epochs_done}")
            if _is_of_newer_optimizers(path) and any(map(_is_legacy, vars(model).values())):
                raise InputError(
                    f"{path} was written by a version of this program that had another optimizer; delete {folder} to "
                    "train anew"
                )
            self._checkpoint.restore(path)
            logging.info("resumed after epoch %d", self.epochs_done)
        self._saved_epochs = self.epochs_done

    @property
    def epochs_done(self) -> int:
        """Epochs that the history holds."""
        return len(next(iter(self.history.values()), []))

    @property
    def best_epoch(self) -> int:
        """Index of the best epoch, from 0."""
        if self._monitor is None:
            return self.epochs_done - 1
        values = self.history[self._monitor]
        return values.index(max(values) if self._mode == "max" else min(values))

    @property
    def best_weights(self) -> Path:
        """Weights of the best epoch."""
        return self._folder / "best.npz"

    @property
    def finished(self) -> bool:
        """Whether patience has run out."""
        return bool(self.history and self._patience and self.epochs_done - 1 - self.best_epoch >= self._patience)

    def on_epoch_end(self, epoch, logs=None):
        """Notes the epoch, and saves it when it is time."""
        for name, value in logs.items():
            if not math.isfinite(float(value)):
                raise InputError(
                    f"training stopped in epoch {epoch + 1}: {name} is {float(value)}; lower the learning rate or take "
                    f"--precision=float32 (epochs that were saved before are kept in {self._folder})"
                )
            self.history.setdefault(name, []).append(float(value))
        if self.best_epoch == epoch:
            self._best = self.model.get_weights()
        if time.monotonic() - self._saved_at >= self._seconds:
            self._save()
        self.model.stop_training = self.finished

    def on_train_end(self, logs=None):
        """Saves what was not."""
        if self._saved_epochs < self.epochs_done:
            self._save()

    def _save(self):
        """Writes the last epoch, then the history: a kill in between repeats the epochs since the last save."""
        if self._best is not None:
            weights.save(self._best, self.best_weights)
        self._checkpoint.write(str(self._directory / f"epoch-{self.epochs_done}"))
        rundir.write_json(self._folder / "history.json", self.history)
        if self._saved_epochs:
            for old in self._directory.glob(f"epoch-{self._saved_epochs}.*"):
                old.unlink()
        self._saved_at, self._saved_epochs, self._best = time.monotonic(), self.epochs_done, None


def _is_of_newer_optimizers(checkpoint: str) -> bool:
    """Whether optimizers of Keras' newer kind wrote it, which list their memory; others would lose it."""
    return any("/_variables/" in name for name, _ in tf.train.list_variables(checkpoint))


def _is_legacy(value) -> bool:
    return isinstance(value, tf.keras.optimizers.legacy.Optimizer)


class CrossEntropyStart(tf.keras.callbacks.Callback):
    """Soft dice, helped by cross-entropy in the first steps and whenever it sticks.

    Where a network predicts no tumour anywhere, the gradient of soft dice vanishes and training can stay there for
    good; that of cross-entropy does not. Its weight falls from 1 to 0 over `steps`; should hardly any tumour be found
    at the end of an epoch, the help starts anew and a warning says so.

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
        """Starts the help anew where training sticks."""
        if logs["sensitivity"] < 0.01 and self._steps and self._remaining == 0.0:
            logging.warning(
                "epoch %d: stuck, %.1f%% of the tumour's pixels are found; cross-entropy helps for %d more steps",
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


class GeneratedMaps(tf.keras.callbacks.Callback):
    """Shows a few maps of a generated feature of each grade in TensorBoard, always of the same noise.

    It does so about ten times in a training, or after each epoch of fewer.

    Args:
      logs: folder of the events.
      channels: whose maps are shown, side by side.
      epochs: of the training.
    """

    def __init__(self, logs: Path, channels: Sequence[int], epochs: int):
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(logs))
        self._channels, self._every = tf.constant(channels), max(epochs // 10, 1)

    def on_epoch_end(self, epoch, logs=None):
        """Writes an image for each grade; a channel has the same brightness in both."""
        if (epoch + 1) % self._every:
            return
        labels = tf.range(len(GRADES))
        made = self.model.generate(tf.repeat(self.model.noise(1, [0, 0]), len(GRADES), 0), labels)
        maps = tf.gather(made, self._channels, axis=-1)
        low, high = (end(maps, (0, 1, 2), True) for end in (tf.reduce_min, tf.reduce_max))
        maps = tf.transpose((maps - low) / tf.maximum(high - low, 1e-6), (0, 1, 3, 2))
        shown = tf.reshape(maps, (*maps.shape[:2], -1, 1))  # [grade, height, channel, width] -> one row
        with self._writer.as_default():
            for grade, image in zip(GRADES, shown):
                tf.summary.image(f"generated_{grade}", image[tf.newaxis], step=epoch)


def watching(logs: Path, title: str, epochs: int, done: int) -> list[tf.keras.callbacks.Callback]:
    """A progress bar and TensorBoard scalars.

    Args:
      logs: folder of the events.
      title: of the bar.
      epochs: in all.
      done: epochs done before.
    """
    bar = TqdmCallback(epochs=epochs, verbose=0, desc=title, initial=done)
    return [tf.keras.callbacks.TensorBoard(str(logs), write_graph=False, update_freq="epoch"), bar]
