"""Trains each kind of network unbroken, and killed and resumed, by --deterministic; prints what differs as JSON.

A program of its own, for operations stay deterministic in a process. python -m tests.nn.resumed_trainings FOLDER
"""

import contextlib
import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data import sampling_order
from rembrandt_featgen.nn import devices, resumable_fit
from rembrandt_featgen.nn.checkpointing import Checkpointing
from tests.nn import two_cpus

EPOCHS, STEPS, KILLED = 3, 2, 3  # training is killed in this step, counted from 1
SEED = 4
NETWORKS = {"unet": two_cpus.unet, "cnn": lambda: two_cpus.classifier("cnn"), "acgan": lambda: two_cpus.gan("acgan")}


class Killed(BaseException):
    """Stands for SIGKILL."""


class Kill(tf.keras.callbacks.Callback):
    """Ends training after a step, counted over all epochs."""

    def __init__(self):
        super().__init__()
        self._done = 0

    def on_train_batch_end(self, batch, logs=None):
        """Counts steps; of several in one run of the graph the last."""
        if self._done + batch + 1 >= KILLED:
            raise Killed

    def on_epoch_end(self, epoch, logs=None):
        """Counts the steps of an epoch."""
        self._done = (epoch + 1) * STEPS


def train(name, folder, killed=False):
    """Trains from wherever it was killed; returns the variables, optimizers' and counters too, and what was seen."""
    tf.keras.backend.clear_session()  # as in a process that is new
    tf.keras.utils.set_random_seed(SEED)
    model, data = NETWORKS[name]()
    model.run_eagerly = name != "cnn"  # a few steps, which take less time than to trace one
    seen: list[list[int]] = []

    def make_epoch(key):
        order = tf.data.Dataset.from_tensor_slices(sampling_order.permutation(2 * two_cpus.ROWS, key))

        def read(numbers):
            tf.py_function(lambda found: seen.append(found.numpy().tolist()), [numbers], [])
            return tf.nest.map_structure(lambda column: tf.gather(column, numbers), data)

        return order.batch(two_cpus.ROWS).map(read)

    folder.mkdir(parents=True, exist_ok=True)
    found = resumable_fit.fit(
        model,
        make_epoch=make_epoch,
        steps=STEPS,
        epochs=EPOCHS,
        validation=None,
        checkpointing=Checkpointing(folder, model, monitor=None),
        logs=folder / "logs",
        title=name,
        seed=SEED,
        extra=[Kill()] if killed else [],
    )
    variables = tf.train.load_checkpoint(str(folder / "checkpoints" / f"epoch-{EPOCHS}"))
    names = sorted(variables.get_variable_to_shape_map())
    return {key: variables.get_tensor(key) for key in names}, found["history"], seen


def same(one, two):
    """Whether two arrays have the same bits."""
    return np.asarray(one).tobytes() == np.asarray(two).tobytes()


def main():
    """Prints, for each network, the names of the variables that differ, and whether history and order do."""
    devices.use("cpu", deterministic=True)
    found = {}
    for name in NETWORKS:
        folder = Path(sys.argv[1]) / name
        unbroken, history, order = train(name, folder / "unbroken")
        with contextlib.suppress(Killed):
            train(name, folder / "killed", killed=True)
        resumed, history_of_resumed, rest = train(name, folder / "killed")
        found[name] = {
            "variables": len(unbroken),
            "of optimizers": sum("optimizer" in key for key in unbroken),
            "differ": [key for key in unbroken if not key.startswith("_") and not same(unbroken[key], resumed[key])],
            "missing": sorted(set(unbroken) ^ set(resumed)),
            "history": history == history_of_resumed,
            "order": order[KILLED // STEPS * STEPS :][: len(rest)] == rest,
            "batches": len(rest),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
