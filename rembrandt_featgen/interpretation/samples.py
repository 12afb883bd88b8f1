"""Slices that figures show: those of some patients, and one after each augmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data.augmentation_parameters import Parameters, Ranges
from rembrandt_featgen.data.pipelines import AUGMENTATIONS
from rembrandt_featgen.data.store import Store


class Slices(NamedTuple):
    """Slices of one split.

    Attributes:
      images: [n, height, width, channels] float32, normalised.
      masks: [n, height, width] in {0, 1}.
      patients: id of each one's patient.
      labels: [n], each the index of a class.
    """

    images: np.ndarray
    masks: np.ndarray
    patients: list[str]
    labels: np.ndarray

    def take(self, numbers: Sequence[int]) -> Slices:
        """Some of them, in the given order."""
        return Slices(
            images=self.images[numbers],
            masks=self.masks[numbers],
            patients=[self.patients[number] for number in numbers],
            labels=self.labels[numbers],
        )


def patients(folder: Path, split: str, label: int, most: int) -> list[str]:
    """The first `most` patients of a class."""
    store = Store(folder, split)
    return list(dict.fromkeys(name for name, one in zip(store.patients, store.labels) if one == label))[:most]


def volume(folder: Path, split: str, patient: str) -> Slices:
    """All slices of a patient, from the bottom up."""
    store = Store(folder, split)
    return read_slices(folder, split, [n for n, name in enumerate(store.patients) if name == patient])


def read_slices(folder: Path, split: str, numbers: Sequence[int]) -> Slices:
    """The slices of those numbers in the order of writing; at least one."""
    records = list(Store(folder, split).dataset(numbers).as_numpy_iterator())
    return Slices(
        images=np.stack([record["image"] for record in records]),
        masks=np.stack([record["mask"][..., 0] for record in records]),
        patients=[record["patient"].decode() for record in records],
        labels=np.array([record["label"] for record in records]),
    )


def first_patients(folder: Path, split: str, most: int) -> list[str]:
    """Ids of at most `most` patients of a split, in the order of writing."""
    return list(dict.fromkeys(Store(folder, split).patients))[:most]


def largest_tumours(folder: Path, split: str, names: Sequence[str]) -> Slices:
    """The slice with most tumour of each of some patients."""
    chosen = []
    for name in names:  # one volume in memory at a time
        slices = volume(folder, split, name)
        chosen.append(slices.take([int(np.argmax(slices.masks.sum((1, 2))))]))
    return Slices(
        images=np.concatenate([one.images for one in chosen]),
        masks=np.concatenate([one.masks for one in chosen]),
        patients=[one.patients[0] for one in chosen],
        labels=np.concatenate([one.labels for one in chosen]),
    )


def augmented(
    image: np.ndarray,
    mask: np.ndarray,
    *,
    seed: int,
    ranges: Ranges | None = None,
    augmentation: str = "correct",
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """A slice after each geometric technique alone, at its strongest, and after all of any kind together, at random.

    Args:
      image: [height, width, channels].
      mask: [height, width].
      seed: of the random parameters.
      ranges: how far each technique goes; None for those of `augmentation`.
      augmentation: one of `AUGMENTATIONS`.

    Returns:
      Images [n, height, width, channels] and masks [n, height, width]: the slice as it is, each technique that is in
      use (all seven of Table 1), two draws of all; and what each shows.
    """
    mode = AUGMENTATIONS[augmentation]
    ranges = ranges or mode.RANGES
    height, width = mask.shape
    random = mode.draw(tf.constant([seed, 0]), 2, height=height, width=width, ranges=ranges)
    strongest = [True, True, random.displacement[0], ranges.angle, ranges.shift, ranges.shear, ranges.zoom]
    fields = []
    for place, (alone, together) in enumerate(zip(strongest, random), 1):
        values = np.zeros((1 + len(strongest) + 2, *together.shape[1:]), together.dtype.as_numpy_dtype)
        values[place], values[-2:] = alone, together
        fields.append(tf.constant(values))
    images, masks = (np.repeat(each[None], len(values), 0) for each in (image, mask[..., None]))
    images, masks = mode.apply(images, masks, Parameters(*fields))
    both = mode.augment(image[None].repeat(2, 0), mask[None, ..., None].repeat(2, 0), [seed, 0], ranges=ranges)
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
    images, masks = (np.concatenate([each[:-2], last]) for each, last in zip((images, masks), both))
    in_use = [ranges.flip_horizontal, ranges.flip_vertical, ranges.alpha, *ranges[4:]]
    shown = [0, *(place for place, amount in enumerate(in_use, 1) if amount), len(names) - 2, len(names) - 1]
    return images[shown], masks[shown][..., 0], [names[place] for place in shown]
