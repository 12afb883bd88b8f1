"""Features from which extra training samples are made, and how many of each class are wanted."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np


def scaled(features: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """float32 features [n, h, w, channels] divided by the scale [channels]; 0 in channels that never fire."""
    inverse = np.divide(1.0, scale, out=np.zeros(len(scale), np.float32), where=scale > 0)
    return features.astype(np.float32) * inverse


class Samples(NamedTuple):
    """Features [n, h, w, channels] float32 in the U-Net's own units, and their labels [n]."""

    features: np.ndarray
    labels: np.ndarray


@dataclasses.dataclass(frozen=True)
class TrainingSet:
    """Features of the training patients.

    Attributes:
      features: [n, h, w, channels], float32 or float16, from 0 on.
      labels: [n] int in [0, num_classes), each of which must be there.
      patients: [n] ids.
      scale: [channels] of `features.scaling`; 0 marks a channel that never fires.
      num_classes: of the run.

    Raises:
      ValueError: lengths differ, or a class has no sample.
    """

    features: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    scale: np.ndarray
    num_classes: int

    def __post_init__(self):
        """Checks lengths and classes."""
        n = len(self.features)
        if self.features.ndim != 4 or not len(self.labels) == len(self.patients) == n:
            raise ValueError(
                f"a training set needs features [n, h, w, channels], labels [n] and patients [n], received "
                f"{self.features.shape}, {np.shape(self.labels)} and {np.shape(self.patients)}"
            )
        if np.shape(self.scale) != self.features.shape[-1:]:
            raise ValueError(f"scale must be [{self.features.shape[-1]}], received {np.shape(self.scale)}")
        for label in range(self.num_classes):
            if not np.any(self.labels == label):
                raise ValueError(f"a training set needs samples of each class, received none of label {label}")

    def scaled(self, features: np.ndarray) -> np.ndarray:
        """`scaled` by the scale of this training set."""
        return scaled(features, self.scale)

    def unscaled(self, flat: np.ndarray) -> np.ndarray:
        """Features [n, h, w, channels] from 0 on, from scaled and flattened ones [n, size]."""
        features = np.maximum(flat.reshape(-1, *self.features.shape[1:]), 0.0, dtype=np.float32)
        return features * self.scale.astype(np.float32)


def counts(labels: np.ndarray, amount: float, num_classes: int) -> dict[int, int]:
    """Extra samples of each class at an amount.

    Amount 0 brings each class up to the largest, and no more. Amount a > 0 does that and then adds a * n / classes more
    to each class, rounded half up, so that amount 1 adds as many as there were real samples, equally many of each
    class.

    Args:
      labels: [n] of the real training samples.
      amount: from 0.
      num_classes: of the run.

    Returns:
      Label to number.

    Raises:
      ValueError: the amount is negative.
    """
    if amount < 0:
        raise ValueError(f"amount must be from 0, received {amount}")
    real = np.bincount(labels, minlength=num_classes)
    more = int(amount * len(labels) / num_classes + 0.5)
    return {label: int(real.max() - real[label] + more) for label in range(num_classes)}
