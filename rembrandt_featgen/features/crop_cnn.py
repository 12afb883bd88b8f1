"""Learns features of the tumour region from the training patients' classes, and computes those of each patient.

Features of training patients are cross-fitted, see `cross_fitting`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from rembrandt_featgen.data import pipelines, sampling_order
from rembrandt_featgen.features import crops, cross_fitting
from rembrandt_featgen.nn import checkpointing, distribution, mixed_precision, optimizers, replicated, resumable_fit


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the CNN is built and trained.

    Attributes:
      size, filters: as for `crops.build_cnn`.
      epochs, patience, batch, learning_rate: of each training.
      folds: of the groups of training patients; 0 for none: features then come from the CNN that was trained on them.
      seed: of initial weights, orders and folds.
      num_classes: of the labels, two or more.
    """

    size: int
    filters: int
    epochs: int
    patience: int
    batch: int
    learning_rate: float
    folds: int
    seed: int
    num_classes: int = 2


class Crops(NamedTuple):
    """Crops [n, size, size, channels] of a split, with label and patient of each, and whether tumour is predicted."""

    images: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    has_tumour: np.ndarray

    def take(self, chosen: np.ndarray) -> Crops:
        """Those of a mask [n]."""
        return Crops(*(column[chosen] for column in self))


def crops_of_split(
    segment: Callable[[np.ndarray, np.ndarray], np.ndarray], slices: Path, split: str, *, size: int, batch: int
) -> Crops:
    """Cuts the crops of a split, which are held in memory: n * size^2 * channels * 4 bytes.

    Args:
      segment: from slices and their patients to the tumour's probability.
      slices: folder of the stage prepare_slices.
      split: "train", "validation" or "test".
      size: side of a crop in pixels.
      batch: slices at a time.
    """
    rows = []
    for records in pipelines.slices(slices, split, batch):
        probability = segment(records["image"].numpy(), pipelines.text(records["patient"].numpy()))
        images, has_tumour = crops.cut_by_probability(probability, records["image"], size)
        rows.append([part.numpy() for part in (images, records["label"], records["patient"], has_tumour)])
    images, labels, patients, has_tumour = (np.concatenate(column) for column in zip(*rows))
    logging.info(
        "crops of %s: tumour is predicted in %d of %d slices; of the other %d, the centre is cut",
        split,
        has_tumour.sum(),
        len(has_tumour),
        (~has_tumour).sum(),
    )
    return Crops(images=images, labels=labels, patients=pipelines.text(patients), has_tumour=has_tumour)


WARNING = (  # of reports
    f"{crops.TAP}: image_augmentation and image_acgan use a CNN that memorised the classes of the training patients, "
    "which is biased against them; validation patients chose its epoch as well."
)


def fit(
    train: Crops,
    validation: Crops,
    *,
    settings: Settings,
    folder: Path,
    logs: Path,
    group_of: Mapping[str, str] | None = None,
    where: tf.distribute.Strategy | None = None,
) -> tuple[cross_fitting.Encoders, dict]:
    """Trains the CNN on all training patients, and one for each fold without that fold's.

    Slices without predicted tumour are left out of training, unless a class would have none. The best epoch is that of
    the validation patients' loss.

    Args:
      train, validation: of the patients of these splits.
      settings: of the training.
      folder: gets the weights: cnn/best.npz, and cnn_fold0/best.npz and so on.
      logs: of TensorBoard.
      group_of: training patient to group, which no fold divides; None where each patient is one.
      where: the strategy; None for one device.

    Returns:
      What computes features, and balanced accuracies per slice, with which over-fitting can be judged: of "train" and
      "validation" by the CNN, and of "cross_fitted", of the training patients' features as they are kept: by
      CNNs that did not see them, mapped, and judged by the head of the CNN.
    """
    where = where or distribution.strategy(distribution.ONE)
    everybody = set(train.patients.tolist())
    train, validation = (part.take(_useful(part)) for part in (train, validation))
    fold_of = cross_fitting.assign_folds(
        train.patients,
        train.labels,
        folds=settings.folds,
        seed=settings.seed,
        num_classes=settings.num_classes,
        group_of=group_of,
    )
    if group_of is not None:  # who teaches nothing may have others of the group who do
        of_group = {group_of[patient]: number for patient, number in fold_of.items()}
        fold_of = {name: of_group[group_of[name]] for name in sorted(everybody) if group_of[name] in of_group}
    learn = functools.partial(_train, settings=settings, where=where)
    network = learn(train, validation, folder=folder / "cnn", logs=logs / "cnn")
    accuracy = {"train": _accuracy(network, train), "validation": _accuracy(network, validation)}
    encoder = crops.of_crops(network)
    folds: list[tuple[tf.keras.Model, np.ndarray | None]] = []
    out_of_fold = np.zeros((len(train.labels), network.output_shape[1]))
    head = tf.keras.Model(network.get_layer("features").output, network.output)
    numbers = np.array([fold_of.get(patient, -1) for patient in train.patients])
    for number in range(max(fold_of.values(), default=-1) + 1):
        name, seen = f"cnn_fold{number}", train.take(numbers != number)
        of_fold = crops.of_crops(learn(seen, validation, folder=folder / name, logs=logs / name))
        features, wanted = (one.predict(seen.images, verbose=0) for one in (of_fold, encoder))
        kernel = cross_fitting.channel_map(features, wanted)
        folds.append((of_fold, kernel))
        out = numbers == number
        features = cross_fitting.mapped(of_fold.predict(train.images[out], verbose=0), kernel)
        out_of_fold[out] = head.predict(features, verbose=0)
    if folds:
        accuracy["cross_fitted"] = _balanced(train.labels, out_of_fold)
    return cross_fitting.Encoders(encoder, folds, fold_of), accuracy


def _useful(part: Crops) -> np.ndarray:
    """Those with predicted tumour; all, where these lack a class that is there."""
    has_all = set(part.labels[part.has_tumour]) == set(part.labels)
    return part.has_tumour if has_all else np.ones(len(part.labels), bool)


def _train(
    train: Crops,
    validation: Crops,
    *,
    settings: Settings,
    folder: Path,
    logs: Path,
    where: tf.distribute.Strategy,
) -> tf.keras.Model:
    """One CNN at its best epoch; all start from the same weights."""
    folder.mkdir(exist_ok=True)

    def build():
        tf.keras.utils.set_random_seed(settings.seed)
        return crops.build_cnn(
            settings.size, train.images.shape[-1], settings.filters, num_classes=settings.num_classes
        )

    with distribution.scope(where):
        network = build()
        trainable = replicated.replicated(network, settings.seed)
        loss = "binary_crossentropy" if settings.num_classes == 2 else "sparse_categorical_crossentropy"
        trainable.compile(mixed_precision.adam(settings.learning_rate), loss, weighted_metrics=[])
        optimizers.make_variables(trainable, tf.zeros([1], tf.int64), tf.zeros([1, *network.output_shape[1:]]))
    counts = np.bincount(train.labels, minlength=settings.num_classes)
    weights = len(train.labels) / (settings.num_classes * np.maximum(counts, 1))
    samples = [tf.constant(part) for part in (train.images, train.labels, weights[train.labels].astype(np.float32))]

    def make_epoch(key):
        order = tf.data.Dataset.from_tensor_slices(sampling_order.permutation(len(train.labels), key)).batch(
            settings.batch
        )

        def read(step, numbers):
            images, labels, of_samples = (tf.gather(column, numbers) for column in samples)
            seeds = tf.random.split(tf.random.experimental.stateless_fold_in(key, step), 2)
            images = tf.image.stateless_random_flip_left_right(images, seeds[0])  # the flips of Table 1
            return tf.image.stateless_random_flip_up_down(images, seeds[1]), labels, of_samples

        return order.enumerate().map(read)

    held_out = (validation.images, validation.labels, weights[validation.labels].astype(np.float32))
    resumable_fit.fit(
        trainable,
        make_epoch=make_epoch,
        steps=pipelines.steps_per_epoch(len(train.labels), settings.batch),
        epochs=settings.epochs,
        validation=tf.data.Dataset.from_tensor_slices(held_out).batch(settings.batch),
        checkpointing=checkpointing.Checkpointing(
            folder,
            trainable,
            monitor="val_loss",
            mode="min",
            patience=settings.patience,
            seconds=checkpointing.SAVE_SECONDS,
        ),
        logs=logs,
        title=folder.name,
        seed=settings.seed,
    )
    return replicated.on_one_device(where, network, build=build, path=folder / "best.npz")


def _accuracy(network: tf.keras.Model, part: Crops) -> float:
    return _balanced(part.labels, network.predict(part.images, verbose=0))


def _balanced(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Balanced accuracy over the classes that are there; probabilities [n, 1] of the positive one, or of each."""
    predicted = probabilities[:, 0] > 0.5 if probabilities.shape[1] == 1 else probabilities.argmax(axis=1)
    right = predicted == labels
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))
