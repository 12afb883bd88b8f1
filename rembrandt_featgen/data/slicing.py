"""From volumes to slices: orientation, and the mean and deviation of training patients."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


def as_displayed(volume: np.ndarray) -> np.ndarray:
    """Turns a volume so that slices look as radiologists see them: anterior on top, the patient's right on the left.

    Args:
      volume: [x, y, slices, ...] with x to the right and y to the front, as `cohort.volumes` reads it.

    Returns:
      [height, width, slices, ...]
    """
    return np.swapaxes(volume, 0, 1)[::-1, ::-1]


def as_stored(images: np.ndarray) -> np.ndarray:
    """Undoes `as_displayed`: [height, width, slices, ...] to [x, y, slices, ...]."""
    return np.swapaxes(images[::-1, ::-1], 0, 1)


class Part(NamedTuple):
    """Of some values: how many, and of each channel their mean and the sum of squares of what deviates from it."""

    number: int
    mean: np.ndarray
    squares: np.ndarray


def part_of(slices: np.ndarray) -> Part:
    """The part that [..., channels] are."""
    values = slices.reshape(-1, slices.shape[-1]).astype(np.float64)
    mean = values.mean(0)
    return Part(len(values), mean, ((values - mean) ** 2).sum(0))


class Moments:
    """Mean and standard deviation of a stream of slices, each channel alone, in float64 (paper 3.5).

    The paper subtracts the mean over all samples and divides by their standard deviation; ours are those of the
    training patients.
    """

    def __init__(self, channels: int):
        self._count, self._mean, self._m2 = 0, np.zeros(channels), np.zeros(channels)

    def add(self, part: Part) -> None:
        """Takes in a part of the stream."""
        delta, total = part.mean - self._mean, self._count + part.number
        self._m2 += part.squares + delta**2 * self._count * part.number / total
        self._mean += delta * part.number / total
        self._count = total

    def mean(self) -> np.ndarray:
        """[channels]."""
        return self._mean

    def deviation(self) -> np.ndarray:
        """[channels]; population standard deviation."""
        return np.sqrt(self._m2 / self._count)
