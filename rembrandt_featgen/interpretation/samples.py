"""What figures show of a run: slices of some patients, single features, and all features pooled to points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data.augmentation import TABLE_1, Parameters, Ranges
from rembrandt_featgen.data.augmentation_modes import AUGMENTATIONS
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.features.reading import in_float32, open_features


class Slices(NamedTuple):
    """Slices of one split.

    Attributes:
      images: [n, height, width, channels] float32, normalised.
      masks: [n, height, width] in {0, 1}.
      patients: id of each one's patient.
      labels: [n], 0 = LGG, 1 = HGG.
    """

    images: np.ndarray
    masks: np.ndarray
    patients: list[str]
    labels: np.ndarray

    def take(self, numbers: Sequence[int]) -> Slices:
        """Some of them, in the given order."""
        patients = [self.patients[number] for number in numbers]
        return Slices(self.images[numbers], self.masks[numbers], patients, self.labels[numbers])


def patients(folder: Path, split: str, label: int, most: int) -> list[str]:
    """The first `most` patients of a grade."""
    store = Store(folder, split)
    return list(dict.fromkeys(name for name, own in zip(store.patients, store.labels) if own == label))[:most]


def volume(folder: Path, split: str, patient: str) -> Slices:
    """All slices of a patient, from the bottom up."""
    store = Store(folder, split)
    return read_slices(folder, split, [n for n, name in enumerate(store.patients) if name == patient])


def read_slices(folder: Path, split: str, numbers: Sequence[int]) -> Slices:
    """The slices of those numbers in the order of writing; at least one."""
    records = list(Store(folder, split).dataset(numbers).as_numpy_iterator())
    return Slices(
        np.stack([record["image"] for record in records]),
        np.stack([record["mask"][..., 0] for record in records]),
        [record["patient"].decode() for record in records],
        np.array([record["label"] for record in records]),
    )


def largest_tumours(folder: Path, split: str, names: Sequence[str]) -> Slices:
    """The slice with most tumour of each of some patients."""
    chosen = []
    for name in names:  # one volume in memory at a time
        found = volume(folder, split, name)
        chosen.append(found.take([int(np.argmax(found.masks.sum((1, 2))))]))
    images, masks, ids, labels = zip(*chosen)
    return Slices(np.concatenate(images), np.concatenate(masks), [each[0] for each in ids], np.concatenate(labels))


def augmented(
    image: np.ndarray,
    mask: np.ndarray,
    seed: int,
    ranges: Ranges = TABLE_1,
    augmentation: str = "correct",
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """A slice after each technique of Table 1 alone, as far as it goes, and after all together as they are drawn.

    Args:
      image: [height, width, channels].
      mask: [height, width].
      seed: of what is drawn.
      ranges: how far each technique goes.
      augmentation: one of `AUGMENTATIONS`.

    Returns:
      Images [10, height, width, channels] and masks [10, height, width]: the slice as it is, the seven techniques, two
      draws of all; and what each shows.
    """
    mode = AUGMENTATIONS[augmentation]
    drawn = mode.draw(tf.constant([seed, 0]), 2, *mask.shape, ranges)
    farthest = [True, True, drawn.displacement[0], ranges.angle, ranges.shift, ranges.shear, ranges.zoom]
    fields = []
    for place, (alone, together) in enumerate(zip(farthest, drawn), 1):
        values = np.zeros((1 + len(farthest) + 2, *together.shape[1:]), together.dtype.as_numpy_dtype)
        values[place], values[-2:] = alone, together
        fields.append(tf.constant(values))
    images, masks = (np.repeat(each[None], len(values), 0) for each in (image, mask[..., None]))
    images, masks = mode.apply(images, masks, Parameters(*fields))
    names = [
        "as it is",
        "flip horizontally",
        "flip vertically",
        "elastic distortion",
        f"rotation by {math.degrees(ranges.angle):.0f}\N{DEGREE SIGN}",
        f"shift by {ranges.shift:.0%}",
        f"shear by {ranges.shear:.0%}",
        f"zoom by {ranges.zoom:.0%}",
        "all together",
        "all, another draw",
    ]
    return images.numpy(), masks.numpy()[..., 0], names


class Points(NamedTuple):
    """Features pooled over their positions.

    Attributes:
      values: [n, channels], means over positions.
      labels: [n], 0 = LGG, 1 = HGG.
      patients, splits: of each, n strings; the split of a synthetic feature is "synthetic".
      numbers: [n], of each within its split, in the order of writing.
    """

    values: np.ndarray
    labels: np.ndarray
    patients: list[str]
    splits: list[str]
    numbers: np.ndarray

    def of(self, split: str) -> np.ndarray:
        """Which points are of a split, [n] bool."""
        return np.array(self.splits) == split


def pooled(sources: Sequence[tuple[Path, str]], most: int, seed: int) -> Points:
    """Pools the features of several splits.

    Args:
      sources: (folder, split) of each.
      most: points in all; of more features, a random sample of each split is taken, in proportion.
      seed: of the sample.
    """
    opened = [open_features(folder, split) for folder, split in sources]
    share = min(1.0, most / max(sum(map(len, opened)), 1))
    random, parts = np.random.default_rng(seed), []
    for features, (_, split) in zip(opened, sources):
        if not len(features):  # a generator of which none was confirmed
            continue
        numbers = np.sort(random.permutation(len(features))[: max(1, int(len(features) * share))])
        means = (
            features.dataset(numbers)
            .map(lambda record: tf.reduce_mean(tf.cast(record["feature"], tf.float32), (0, 1)))
            .batch(64)
        )
        names = [features.patients[number] for number in numbers]
        values = np.concatenate(list(means.as_numpy_iterator()))
        parts.append((values, features.labels[numbers], names, [split] * len(names), numbers))
    values, labels, names, splits, numbers = zip(*parts)
    return Points(
        np.concatenate(values), np.concatenate(labels), sum(names, []), sum(splits, []), np.concatenate(numbers)
    )


def typical(points: Points, split: str, label: int) -> int | None:
    """Number of the feature of a grade whose mean is the median of its split; None where there is none."""
    where = np.flatnonzero(points.of(split) & (points.labels == label))
    if not len(where):
        return None
    means = points.values[where].mean(1)
    return int(points.numbers[where[np.argsort(means, kind="stable")[len(where) // 2]]])


def strongest(points: Points, split: str, channel: int) -> int | None:
    """Number of the feature of a split in which a channel fires most; None for an empty split."""
    where = np.flatnonzero(points.of(split))
    if not len(where):
        return None
    return int(points.numbers[where[np.argmax(points.values[where, channel])]])


def telling_channels(points: Points) -> list[int]:
    """For each grade (LGG, HGG) the channel that fires more in it, by training features: in standard deviations."""
    train = points.of("train")
    lgg, hgg = (points.values[train & (points.labels == label)] for label in (0, 1))
    deviation = np.concatenate([lgg - lgg.mean(0), hgg - hgg.mean(0)]).std(0)
    difference = np.divide(hgg.mean(0) - lgg.mean(0), deviation, out=np.zeros(len(deviation)), where=deviation > 0)
    return [int(np.argmin(difference)), int(np.argmax(difference))]


def read_feature(folder: Path, split: str, number: int) -> np.ndarray:
    """One feature, [height, width, channels]."""
    return next(iter(open_features(folder, split).dataset([number]).map(in_float32)))["feature"].numpy()
