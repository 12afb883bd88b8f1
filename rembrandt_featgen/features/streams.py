"""tf.data pipelines of features; the order of an epoch is exact, and a function of (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data import pipelines, sampling_order
from rembrandt_featgen.features.reading import in_float32, open_features


def balanced_features(folder: Path, batch: int) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """One epoch of training features as full (feature, label) batches with all classes equally often, for `endless`.

    Minority classes are repeated. Over the epochs, each feature of a class comes once before any of it comes twice.
    """
    features = open_features(folder, "train")

    def make_epoch(key):
        order = _balanced_order(features.labels, batch, key)
        return features.dataset(order).batch(batch, drop_remainder=True).map(_feature_and_label, num_parallel_calls=2)

    return make_epoch


def balanced_maps(maps: np.ndarray, labels: np.ndarray, batch: int) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """The same of maps [n, h, w, c] and labels [n] in memory."""
    in_memory, of_each = tf.constant(maps, tf.float32), tf.constant(labels, tf.int32)

    def make_epoch(key):
        rows = _balanced_order(labels, batch, key).batch(batch, drop_remainder=True)
        return rows.map(lambda numbers: (tf.gather(in_memory, numbers), tf.gather(of_each, numbers)))

    return make_epoch


def labelled_features(
    sources: Sequence[tuple[Path, str, int | np.ndarray]], batch: int
) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """One epoch of features from several sources, each feature once, as (feature, label) batches, for `endless`.

    Args:
      sources: (folder, split, how many of its first records, or the numbers of its records), such as real training
        features and synthetic ones.
      batch: features in a batch.
    """
    chosen = [
        np.arange(given) if isinstance(given, (int, np.integer)) else np.asarray(given) for _, _, given in sources
    ]
    opened = [open_features(folder, split) for (folder, split, _), some in zip(sources, chosen) if len(some)]
    records = [tf.constant(some, tf.int64) for some in chosen if len(some)]
    counts = [len(some) for some in records]

    def make_epoch(key):
        turns, numbers = sampling_order.mixed(counts, key)
        parts = [features.dataset(tf.gather(some, order)) for features, some, order in zip(opened, records, numbers)]
        if len({part.element_spec["feature"].dtype for part in parts}) > 1:
            parts = [part.map(in_float32, num_parallel_calls=2) for part in parts]
        # each source is read by itself, ahead of its turns
        merged = tf.data.Dataset.choose_from_datasets(parts, tf.data.Dataset.from_tensor_slices(turns))
        return merged.batch(batch).map(_feature_and_label, num_parallel_calls=2)

    return make_epoch


def features(folder: Path, split: str, batch: int) -> tf.data.Dataset:
    """The features of a split in the order of writing, as batches of whole records, float32."""
    opened = open_features(folder, split)
    # Keras asks how many there are, which features that are computed from slices do not say.
    records = opened.dataset().apply(tf.data.experimental.assert_cardinality(len(opened)))
    return records.batch(batch).map(in_float32, num_parallel_calls=2).prefetch(2)


def feature_pairs(folder: Path, split: str, batch: int) -> tf.data.Dataset:
    """The features of a split in the order of writing, as (feature, label) batches."""
    return features(folder, split, batch).map(_feature_and_label)


def _feature_and_label(records):
    return tf.cast(records["feature"], tf.float32), records["label"]


def _balanced_order(labels, batch, key) -> tf.data.Dataset:
    """Numbers of an epoch of full batches, in which all classes take turns."""
    by_class = [tf.constant(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    length = pipelines.steps_per_epoch(len(labels), batch) * batch
    return sampling_order.balanced(by_class, length, seed=key[0], epoch=key[1])
