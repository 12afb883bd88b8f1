"""From a network's probabilities to the mask of a volume: mirrored inference, threshold, largest component."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from scipy import ndimage

THRESHOLD = 0.5


# Of --mirrored_inference: the axes of [batch, height, width, channels] that each image is reversed along.
MIRRORS = {"none": ((),), "left_right": ((), (2,)), "both": ((), (2,), (1,), (1, 2))}


def mirrored(probability: Callable[[tf.Tensor], tf.Tensor], mirrors: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """The mean of a network's output for slices and for their mirror images, mirrored back.

    Args:
      probability: from [batch, height, width, channels] to [batch, height, width, 1], tensors or arrays.
      mirrors: one of `MIRRORS`.
    """

    def mean(images):
        outputs = [tf.reverse(probability(tf.reverse(images, axes)), axes) for axes in MIRRORS[mirrors]]
        return tf.add_n(outputs) / len(outputs)

    return mean if mirrors != "none" else probability


def mask_of(probability: np.ndarray, largest_component: bool) -> np.ndarray:
    """The mask of one volume.

    Args:
      probability: [slices, height, width] in [0, 1], on the volume's grid.
      largest_component: whether only the largest part stays whose voxels share a face, an edge or a corner.

    Returns:
      [slices, height, width] bool.
    """
    mask = probability > THRESHOLD
    if not largest_component or not mask.any():
        return mask
    parts, count = ndimage.label(mask, np.ones((3, 3, 3)))
    return mask if count == 1 else parts == 1 + np.bincount(parts.ravel())[1:].argmax()
