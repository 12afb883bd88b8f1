"""Other scanners and protocols: gamma, contrast, brightness, noise and low resolution, of images alone.

Each technique is applied to a slice with a probability of its own, and to all channels of it alike. All are relative to
the slice itself (its range, mean and deviation in each channel), so that they mean the same whatever its intensities
are; they are thought for z-scored ones. In the order in which they are applied:

    1. low resolution   as if sampled with up to twice the spacing, and interpolated back
    2. noise            plus Gaussian noise
    3. brightness       plus a share of the slice's deviation
    4. contrast         times a factor, about the slice's mean
    5. gamma            rescaled to 0..1, to the power gamma, and back to the mean and deviation from before

Reference: Isensee et al., "nnU-Net", Nature Methods 2021.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

_EPSILON = 1e-6  # least range and deviation of a slice
_SPACINGS = (1.25, 1.5, 1.75, 2.0)  # of low resolution, in pixels


class Intensities(NamedTuple):
    """Probability of each technique, and how far it goes; probability 0 switches one off.

    `noise` (the largest deviation) and `brightness` (half-width of a uniform distribution around 0) are in deviations
    of the slice; `contrast` and `gamma` are the least and the largest value, gamma evenly on a logarithmic scale.
    """

    low_resolution_probability: float = 0.2
    noise_probability: float = 0.15
    noise: float = 0.1
    brightness_probability: float = 0.2
    brightness: float = 0.2
    contrast_probability: float = 0.2
    contrast: tuple[float, float] = (0.75, 1.25)
    gamma_probability: float = 0.3
    gamma: tuple[float, float] = (0.7, 1.5)


STANDARD = Intensities()


def augment(images: tf.Tensor, seed: tf.Tensor, *, settings: Intensities = STANDARD) -> tf.Tensor:
    """Draws what is done to each image, and does it; the same seed does the same, on every device.

    Args:
      images: [batch, height, width, channels] floats; only the batch may be unknown while a graph is built.
      seed: [2] integers, different for every batch.
      settings: probabilities and ranges.

    Returns:
      Images of the same shape and type.

    Reference: Isensee et al., "nnU-Net", Nature Methods 2021.
    """
    seeds = tf.random.split(tf.cast(seed, tf.int64), 3, alg="philox")
    batch = tf.shape(images)[0]
    chance, amount = (tf.random.stateless_uniform([batch, 5], seeds[i], alg="philox") for i in (0, 1))
    values = tf.cast(images, tf.float32)
    coarse = tf.where(chance[:, 0] < settings.low_resolution_probability)[:, 0]
    values = _low_resolution(values, coarse, tf.gather(amount[:, 0], coarse))
    noisy = tf.where(chance[:, 1] < settings.noise_probability)[:, 0]
    values = _noise(values, noisy, settings.noise * tf.gather(amount[:, 1], noisy), seed=seeds[2])
    shift = tf.where(chance[:, 2] < settings.brightness_probability, settings.brightness * (2 * amount[:, 2] - 1), 0.0)
    low, high = settings.contrast
    factor = tf.where(chance[:, 3] < settings.contrast_probability, low + (high - low) * amount[:, 3], 1.0)
    low, high = np.log(settings.gamma)
    bent = tf.where(chance[:, 4] < settings.gamma_probability)[:, 0]
    gamma = tf.exp(low + (high - low) * tf.gather(amount[:, 4], bent))
    return tf.cast(_gamma(_linear(values, shift, factor), bent, gamma), images.dtype)


def _low_resolution(values, rows, amount):
    """Of the slices `rows`, what remains when they are sampled coarsely; `amount` in [0, 1) chooses the spacing."""
    height, width = values.shape[1:3]
    kind = tf.cast(amount * len(_SPACINGS), tf.int32)
    down, across = (tf.gather(tf.constant(_blurring(length), tf.float32), kind) for length in (height, width))
    seen = tf.transpose(tf.gather(values, rows), [0, 3, 1, 2])
    seen = tf.matmul(tf.matmul(down[:, tf.newaxis], seen), across[:, tf.newaxis], transpose_b=True)
    return _replaced(values, rows, tf.transpose(seen, [0, 2, 3, 1]))


def _blurring(length):
    """[spacings, length, length]: means of cells of each spacing, interpolated to the pixels again."""
    found = []
    for spacing in _SPACINGS:
        count = max(2, round(length / spacing))
        edges = np.linspace(0, length, count + 1)
        pixels = np.arange(length)
        covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
        means = np.maximum(covered, 0.0) * count / length
        # beyond the centres of the outer cells the value stays
        position = np.clip((pixels + 0.5) * count / length - 0.5, 0, count - 1)
        back = np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(count)))
        found.append(back @ means)
    return np.stack(found)


def _noise(values, rows, deviation, seed):
    chosen = tf.gather(values, rows)
    scale = _moments(chosen)[1] * deviation[:, tf.newaxis, tf.newaxis, tf.newaxis]
    return _replaced(values, rows, chosen + scale * tf.random.stateless_normal(tf.shape(chosen), seed, alg="philox"))


@tf.function(jit_compile=True)
def _linear(values, shift, factor):
    mean, deviation = _moments(values)
    shift, factor = (each[:, tf.newaxis, tf.newaxis, tf.newaxis] for each in (shift, factor))
    return (values - mean) * factor + mean + shift * deviation


def _gamma(values, rows, gamma):
    chosen = tf.gather(values, rows)
    mean, deviation = _moments(chosen)
    low, high = (reduce(chosen, (1, 2), keepdims=True) for reduce in (tf.reduce_min, tf.reduce_max))
    bent = ((chosen - low) / tf.maximum(high - low, _EPSILON)) ** gamma[:, tf.newaxis, tf.newaxis, tf.newaxis]
    its_mean, its_deviation = _moments(bent)
    return _replaced(values, rows, (bent - its_mean) / tf.maximum(its_deviation, _EPSILON) * deviation + mean)


def _moments(values):
    """Mean and deviation of each slice and channel, [batch, 1, 1, channels]."""
    mean, variance = tf.nn.moments(values, (1, 2), keepdims=True)
    return mean, tf.sqrt(variance)


def _replaced(values, rows, those):
    return tf.tensor_scatter_nd_update(values, rows[:, tf.newaxis], those)
