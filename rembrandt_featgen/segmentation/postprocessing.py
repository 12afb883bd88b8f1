"""From a network's probabilities to the mask of a volume: mirrored inference, threshold, largest component."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from scipy import ndimage

THRESHOLD = 0.5


def mirrored(probability: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    """The mean of a network's output for slices and for their mirror images, mirrored back.

    Args:
      probability: from [batch, height, width, channels] to [batch, height, width, 1], tensors or arrays.
    """
    return lambda images: 0.5 * (probability(images) + probability(images[:, :, ::-1])[:, :, ::-1])


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
