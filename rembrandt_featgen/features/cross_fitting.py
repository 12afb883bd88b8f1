"""Features of each training patient by a network that never saw the patient.

A network that learnt the classes of its training patients has features of them that separate the classes better than
those of any other patient will. A generator or classifier that learnt from such features would learn how sure the
network is of patients whom it memorised, and would meet something else in the test. So the features of training
patients are cross-fitted: patients are divided into folds, and each gets its features from a network that never saw it,
as validation and test patients do from the one network that saw all of training. The channels of two networks do not
correspond: a linear map of each fold's channels onto the channels of that one is fitted on patients whom both had seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rembrandt_featgen.cohort import patient_files
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.groups import by_class, deal
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.nn import inference

_RIDGE = 1e-3  # of the mean square of a channel, so that channels that never fire do no harm
_ITERATIONS = 50  # of a fixed point
_MOST = 10.0  # times that a channel is scaled up by


class Encoders(NamedTuple):
    """The networks that compute features of slices or crops.

    Attributes:
      network: from images to features, trained on all training patients.
      folds: likewise, each trained without the patients of its fold; with the map onto the channels of `network`, as
        [channels + 1, channels], the last row being added; None where channels are the same.
      fold_of: training patient to number of its fold.
    """

    network: tf.keras.Model
    folds: list[tuple[tf.keras.Model, np.ndarray | None]]
    fold_of: dict[str, int]

    def runner(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """From images and their patients to features; of training patients, by the network that never saw them."""
        run, of_folds = inference.runner(self.network), [inference.runner(network) for network, _ in self.folds]

        def features(images, patients):
            computed = np.array(run(images))
            numbers = np.array([self.fold_of.get(patient, -1) for patient in patients])
            for number in np.unique(numbers[numbers >= 0]):
                here, (_, kernel) = numbers == number, self.folds[number]
                of_fold = of_folds[number](images[here])
                computed[here] = of_fold if kernel is None else mapped(of_fold, kernel)
            return computed

        return features


def assign_folds(
    patients: np.ndarray,
    labels: np.ndarray,
    *,
    folds: int,
    seed: int,
    num_classes: int = 2,
    group_of: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """Divides training patients into folds, over which the classes are spread evenly; no group is divided.

    Args:
      patients, labels: [n], of the samples.
      folds: at most as many as a class has groups, see `cohort.groups.by_class`.
      seed: of the division.
      num_classes: of the labels.
      group_of: patient to group; None where each is one.

    Returns:
      Patient to number of its fold, each fold having a group of each class; {} where the patients without a fold would
      lack a class.
    """
    groups = patients if group_of is None else np.array([group_of[patient] for patient in patients.tolist()])
    members = by_class(groups, labels, num_classes)
    folds = min(folds, *map(len, members))
    if folds < 2:
        return {}
    fold_of = deal(members, folds, key=[seed])
    return {patient: fold_of[group] for patient, group in zip(patients.tolist(), groups.tolist())}


def parts_of_run(slices: Path, classes: Classes, *, parts: int, seed: int) -> dict[str, int]:
    """Divides a run's training patients into parts for --cross_fit; no group is divided.

    Args:
      slices: folder of the stage prepare_slices.
      classes: of the run.
      parts: how many; 0 for none.
      seed: of the division.

    Returns:
      Patient to number of its part; {} without parts.

    Raises:
      InputError: a class has fewer training patients, or groups of them, than there are parts.
    """
    if not parts:
        return {}
    store, group_of = Store(slices, "train"), patient_files.read_patients(slices).group
    patients = np.array(store.patients)
    groups = np.array([group_of[patient] for patient in store.patients])
    counts = [len(names) for names in by_class(groups, store.labels, classes.count)]
    fewest = min(counts)
    if fewest < parts:
        raise InputError(
            f"--cross_fit={parts} needs as many training patients (or groups of them) of every class, but there are "
            f"{fewest} of {classes.names[counts.index(fewest)]}; take --cross_fit={fewest if fewest > 1 else 0}"
        )
    return assign_folds(patients, store.labels, folds=parts, seed=seed, num_classes=classes.count, group_of=group_of)


def channel_map(features: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The linear map of channels that takes features near to wanted ones, position by position, and shrinks none.

    Ridge regression predicts less than it is to predict: its values vary less, by the share that it cannot explain, so
    that features of training patients alone would be nearer to each other. So each channel is scaled and shifted
    afterwards until, after ReLU (`mapped`), it has the wanted channel's mean and variance.

    Args:
      features, wanted: [n, ..., channels], from 0 on.

    Returns:
      [channels + 1, channels]; the last row is added.
    """
    x, y = (part.reshape(-1, part.shape[-1]).astype(np.float64) for part in (features, wanted))
    mean_x, mean_y = x.mean(0), y.mean(0)
    squares = (x - mean_x).T @ (x - mean_x)
    ridge = _RIDGE * max(np.trace(squares) / len(squares), 1e-12)
    kernel = np.linalg.solve(squares + ridge * np.eye(len(squares)), (x - mean_x).T @ (y - mean_y))
    scale, shift = _matching((x - mean_x) @ kernel + mean_y, y)
    return np.concatenate([kernel * scale, ((mean_y - mean_x @ kernel) * scale + shift)[None]])


def _matching(values: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift of each column [n, columns] by which max(values * scale + shift, 0) is spread as is wanted.

    Iterated: shifting moves the mean by as much as the share of values above 0.
    """
    scale, shift = np.ones(values.shape[1]), np.zeros(values.shape[1])
    mean, deviation = wanted.mean(0), wanted.std(0)
    for _ in range(_ITERATIONS):
        found = np.maximum(values * scale + shift, 0.0).std(0)
        scale = np.clip(scale * np.clip(deviation / np.maximum(found, 1e-12), 0.5, 2.0), 0.0, _MOST)
        moved = values * scale + shift
        shift += (mean - np.maximum(moved, 0.0).mean(0)) / np.maximum((moved > 0).mean(0), 0.1)
    return scale, shift


def mapped(features: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Features [..., channels] by a `channel_map`, from 0 on as after ReLU."""
    return np.maximum(features @ kernel[:-1] + kernel[-1], 0.0).astype(np.float32)


def matched_columns(vectors: np.ndarray, wanted: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Vectors of patients by another network, each column scaled and shifted to the mean and deviation that is wanted.

    Pooling after a map of channels is not the map of what is pooled: a maximum least of all. A column that hardly
    varies over the patients whom both have seen becomes constant.

    Args:
      vectors, wanted: [patients, columns], from 0 on, of the other network and of the one whose columns they are to be.
      seen: [patients] bool, those whom both networks were trained on, by whom columns are matched.

    Returns:
      [patients, columns] float32, from 0 on.
    """
    scale = wanted[seen].std(0) / np.maximum(vectors[seen].std(0), 1e-12)
    scale[scale > _MOST] = 0.0
    return np.maximum((vectors - vectors[seen].mean(0)) * scale + wanted[seen].mean(0), 0.0).astype(np.float32)
