"""Keeps what training needs to resume, and the best epoch; refuses numbers that are not finite."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow.python import pywrap_tfe

from rembrandt_featgen.core import json_files, paths
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.nn import distribution, weights

SAVE_SECONDS = 15.0  # between saves of trainings whose epochs are short


class Checkpointing(tf.keras.callbacks.Callback):
    """Keeps the last epoch to resume from, the best epoch to use, and stops when the best is long past.

    `history.json` is the one record of what was done: best epoch and patience are derived from it, so a resumed
    training stops where an unbroken one would have.

    Args:
      folder: where `history.json`, `best.npz` and `checkpoints/` go.
      model: what is trained; its optimizers must be its attributes.
      monitor: the log whose best epoch is kept; None keeps the last one.
      mode: "max" or "min".
      patience: epochs without a better one, since the last restart, after which training stops; 0 never stops, nor does
        any while all epochs are barred.
      barred: a log that is above 0 in epochs that are not the best, whatever their monitor, while there are others.
      restarts: a log that counts how often training has begun again at the end of an epoch, and the count at which it
        stops instead.
      seconds: least time between two saves, where epochs are shorter than it takes to save them; a kill costs the
        epochs since the last one. 0 saves each epoch.
    """

    def __init__(
        self,
        folder: Path,
        model: tf.keras.Model,
        *,
        monitor: str | None,
        mode: str = "max",
        patience: int = 0,
        barred: str | None = None,
        restarts: tuple[str, int] | None = None,
        seconds: float = 0.0,
    ):
        super().__init__()
        self._seconds, self._saved_at = seconds, time.monotonic()
        self._best: list[np.ndarray] | None = None  # weights of the best epoch, until they are saved
        self._folder, self._monitor, self._mode, self._patience = folder, monitor, mode, patience
        self._barred, self._restarts = barred, restarts
        self._checkpoint = tf.train.Checkpoint(model=model)
        self._directory = folder / "checkpoints"
        history = folder / "history.json"
        self.history: dict[str, list[float]] = json_files.read_json(history) if history.exists() else {}
        if self.history:
            last = str(paths.literal(self._directory) / f"epoch-{self.epochs_done}")
            if _is_of_newer_optimizers(last) and any(map(_is_legacy, vars(model).values())):
                raise InputError(
                    f"{self._directory} was written by a version of this program that had another optimizer; delete "
                    f"{folder} to train again"
                )
            self._checkpoint.restore(last)
            logging.info("resumed after epoch %d", self.epochs_done)
        self._saved_epochs = self.epochs_done

    @property
    def epochs_done(self) -> int:
        """Epochs that the history holds."""
        return len(next(iter(self.history.values()), []))

    @property
    def best_epoch(self) -> int:
        """Index of the best epoch, from 0."""
        return self.best_of(self.history)

    def best_of(self, history: Mapping[str, Sequence[float]]) -> int:
        """Index of the best epoch of a history, the first of equals."""
        count = len(next(iter(history.values())))
        if self._monitor is None:
            return count - 1
        allowed = [epoch for epoch in range(count) if not self._is_barred(history, epoch)] or range(count)
        sign = 1.0 if self._mode == "max" else -1.0
        return max(allowed, key=lambda epoch: sign * history[self._monitor][epoch])

    def read_best(self) -> list[np.ndarray]:
        """Weights of the best epoch so far."""
        return weights.read(self.best_weights) if self._best is None else self._best

    @property
    def best_weights(self) -> Path:
        """Weights of the best epoch."""
        return self._folder / "best.npz"

    @property
    def finished(self) -> bool:
        """Whether patience has run out, or training has begun again too often."""
        if not self.history:
            return False
        log, most = self._restarts or ("", 0)
        counts = self.history.get(log, [])
        if counts and counts[-1] >= most:
            return True
        best = self.best_epoch
        if not self._patience or self._is_barred(self.history, best):
            return False
        return self.epochs_done - 1 - max([best, *rises(counts)]) >= self._patience

    def on_epoch_end(self, epoch, logs=None):
        """Notes the epoch, and saves it when it is time; frees what TensorFlow keeps of it."""
        for name, value in logs.items():
            if not math.isfinite(float(value)):
                raise InputError(
                    f"training stopped in epoch {epoch + 1}: {name} is {float(value)}; lower the learning rate or take "
                    f"--precision=float32 (epochs that were saved before are kept in {self._folder})"
                )
            self.history.setdefault(name, []).append(float(value))
        if self.best_epoch == epoch:
            self._best = self.model.get_weights()
        # all workers save at the same time, as each has a part of what is saved
        if distribution.any_worker(self.model.distribute_strategy, time.monotonic() - self._saved_at >= self._seconds):
            self._save()
        # TensorFlow keeps a tensor for each number that was ever made one, such as those of logs: 35 kB an epoch.
        pywrap_tfe.TFE_ClearScalarCache()
        self.model.stop_training = self.finished

    def on_train_end(self, logs=None):
        """Saves what was not."""
        if self._saved_epochs < self.epochs_done:
            self._save()

    def _is_barred(self, history, epoch):
        return bool(self._barred and history[self._barred][epoch])

    def _save(self):
        """Writes the last epoch, then the history: a kill in between repeats the epochs since the last save."""
        if self._best is not None:
            weights.save(self._best, self.best_weights)
        self._checkpoint.write(str(self._directory / f"epoch-{self.epochs_done}"))
        json_files.write_json(self._folder / "history.json", self.history)
        if self._saved_epochs:
            for old in self._directory.glob(f"epoch-{self._saved_epochs}.*"):
                old.unlink()
        self._saved_at, self._saved_epochs, self._best = time.monotonic(), self.epochs_done, None


def rises(counts: Sequence[float]) -> list[int]:
    """Indices at which a count from 0 has risen."""
    return [index for index, count in enumerate(counts) if count > (counts[index - 1] if index else 0.0)]


def _is_of_newer_optimizers(checkpoint: str) -> bool:
    """Whether optimizers of Keras' newer kind wrote it, which list their memory; others would lose it."""
    return any("/_variables/" in name for name, _ in tf.train.list_variables(checkpoint))


def _is_legacy(value) -> bool:
    return isinstance(value, tf.keras.optimizers.legacy.Optimizer)
