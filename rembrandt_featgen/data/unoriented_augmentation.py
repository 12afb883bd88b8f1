"""`standard_augmentation` for what has no up and down, such as lesions cut out: turned and flipped freely.

Half of the slices are flipped left to right, half upside down, and all turned by any angle up to 45 degrees; together
these reach every orientation. All else is as there.
"""

from __future__ import annotations

import math

import tensorflow as tf

from rembrandt_featgen.data import augmentation, augmentation_parameters, standard_augmentation
from rembrandt_featgen.data.augmentation_parameters import Parameters, Ranges

RANGES: Ranges = standard_augmentation.RANGES._replace(flip_vertical=0.5, angle=math.radians(45.0))


def draw(seed: tf.Tensor, batch: int | tf.Tensor, *, height: int, width: int, ranges: Ranges = RANGES) -> Parameters:
    """Draws the geometry of a batch; args and returns as for `augmentation_parameters.draw`."""
    return augmentation_parameters.draw(seed, batch, height=height, width=width, ranges=ranges)


def apply(images: tf.Tensor, masks: tf.Tensor, parameters: Parameters) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies given geometry alone; args and returns as for `augmentation.apply`."""
    return augmentation.apply(images, masks, parameters)


def augment(images: tf.Tensor, masks: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws geometry and intensities and applies them; args and returns as for `augmentation.augment`."""
    return standard_augmentation.augment(images, masks, seed, ranges=RANGES)
