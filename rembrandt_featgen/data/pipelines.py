"""tf.data pipelines from stores to batches of slices; the order of an epoch is a function of (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data import augmentation, reference_augmentation, sampling_order
from rembrandt_featgen.data.store import Store, untuned

# The ways in which Table 1 can be applied; each is a module with `draw`, `apply` and `augment`.
AUGMENTATIONS = {"correct": augmentation, "reference": reference_augmentation}
_FOREVER = 2**40  # epochs


def endless(make_epoch: Callable[[tf.Tensor], tf.data.Dataset], seed: int, first_epoch: int = 0) -> tf.data.Dataset:
    """Chains epochs, each made from its own key, so that training that is resumed at an epoch sees what it would have.

    Args:
      make_epoch: from a key, int64 [2] of the run's seed and the number of the epoch, to the dataset of one epoch.
      seed: of the run.
      first_epoch: epochs already done.
    """
    epochs = tf.data.Dataset.range(first_epoch, _FOREVER)
    return untuned(epochs.flat_map(lambda epoch: make_epoch(tf.stack([seed, epoch]))).prefetch(2))


def text(names: np.ndarray) -> np.ndarray:
    """[n] bytes, as TensorFlow gives text, to [n] str."""
    return np.array([name.decode() for name in names], str)


def training_slices(folder: Path, batch: int, mode: str | None) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """One epoch of shuffled training slices as (image, mask) batches, for `endless`.

    Args:
      folder: the slices stage's.
      batch: slices in a batch.
      mode: one of `AUGMENTATIONS`: how Table 1 is applied, with other draws in each batch of each epoch; None
        for slices as they are.
    """
    store = Store(folder, "train")

    def make_epoch(key):
        batches = store.dataset(sampling_order.permutation(len(store), key)).batch(batch)
        if mode is None:
            return batches.map(_image_and_mask)

        def augment_batch(step, records):
            draws = tf.random.experimental.stateless_fold_in(key, step)
            return AUGMENTATIONS[mode].augment(records["image"], records["mask"], draws)

        return batches.enumerate().map(augment_batch, num_parallel_calls=2)

    return make_epoch


def slices(folder: Path, split: str, batch: int, *, start: int = 0) -> tf.data.Dataset:
    """The slices of a split from number `start` on, in the order of writing, as batches of whole records."""
    store = Store(folder, split)
    return store.dataset(tf.data.Dataset.range(start, len(store))).batch(batch).prefetch(2)


def slice_pairs(folder: Path, split: str, batch: int) -> tf.data.Dataset:
    """The slices of a split in the order of writing, as (image, mask) batches."""
    return slices(folder, split, batch).map(_image_and_mask)


def steps_per_epoch(count: int, batch: int) -> int:
    """Batches that hold `count` samples."""
    return -(-count // batch)


def labelled_training_slices(folder: Path, batch: int, mode: str | None) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """`training_slices` with the label of each slice: (image, (mask, label)) batches, for `endless`."""
    make_pairs = training_slices(folder, batch, mode)
    labels = tf.constant(Store(folder, "train").labels, tf.int32)

    def make_epoch(key):
        ordered = tf.gather(labels, sampling_order.permutation(len(labels), key))  # the order of the pairs
        batches = tf.data.Dataset.zip((make_pairs(key), tf.data.Dataset.from_tensor_slices(ordered).batch(batch)))
        return batches.map(lambda pair, label: (pair[0], (pair[1], label)))

    return make_epoch


def labelled_slice_pairs(folder: Path, split: str, batch: int) -> tf.data.Dataset:
    """`slice_pairs` with the label of each slice: (image, (mask, label)) batches."""
    return slices(folder, split, batch).map(lambda record: (record["image"], (record["mask"], record["label"])))


def tumour_slices(folder: Path, split: str, num_classes: int) -> np.ndarray:
    """How many slices of each class have tumour, [num_classes] int."""
    store, labels = Store(folder, split), []
    for record in store.dataset():
        if record["mask"].numpy().any():
            labels.append(int(record["label"]))
    return np.bincount(labels, minlength=num_classes)


def _image_and_mask(records):
    return records["image"], records["mask"]
