"""Vectors of training patients whose volumes were augmented: what the arm image_augmentation of vectors draws from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data import pipelines
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.features import patient_vectors
from rembrandt_featgen.features.patient_vectors import PatientVector, Runner, Settings

SPLIT = "augmented"  # of the table of these vectors, beside train, validation and test
_TOGETHER = 8  # slices to a multiple of which a volume is padded, so that few shapes are compiled


def copies_of_classes(labels: np.ndarray, copies: int) -> dict[int, int]:
    """Label to how often each patient is augmented: `copies` times in the largest class, more often in others.

    Each class then has as many augmented patients as the largest has, or a few more.

    Args:
      labels: [n] of the training patients.
      copies: from 1.
    """
    there, counts = np.unique(labels, return_counts=True)
    return {int(label): -(-copies * int(counts.max()) // int(count)) for label, count in zip(there, counts)}


def times_of_patients(slices: Path, copies: int) -> list[int]:
    """How often each training patient is augmented, in the order of the store.

    Args:
      slices: folder of the stage prepare_slices.
      copies: of a patient of the largest class, from 1.
    """
    store = Store(slices, "train")
    labels = list(dict(zip(store.patients, store.labels.tolist())).values())
    of_class = copies_of_classes(np.array(labels), copies)
    return [of_class[label] for label in labels]


def augmented_vectors(
    run: Runner, slices: Path, *, settings: Settings, augmentation: str, copies: int, seed: int, start: int = 0
) -> Iterator[PatientVector]:
    """The training patients, each as often as `copies_of_classes` says, in the order of the store.

    Args:
      run: of `patient_vectors.runner`.
      slices: folder of the stage prepare_slices.
      settings: how vectors are made.
      augmentation: a key of `pipelines.AUGMENTATIONS`.
      copies: of a patient of the largest class, from 1.
      seed: of what is drawn; a copy depends on it, the place of its patient and its number alone.
      start: vectors that are left out at the beginning.
    """
    times = times_of_patients(slices, copies)
    ends = np.cumsum(times)
    first = int(np.searchsorted(ends, start, side="right"))  # who has some vectors yet to come
    there = start - int(ends[first - 1]) if first else start

    def changes(place, _, images):
        for number in range(there if place == first else 0, times[place]):
            yield augmented_volume(images, augmentation, key=(seed, place * 2**20 + number))

    yield from patient_vectors.patient_vectors(run, slices, "train", settings=settings, start=first, changes=changes)


def augmented_volume(images: np.ndarray, augmentation: str, *, key: tuple[int, int]) -> np.ndarray:
    """A volume whose slices are all changed in the same way: drawn once, as for one slice of many channels.

    Args:
      images: [n, size, size, inputs], the prepared slices.
      augmentation: a key of `pipelines.AUGMENTATIONS`.
      key: of what is drawn.

    Returns:
      float32 of the same shape.
    """
    n, height, width, inputs = images.shape
    padded = np.pad(images, ((0, -n % _TOGETHER), (0, 0), (0, 0), (0, 0)), mode="edge")
    channels = tf.constant(np.moveaxis(padded, 0, 2).reshape(1, height, width, -1), tf.float32)
    mask = tf.zeros((1, height, width, 1))
    changed, _ = pipelines.AUGMENTATIONS[augmentation].augment(channels, mask, tf.constant(key, tf.int64))
    return np.moveaxis(changed.numpy().reshape(height, width, -1, inputs), 2, 0)[:n]
