"""A network's weights as one .npz file: arrays in the order of `model.weights`, read without pickle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.core import array_files, file_sizes, system_errors
from rembrandt_featgen.core.errors import InputError


def save(arrays: Sequence[np.ndarray], path: Path) -> None:
    """Writes weights in the order of `model.get_weights()`, whole or not at all."""
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as file:
        np.savez(file, *arrays)
    temporary.replace(path)


def read(path: Path) -> list[np.ndarray]:
    """The arrays that `save` wrote."""
    return list(array_files.read_npz(path, file_sizes.IMAGE_BYTES).values())


def load(model: tf.keras.Model, path: Path) -> None:
    """Reads the weights of a network of the same architecture; InputError when the file is damaged or of another."""
    try:
        model.set_weights(read(path))
    except Exception as error:  # zip, numpy and Keras each raise exceptions of different kinds
        system_errors.raise_of_drive(error)
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path} does not hold this network's weights ({reason}); delete {path.parent} to redo it"
        ) from error
