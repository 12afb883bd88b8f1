"""Milder geometry than the paper's Table 1, and changes of intensity, as segmentation networks are trained today.

No slice is flipped upside down, which no patient is; it is turned, moved, sheared and bent less than by Table 1, and
zoomed more, since heads differ in size. Then intensities change (`intensity_augmentation`), of the image alone.

Reference: Isensee et al., "nnU-Net", Nature Methods 2021, whose techniques these are, at about its probabilities.
"""

from __future__ import annotations

import math

import tensorflow as tf

from rembrandt_featgen.data import augmentation, augmentation_parameters, intensity_augmentation
from rembrandt_featgen.data.augmentation_parameters import Parameters, Ranges

RANGES = Ranges(
    flip_horizontal=0.5,
    flip_vertical=0.0,
    alpha=360.0,  # half of Table 1's
    angle=math.radians(15.0),
    shift=0.05,
    shear=0.05,
    zoom=0.15,
)


def draw(seed: tf.Tensor, batch: int | tf.Tensor, *, height: int, width: int, ranges: Ranges = RANGES) -> Parameters:
    """Draws the geometry of a batch; args and returns as for `augmentation_parameters.draw`."""
    return augmentation_parameters.draw(seed, batch, height=height, width=width, ranges=ranges)


def apply(images: tf.Tensor, masks: tf.Tensor, parameters: Parameters) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies given geometry alone; args and returns as for `augmentation.apply`."""
    return augmentation.apply(images, masks, parameters)


def augment(
    images: tf.Tensor, masks: tf.Tensor, seed: tf.Tensor, *, ranges: Ranges = RANGES
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws geometry and intensities and applies them; args and returns as for `augmentation.augment`."""
    images, masks = augmentation.augment(images, masks, seed, ranges=ranges)
    other = tf.random.experimental.stateless_fold_in(tf.cast(seed, tf.int64), 2)
    return intensity_augmentation.augment(images, other), masks
