"""Maps of a tap, pooled over the tumour that the U-Net predicts: a vector for each slice, and one for each patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def pool_over_mask(maps: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """The mean and the maximum of each channel over the tumour; of a slice without any, twice the slice's mean.

    Args:
      maps: [n, h, w, c] float32.
      mask: [n, height, width, 1] in {0, 1}, on the grid of the slices, whose sides are multiples of h and w.

    Returns:
      [n, 2 c] float32: means, weighted by the share of a position that is tumour, then maxima where that is above 0.
    """
    # [n, height, width, 1] -> [n, h, w, 1], the tumour's share of each position
    weights = tf.image.resize(tf.cast(mask, tf.float32), tf.shape(maps)[1:3], "area")
    total = tf.reduce_sum(weights, (1, 2))
    over_tumour = tf.math.divide_no_nan(tf.reduce_sum(maps * weights, (1, 2)), total)
    highest = tf.reduce_max(tf.where(weights > 0.0, maps, maps.dtype.min), (1, 2))
    over_slice = tf.reduce_mean(maps, (1, 2))
    empty = total <= 0.0
    return tf.concat([tf.where(empty, over_slice, over_tumour), tf.where(empty, over_slice, highest)], -1)


def pooled_names(tap: str, channels: int) -> list[str]:
    """Names of the columns of `pool_over_mask`."""
    return [f"{tap}_{what}_{channel}" for what in ("mean", "max") for channel in range(channels)]


def weighted_by_area(vectors: Sequence[np.ndarray] | np.ndarray, areas: np.ndarray) -> np.ndarray:
    """The vector of a patient.

    Args:
      vectors: [slices, d].
      areas: [slices] of tumour, pixels.

    Returns:
      [d] float32: the mean over slices, weighted by area; without any tumour, the plain mean.
    """
    weights = np.asarray(areas, np.float64)
    return np.average(np.asarray(vectors), axis=0, weights=weights if weights.any() else None).astype(np.float32)
