"""tf.data pipelines from shards to batches; the order of an epoch is a function of (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from rembrandt_featgen.data import augment, shards

_FOREVER = 2**40  # epochs


def set_seed(seed: int) -> None:
    """Seeds Python, numpy and TensorFlow: initial weights, dropout and what takes no seed of its own."""
    # Not 0: beside a global seed of 0, tf.data refuses the seeds that `endless` computes on the graph.
    tf.keras.utils.set_random_seed(seed + 1)


def endless(make_epoch: Callable[[tf.Tensor], tf.data.Dataset], seed: int, first_epoch: int = 0) -> tf.data.Dataset:
    """Chains epochs, each made from its own seed, so that training that is resumed at an epoch sees what it would have.

    Args:
      make_epoch: from an int64 scalar seed to the dataset of one epoch.
      seed: of the run.
      first_epoch: epochs already done.
    """
    epochs = tf.data.Dataset.range(first_epoch, _FOREVER)
    return epochs.flat_map(lambda epoch: make_epoch(epoch + seed * 100_003)).prefetch(2)


def training_slices(folder: Path, batch: int, augmented: bool) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """One epoch of shuffled training slices as (image, mask) batches, for `endless`.

    Args:
      folder: the slices stage's.
      batch: slices in a batch.
      augmented: whether Table 1 is applied, with other draws in each batch of each epoch.
    """

    shards.read_index(folder, "train")  # a damaged shard is said here, not from within the graph

    def make_epoch(seed):
        batches = shards.read(folder, "train", seed).batch(batch)
        if not augmented:
            return batches.map(_image_and_mask)

        def augment_batch(step, records):
            return augment.augment(records["image"], records["mask"], tf.stack([seed, step]))

        return batches.enumerate().map(augment_batch, num_parallel_calls=2)

    return make_epoch


def slices(folder: Path, split: str, batch: int) -> tf.data.Dataset:
    """The slices of a split in the order of writing, as batches of whole records."""
    return shards.read(folder, split).batch(batch).prefetch(2)


def slice_pairs(folder: Path, split: str, batch: int) -> tf.data.Dataset:
    """The slices of a split in the order of writing, as (image, mask) batches."""
    return slices(folder, split, batch).map(_image_and_mask)


def balanced_features(folder: Path, batch: int) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """One epoch of training features as full (feature, label) batches with both grades equally often, for `endless`.

    The rarer grade is repeated, in another order each time.
    """
    index = shards.read_index(folder, "train")

    def make_epoch(seed):
        grades = [
            shards.read(folder, "train", seed + 7919 * label, label=label).repeat()
            for label in sorted(set(index.labels))
        ]
        # alternate rather than draw: every batch of even size holds both grades equally often
        mixed = tf.data.Dataset.choose_from_datasets(grades, tf.data.Dataset.range(len(grades)).repeat())
        batches = mixed.map(_feature_and_label).batch(batch, drop_remainder=True)
        return batches.take(steps_per_epoch(len(index), batch))

    return make_epoch


def labelled_features(sources: list[tuple[Path, str, int]], batch: int) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """One epoch of features from several sources mixed at random, as (feature, label) batches, for `endless`.

    Args:
      sources: (folder, split, how many of its first records), such as real training features and synthetic ones.
      batch: features in a batch.
    """
    sizes = [len(shards.read_index(folder, split)) for folder, split, _ in sources]

    def make_epoch(seed):
        parts, weights = [], []
        for (folder, split, count), size in zip(sources, sizes):
            if not count:
                continue
            if count == size:
                part = shards.read(folder, split, seed)
            else:
                part = shards.read(folder, split).take(count).shuffle(256, seed=seed)
            parts.append(part.map(_feature_and_label))
            weights.append(float(count))
        total = sum(weights)
        mixed = tf.data.Dataset.sample_from_datasets(
            parts, [w / total for w in weights], seed, stop_on_empty_dataset=False
        )
        return mixed.batch(batch)

    return make_epoch


def features(folder: Path, split: str, batch: int) -> tf.data.Dataset:
    """The features of a split in the order of writing, as batches of whole records."""
    return shards.read(folder, split).batch(batch).prefetch(2)


def feature_pairs(folder: Path, split: str, batch: int) -> tf.data.Dataset:
    """The features of a split in the order of writing, as (feature, label) batches."""
    return features(folder, split, batch).map(_feature_and_label)


def steps_per_epoch(count: int, batch: int) -> int:
    """Batches that hold `count` samples."""
    return -(-count // batch)


def _image_and_mask(records):
    return records["image"], records["mask"]


def _feature_and_label(record):
    return record["feature"], record["label"]
