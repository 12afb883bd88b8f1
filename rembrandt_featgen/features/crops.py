"""Crops of slices around the tumour that the U-Net predicts, and a small CNN whose features they become.

The paper names both as future work. A crop is cut inside the graph, so that gradients, exported models and tf.data see
one network from slices to features, as with a block of the U-Net.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rembrandt_featgen.nn import replicated

TAP = "crop_cnn"  # the name of these features among the taps
HALVINGS = 4  # of a crop's sides by the CNN
_MOMENTUM = 0.9  # of batch norm, as in the classifier
_DROPOUT = 0.5  # before the dense layer, as in the classifier (paper 3.3)


class Places(NamedTuple):
    """Where crops lie: row and column of the upper left pixel, [batch] int32; and whether tumour is predicted, bool."""

    rows: tf.Tensor
    columns: tf.Tensor
    has_tumour: tf.Tensor


def places(probability: tf.Tensor, size: int) -> Places:
    """Where to cut: around the predicted tumour, its largest part where one crop does not hold it all.

    Of all windows of that size, the one with most predicted tumour is centred on the tumour that it holds; specks
    elsewhere have no say. It never leaves the slice. Where nothing is predicted, it is the slice's centre.

    Args:
      probability: [batch, height, width, 1] of tumour; above 0.5 is predicted tumour.
      size: side of a crop in pixels, at most height and width.
    """
    mask = tf.cast(probability[..., 0] > 0.5, tf.float32)
    height, width = tf.shape(mask)[1], tf.shape(mask)[2]
    sums = tf.pad(tf.cumsum(tf.cumsum(mask, 1), 2), [[0, 0], [1, 0], [1, 0]])  # exact below 2^24 pixels
    windows = sums[:, size:, size:] - sums[:, :-size, size:] - sums[:, size:, :-size] + sums[:, :-size, :-size]
    columns = width - size + 1
    best = tf.argmax(tf.reshape(windows, [-1, (height - size + 1) * columns]), -1, tf.int32)
    across, down = tf.range(width), tf.range(height)
    inside = _within(down, best // columns, size)[:, :, None] * _within(across, best % columns, size)[:, None, :]
    held = mask * inside
    total = tf.reduce_sum(held, (1, 2))

    def start(positions, weights, length):
        centre = tf.math.divide_no_nan(tf.reduce_sum(weights * tf.cast(positions, tf.float32), 1), total)
        centre = tf.where(total > 0, centre, (tf.cast(length, tf.float32) - 1) / 2)
        return tf.clip_by_value(tf.cast(tf.round(centre - (size - 1) / 2), tf.int32), 0, length - size)

    rows = start(down, tf.reduce_sum(held, 2), height)
    return Places(rows, start(across, tf.reduce_sum(held, 1), width), total > 0)


def _within(positions, start, size):
    """[batch, length] float32: 1 from each start on, for `size` positions."""
    offset = positions[None, :] - start[:, None]
    return tf.cast((offset >= 0) & (offset < size), tf.float32)


def cut(images: tf.Tensor, where: Places, size: int) -> tf.Tensor:
    """The crops [batch, size, size, channels] of images [batch, height, width, channels], of any type."""
    steps = tf.range(size)[None, :]
    strips = tf.gather(images, where.rows[:, None] + steps, axis=1, batch_dims=1)
    return tf.gather(strips, where.columns[:, None] + steps, axis=2, batch_dims=1)


def cut_around_tumour(
    predict: Callable[[tf.Tensor], tf.Tensor | np.ndarray], images: tf.Tensor, size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The crops of a batch of slices around the tumour that is predicted in them.

    Args:
      predict: from slices to the tumour's probability [batch, height, width, 1].
      images: [batch, height, width, channels] slices.
      size: side of a crop in pixels.

    Returns:
      Crops [batch, size, size, channels]; and whether tumour is predicted, [batch] bool.
    """
    return cut_by_probability(predict(images), images, size)


def cut_by_probability(
    probability: tf.Tensor | np.ndarray, images: tf.Tensor, size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """`cut_around_tumour` of what was predicted, [batch, height, width, 1]."""
    where = places(tf.convert_to_tensor(probability), size)
    return cut(images, where, size), where.has_tumour


class TumourCrop(tf.keras.layers.Layer):
    """From slices and the tumour's probability to crops."""

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        self._size = size

    def call(self, inputs):
        """[[batch, height, width, channels], [batch, height, width, 1]] to [batch, size, size, channels]."""
        images, probability = inputs
        return cut(images, places(probability, self._size), self._size)

    def compute_output_shape(self, input_shape):
        """[batch, size, size, channels]."""
        return tf.TensorShape([input_shape[0][0], self._size, self._size, input_shape[0][-1]])


def build_cnn(size: int, channels: int, filters: int = 8, num_classes: int = 2) -> tf.keras.Model:
    """Builds the CNN that learns the class from crops: four blocks of convolution, batch norm, ReLU and max pooling.

    Args:
      size: side of a crop, a multiple of 16.
      channels: of a crop.
      filters: of the first block; each deeper one has twice as many.
      num_classes: two or more.

    Returns:
      Model from crops [batch, size, size, channels] to the probability of the positive of two classes, [batch, 1], or
      of each of more, [batch, num_classes]; its layer "features" gives [batch, size / 16, size / 16, 8 x filters],
      after ReLU.
    """
    layers = tf.keras.layers
    x = crop = tf.keras.Input((size, size, channels), name="crop")
    for level in range(HALVINGS):
        x = layers.Conv2D(filters * 2**level, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(replicated.BatchNormalization(momentum=_MOMENTUM)(x))
        x = layers.MaxPooling2D(2, name="features" if level == HALVINGS - 1 else None)(x)
    x = replicated.Dropout(_DROPOUT)(layers.GlobalAveragePooling2D()(x))
    head = layers.Dense(*((1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")), name="class")
    return tf.keras.Model(crop, head(x), name=TAP)


def of_crops(cnn: tf.keras.Model) -> tf.keras.Model:
    """The part of `build_cnn` from crops to features; weights are shared."""
    return tf.keras.Model(cnn.input, cnn.get_layer("features").output, name="crop_features")


def encoder(unet: tf.keras.Model, cnn: tf.keras.Model) -> tf.keras.Model:
    """From slices to the features of their crops; weights are shared.

    Args:
      unet: from slices [batch, height, width, channels] to the tumour's probability.
      cnn: of `build_cnn`.

    Returns:
      Model whose last layer is named "features", as that of `unet.tap_model`.
    """
    crop = TumourCrop(cnn.input_shape[1], name="tumour_crop", dtype="float32")([unet.input, unet.output])
    features = tf.keras.layers.Activation("linear", name="features", dtype="float32")(of_crops(cnn)(crop))
    return tf.keras.Model(unet.input, features, name="unet_crop_cnn")
