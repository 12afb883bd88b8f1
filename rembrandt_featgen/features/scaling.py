"""Scale of features, from training patients only."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

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
