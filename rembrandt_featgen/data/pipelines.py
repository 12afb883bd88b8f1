"""tf.data pipelines from stores to batches of slices; the order of an epoch is a function of (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data import augmentation, reference_augmentation, sampling_order, standard_augmentation, truth
from rembrandt_featgen.data.store import WORKERS, Store, untuned

# The ways to augment; each is a module with `RANGES`, `draw`, `apply` and `augment`.
AUGMENTATIONS = {
    "correct": augmentation,
    "reference": reference_augmentation,
    "standard": standard_augmentation,
}
SAMPLINGS = ("slices", "patients")
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


def training_order(
    folder: Path, *, sampling: str = "slices", draws: int | None = None, kept: np.ndarray | None = None
) -> Callable[[tf.Tensor], tf.Tensor | tf.data.Dataset]:
    """From the key of an epoch to the numbers of its training slices, in their order.

    Args:
      folder: the slices stage's.
      sampling: one of `SAMPLINGS`: "slices" takes each as often as any other; "patients" each patient as often as any
        other, and of its slices those with much tumour more often (`sampling_order.patient_shares`).
      draws: slices of an epoch; None for as many as there are, which "slices" then takes once each.
      kept: [n] bool, which of the training slices there are; None for all.
    """
    store = Store(folder, "train")
    numbers = np.arange(len(store)) if kept is None else np.flatnonzero(kept)
    length = draws or len(numbers)
    if sampling == "patients":
        areas = truth.areas(folder, "train")[numbers]
        shares = sampling_order.patient_shares(np.array(store.patients)[numbers], areas)
        return lambda key: tf.gather(numbers, sampling_order.weighted(shares, length, key))
    if draws is None:
        return lambda key: tf.gather(numbers, sampling_order.permutation(length, key))

    def piece(key):  # of a sequence that goes through all slices again and again
        sequence = tf.stack([key[0], tf.constant(-1, tf.int64)])
        places = sampling_order.rounds(len(numbers), start=key[1] * draws, length=draws, key=sequence)
        return places.map(lambda place: tf.gather(numbers, place))

    return piece


def training_slices(
    folder: Path,
    batch: int,
    mode: str | None,
    *,
    order: Callable[[tf.Tensor], tf.Tensor | tf.data.Dataset] | None = None,
    half_size: bool = False,
    labelled: bool = False,
) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """One epoch of shuffled training slices as (image, mask) batches, for `endless`.

    Args:
      folder: the slices stage's.
      batch: slices in a batch.
      mode: one of `AUGMENTATIONS`: how slices are augmented, with other draws in each batch of each epoch; None for
        slices as they are.
      order: of `training_order`; None for each slice once.
      half_size: whether slices are pooled to half their height and width, before they are augmented.
      labelled: whether batches are (image, (mask, label)).
    """
    store, order = Store(folder, "train"), order or training_order(folder)

    def make_epoch(key):
        def one_batch(step, records):
            images, masks = records["image"], records["mask"]
            if half_size:
                images, masks = halved(images, masks)
            if mode is not None:
                draws = tf.random.experimental.stateless_fold_in(key, step)
                images, masks = AUGMENTATIONS[mode].augment(images, masks, draws)
            return images, (masks, records["label"]) if labelled else masks

        return store.dataset(order(key)).batch(batch).enumerate().map(one_batch, num_parallel_calls=WORKERS)

    return make_epoch


def halved(images: tf.Tensor, masks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Slices and masks at half their height and width.

    Args:
      images: [batch, height, width, channels] floats, of even height and width.
      masks: [batch, height, width, 1] in {0, 1}.

    Returns:
      The mean of each two by two pixels, and a mask where at least two of the four are of the tumour; types are kept.
    """
    small = tf.nn.avg_pool2d(tf.cast(images, tf.float32), 2, 2, "VALID")
    tumour = tf.nn.avg_pool2d(tf.cast(masks, tf.float32), 2, 2, "VALID") >= 0.5
    return tf.cast(small, images.dtype), tf.cast(tumour, masks.dtype)


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


def labelled_slice_pairs(folder: Path, split: str, batch: int) -> tf.data.Dataset:
    """`slice_pairs` with the label of each slice: (image, (mask, label)) batches."""
    return slices(folder, split, batch).map(lambda record: (record["image"], (record["mask"], record["label"])))


def _image_and_mask(records):
    return records["image"], records["mask"]
