"""Statistics of a volume's intensities and of its foreground, in the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

_OUTLIERS = 0.001  # share of a volume's voxels at either end that may not move its mean; the darkest are clipped
_CLIP = 0.005  # share of the foreground, the brightest, that is clipped
SAMPLED = 400_000  # so many voxels, or up to twice as many, stand for those of a larger volume
_STRIDE = 40_507  # a prime: its multiples visit all remainders of any number below it


class Intensities(NamedTuple):
    """[channels] float32 each: a volume is clipped to low..high, `shift` is taken off, and it is divided by `scale`."""

    low: tf.Tensor
    high: tf.Tensor
    shift: tf.Tensor
    scale: tf.Tensor


def sampled(volume: tf.Tensor) -> list[tf.Tensor]:
    """Values of each channel in order; of a large volume, for speed, one of each so many, each time another of them.

    Always the same one would read a few columns only where the number shares a factor with the width.

    Args:
      volume: [slices, height, width, channels] float32.
    """
    return [_sorted(values) for values in tf.unstack(tf.reshape(volume, [-1, volume.shape[-1]]), axis=1)]


def thresholds(ordered: Sequence[tf.Tensor]) -> tf.Tensor:
    """Above them lies the foreground, [channels] float32; `ordered` of `sampled`."""
    return tf.stack([_threshold(values) for values in ordered])


def foreground(ordered: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Those of one channel's values, of `sampled`, that lie above its threshold; in order."""
    return ordered[tf.searchsorted(ordered, [threshold], "right")[0] :]


def of_foreground(ordered: Sequence[tf.Tensor], threshold: tf.Tensor) -> Intensities:
    """Clips to percentiles, and z-scores over the foreground.

    Args:
      ordered: of `sampled`.
      threshold: of `thresholds`.
    """
    columns = [_of_foreground(values, limit) for values, limit in zip(ordered, tf.unstack(threshold))]
    low, high, shift, scale = (tf.stack(column) for column in zip(*columns))
    return Intensities(low=low, high=high, shift=shift, scale=scale)


def quantile(ordered, share: float):
    """Nearest of the sorted values; where there are none, 0."""
    last = tf.cast(tf.maximum(tf.size(ordered) - 1, 0), tf.float64)
    padded = tf.concat([ordered, tf.zeros([tf.cast(tf.size(ordered) == 0, tf.int32)])], 0)
    return padded[tf.cast(tf.round(share * last), tf.int32)]


def _sorted(values):
    count = tf.size(values, tf.int64)
    step = tf.maximum(count // SAMPLED, 1)
    number = tf.range(count // step)
    return tf.sort(tf.gather(values, number * step + (number * _STRIDE) % step))


def _threshold(ordered):
    """Above it lies the foreground: the mean of all voxels, the most extreme of which count as the least extreme do."""
    bounded = tf.clip_by_value(ordered, quantile(ordered, _OUTLIERS), quantile(ordered, 1.0 - _OUTLIERS))
    return tf.cast(tf.reduce_mean(tf.cast(bounded, tf.float64)), tf.float32)


def _of_foreground(ordered, threshold):
    """Clipping bounds, mean and standard deviation of one channel's foreground, float32 scalars."""
    above = foreground(ordered, threshold)
    above = tf.cond(tf.size(above) > 0, lambda: above, lambda: ordered)
    low, high = quantile(ordered, _OUTLIERS), quantile(above, 1.0 - _CLIP)
    clipped = tf.cast(tf.clip_by_value(above, low, high), tf.float64)
    mean, variance = tf.reduce_mean(clipped), tf.math.reduce_variance(clipped)
    scale = tf.cast(tf.sqrt(variance), tf.float32)
    return low, high, tf.cast(mean, tf.float32), tf.where(scale > 0.0, scale, 1.0)
