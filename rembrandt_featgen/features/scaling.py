"""Scale of features, from training patients only, and how maps are prepared by it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

_BATCH = 64  # maps at a time
FLOOR = 0.1  # of the root mean square over all channels that fire


def lowest(batches: Iterable[dict]) -> np.ndarray:
    """Lowest value of each channel, such as the background of slices.

    Args:
      batches: records with "feature" [batch, h, w, channels].

    Returns:
      [channels] float32.
    """
    return np.min([tf.reduce_min(batch["feature"], (0, 1, 2)).numpy() for batch in batches], 0).astype(np.float32)


def range_of(batches: Iterable[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Middle of the range of each channel and half its width, which map the channel onto -1 to 1, as tanh needs it.

    Args:
      batches: records with "feature" [batch, h, w, channels].

    Returns:
      Two of [channels] float32; the width is 0 for a channel that never changes.
    """
    ends = [[end(batch["feature"], (0, 1, 2)) for end in (tf.reduce_min, tf.reduce_max)] for batch in batches]
    low, high = (limit([pair[i] for pair in ends], 0).astype(np.float32) for i, limit in enumerate((np.min, np.max)))
    return (low + high) / 2, (high - low) / 2


def root_mean_square(batches: Iterable[dict], above: np.ndarray | float = 0.0) -> np.ndarray:
    """Root mean square of each channel over all features and positions, from a floor on.

    A channel that hardly ever fires in training would be blown up to the size of the others, and where it fires in
    another patient by hundreds of times that: its scale is no less than a tenth of all channels' root mean square.

    Args:
      batches: records with "feature" [batch, h, w, channels].
      above: [channels], what is taken off first.

    Returns:
      [channels] float32; 0 for a channel that never fires.
    """
    total, count = 0.0, 0
    for batch in batches:
        feature = tf.cast(batch["feature"], tf.float64) - above
        total = total + tf.reduce_sum(feature**2, axis=(0, 1, 2)).numpy()
        count += int(np.prod(feature.shape[:3]))
    scale = np.sqrt(total / count)
    fires = scale > 0
    if fires.any():
        scale[fires] = np.maximum(scale[fires], FLOOR * np.sqrt(np.mean(scale[fires] ** 2)))
    return scale.astype(np.float32)


def scaled(features: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """float32 features [n, h, w, channels] divided by the scale [channels]; 0 in channels that never fire."""
    inverse = np.divide(1.0, scale, out=np.zeros(len(scale), np.float32), where=scale > 0)
    return features.astype(np.float32) * inverse


@dataclasses.dataclass(frozen=True, eq=False)
class MapPreparation:
    """Channels are divided by their root mean square, as `vector_preparation` standardises columns.

    Attributes:
      scale: [channels] of `root_mean_square`.
      size: numbers of a prepared map.
    """

    scale: np.ndarray
    size: int

    @property
    def imputed(self) -> int:
        """How many training values were missing: maps have none."""
        return 0

    @property
    def constant(self) -> int:
        """How many channels never fire in training."""
        return int((self.scale == 0).sum())

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Prepares maps [n, h, w, channels], as float32."""
        return scaled(values, self.scale)


def fit(values: np.ndarray) -> MapPreparation:
    """Learns the scale of maps [n, h, w, channels] from training samples."""
    batches = ({"feature": values[start : start + _BATCH]} for start in range(0, len(values), _BATCH))
    return MapPreparation(root_mean_square(batches), int(np.prod(values.shape[1:])))
