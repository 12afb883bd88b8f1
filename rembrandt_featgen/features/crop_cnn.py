"""Learns features of the tumour region from the training patients' classes, and computes those of each patient.

A CNN has seen the classes of the patients that it was trained on: its features of them separate the classes better than
those of any other patient will. A generator or classifier that learnt from such features would learn how sure the CNN
is of patients whom it memorised, and would meet something else in the test. So the features of training patients are
cross-fitted: patients are divided into folds, and each gets its features from a CNN that never saw it, as validation
and test patients do from the one CNN that saw all of training. The channels of two CNNs do not correspond: a linear map
of each fold's channels onto the channels of that one CNN is fitted on patients whom both had seen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from rembrandt_featgen.data import pipelines, sampling_order
from rembrandt_featgen.features import crops
from rembrandt_featgen.nn import checkpointing, inference, mixed_precision, resumable_fit

_RIDGE = 1e-3  # of the mean square of a channel, so that channels that never fire do no harm


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the CNN is built and trained.

    Attributes:
      size, filters: as for `crops.build_cnn`.
      epochs, patience, batch, learning_rate: of each training.
      folds: of the training patients; 0 for none, whose features then come from the CNN that was trained on them.
      seed: of initial weights, orders and folds.
      num_classes: of the labels; the head is for two.
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


def crops_of_split(unet: tf.keras.Model, slices: Path, split: str, *, size: int, batch: int) -> Crops:
    """Cuts the crops of a split, which are held in memory: n * size^2 * channels * 4 bytes.

    Args:
      unet: from slices to the tumour's probability.
      slices: folder of the stage prepare_slices.
      split: "train", "validation" or "test".
      size: side of a crop in pixels.
      batch: slices at a time.
    """
    rows, predict = [], inference.runner(unet)
    for records in pipelines.slices(slices, split, batch):
        images, has_tumour = crops.cut_around_tumour(predict, records["image"], size)
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


class Encoders(NamedTuple):
    """The networks that compute features of crops.

    Attributes:
      network: from crops to features, trained on all training patients.
      folds: likewise, each trained without the patients of its fold; with the map onto the channels of `network`, as
        [channels + 1, channels], the last row being added.
      fold_of: training patient to number of its fold.
    """

    network: tf.keras.Model
    folds: list[tuple[tf.keras.Model, np.ndarray]]
    fold_of: dict[str, int]

    def runner(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """From crops and their patients to features; of training patients, by the CNN that never saw them."""
        run, of_folds = inference.runner(self.network), [inference.runner(network) for network, _ in self.folds]

        def features(images, patients):
            computed = np.array(run(images))
            numbers = np.array([self.fold_of.get(patient, -1) for patient in patients])
            for number in np.unique(numbers[numbers >= 0]):
                here, (_, onto) = numbers == number, self.folds[number]
                computed[here] = mapped(of_folds[number](images[here]), onto)
            return computed

        return features


def fit(train: Crops, validation: Crops, *, settings: Settings, folder: Path, logs: Path) -> tuple[Encoders, dict]:
    """Trains the CNN on all training patients, and one for each fold without that fold's.

    Slices without predicted tumour are left out of training, unless a class would have none. The best epoch is that of
    the validation patients' loss.

    Args:
      train, validation: of the patients of these splits.
      settings: of the training.
      folder: gets the weights: cnn/best.npz, and cnn_fold0/best.npz and so on.
      logs: of TensorBoard.

    Returns:
      What computes features, and balanced accuracies per slice, with which over-fitting can be judged: of "train" and
      "validation" by the CNN, and of "cross_fitted", of the training patients' features as they are kept: by
      CNNs that did not see them, mapped, and judged by the head of the CNN.
    """
    train, validation = (part.take(_useful(part)) for part in (train, validation))
    fold_of = assign_folds(train, settings)
    network = _train(train, validation, settings=settings, folder=folder / "cnn", logs=logs / "cnn")
    accuracy = {"train": _accuracy(network, train), "validation": _accuracy(network, validation)}
    encoder, folds, out_of_fold = crops.of_crops(network), [], np.zeros(len(train.labels))
    head = tf.keras.Model(network.get_layer("features").output, network.output)
    numbers = np.array([fold_of.get(patient, -1) for patient in train.patients])
    for number in range(max(fold_of.values(), default=-1) + 1):
        name, seen = f"cnn_fold{number}", train.take(numbers != number)
        of_fold = crops.of_crops(_train(seen, validation, settings=settings, folder=folder / name, logs=logs / name))
        folds.append((of_fold, onto(of_fold.predict(seen.images, verbose=0), encoder.predict(seen.images, verbose=0))))
        out = numbers == number
        features = mapped(of_fold.predict(train.images[out], verbose=0), folds[-1][1])
        out_of_fold[out] = head.predict(features, verbose=0)[:, 0]
    if folds:
        accuracy["cross_fitted"] = _balanced(train.labels, out_of_fold)
    return Encoders(encoder, folds, fold_of), accuracy


def assign_folds(train: Crops, settings: Settings) -> dict[str, int]:
    """Training patient to fold, the classes spread evenly; {} where some fold would learn from one class alone."""
    by_label = [np.unique(train.patients[train.labels == label]) for label in range(settings.num_classes)]
    folds = min(settings.folds, *map(len, by_label))
    if folds < 2:
        return {}
    random = np.random.default_rng(settings.seed)
    fold_of: dict[str, int] = {}
    for patients in by_label:
        for patient in random.permutation(patients):
            fold_of[str(patient)] = len(fold_of) % folds
    return fold_of


def onto(features: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The linear map of channels that takes features nearest to wanted ones, position by position (ridge regression).

    Args:
      features, wanted: [n, h, w, channels].

    Returns:
      [channels + 1, channels]; the last row is added.
    """
    x, y = (part.reshape(-1, part.shape[-1]).astype(np.float64) for part in (features, wanted))
    mean_x, mean_y = x.mean(0), y.mean(0)
    squares = (x - mean_x).T @ (x - mean_x)
    ridge = _RIDGE * max(np.trace(squares) / len(squares), 1e-12)
    kernel = np.linalg.solve(squares + ridge * np.eye(len(squares)), (x - mean_x).T @ (y - mean_y))
    return np.concatenate([kernel, (mean_y - mean_x @ kernel)[None]])


def mapped(features: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Features [n, h, w, channels] by a map of `onto`, from 0 on as after ReLU."""
    return np.maximum(features @ kernel[:-1] + kernel[-1], 0.0).astype(np.float32)


def _useful(part: Crops) -> np.ndarray:
    """Those with predicted tumour; all, where these lack a class that is there."""
    has_all = set(part.labels[part.has_tumour]) == set(part.labels)
    return part.has_tumour if has_all else np.ones(len(part.labels), bool)


def _train(train: Crops, validation: Crops, *, settings: Settings, folder: Path, logs: Path) -> tf.keras.Model:
    """One CNN at its best epoch; all start from the same weights."""
    folder.mkdir(exist_ok=True)
    tf.keras.utils.set_random_seed(settings.seed)
    network = crops.build_cnn(settings.size, train.images.shape[-1], settings.filters)
    network.compile(mixed_precision.adam(settings.learning_rate), "binary_crossentropy", weighted_metrics=[])
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
        network,
        make_epoch=make_epoch,
        steps=pipelines.steps_per_epoch(len(train.labels), settings.batch),
        epochs=settings.epochs,
        validation=tf.data.Dataset.from_tensor_slices(held_out).batch(settings.batch),
        checkpointing=checkpointing.Checkpointing(
            folder,
            network,
            monitor="val_loss",
            mode="min",
            patience=settings.patience,
            seconds=checkpointing.SAVE_SECONDS,
        ),
        logs=logs,
        title=folder.name,
        seed=settings.seed,
    )
    return network


def _accuracy(network: tf.keras.Model, part: Crops) -> float:
    return _balanced(part.labels, network.predict(part.images, verbose=0)[:, 0])


def _balanced(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Balanced accuracy over the classes that are there."""
    right = (probabilities > 0.5) == (labels == 1)
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))
