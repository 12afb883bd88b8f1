"""Training to the end from wherever it was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf
from tqdm.keras import TqdmCallback

from rembrandt_featgen.data import pipelines
from rembrandt_featgen.nn import distribution, sharding, weights
from rembrandt_featgen.nn.checkpointing import Checkpointing


class TensorBoard(tf.keras.callbacks.TensorBoard):
    """Keras', which writes an epoch to disk at its end, so that a kill loses no point of the curves."""

    def on_epoch_end(self, epoch, logs=None):
        """Writes the logs."""
        super().on_epoch_end(epoch, logs)
        for writer in self._writers.values():
            writer.flush()


def watching(logs: Path, title: str, *, epochs: int, done: int) -> list[tf.keras.callbacks.Callback]:
    """TensorBoard scalars, which come before an epoch is saved, and a progress bar.

    Args:
      logs: folder of the events.
      title: of the bar.
      epochs: in all.
      done: epochs done before.
    """
    bar = TqdmCallback(epochs=epochs, verbose=0, desc=title, initial=done)
    return [TensorBoard(str(logs), write_graph=False, update_freq="epoch"), bar]


def fit(
    model: tf.keras.Model,
    *,
    make_epoch: Callable[[tf.Tensor], tf.data.Dataset],
    steps: int,
    epochs: int,
    validation: tf.data.Dataset | None,
    checkpointing: Checkpointing,
    logs: Path,
    title: str,
    seed: int,
    extra: Sequence[tf.keras.callbacks.Callback] = (),
    first_epochs: tuple[int, Callable[[tf.Tensor], tf.data.Dataset]] | None = None,
) -> dict:
    """Trains a compiled model up to `epochs` epochs in all, and loads the weights of its best epoch.

    Args:
      model: compiled.
      make_epoch: from the key of an epoch to its dataset, see `pipelines.endless`.
      steps: batches of an epoch.
      epochs: in all, those before an interruption included.
      validation: batches; None to have the monitor come from training logs.
      checkpointing: holds what was done before.
      logs: TensorBoard folder.
      title: of the progress bar.
      seed: of the data's order.
      extra: more callbacks, which come before `checkpointing` does.
      first_epochs: how many of the epochs are made in another way, and how: for data of another shape.

    Returns:
      {"history": log name to values by epoch, "best_epoch": index from 0, "epochs": number}.
    """
    where = model.distribute_strategy
    of_validation: dict = {"validation_data": validation}
    if distribution.is_distributed(where):
        model.distribute_reduction_method = "first"  # logs are alike in all replicas, and are not to be summed
        if validation is not None:
            divided, count = distribution.validation_batches(where, validation)
            of_validation = {"validation_data": divided, "validation_steps": count}
    agreed = [sharding.LogsOfChief()] if distribution.workers(where)[1] > 1 else []
    parts = [(epochs, make_epoch)] if first_epochs is None else [first_epochs, (epochs, make_epoch)]
    for last, make in parts:
        done, end = checkpointing.epochs_done, min(last, epochs)
        if done >= end or checkpointing.finished:
            continue
        if first_epochs is not None:  # traced for the shapes of this part alone: a step for any shape is slower
            model.make_train_function(force=True)
        board, *bars = watching(logs, title, epochs=epochs, done=done)
        model.fit(
            distribution.batches(where, pipelines.endless(make, seed, done)),
            epochs=end,
            initial_epoch=done,
            steps_per_epoch=steps,
            **of_validation,
            callbacks=[*agreed, *extra, board, checkpointing, *bars],
            verbose=0,
        )
    weights.load(model, checkpointing.best_weights)
    return {
        "history": checkpointing.history,
        "best_epoch": checkpointing.best_epoch,
        "epochs": checkpointing.epochs_done,
    }
