"""Overlap of a predicted with a true mask, slice by slice: the paper's equations (3) to (5)."""

from __future__ import annotations

import tensorflow as tf

EPSILON = 1e-5  # TensorLayer's `smooth`, which the reference implementation left at its default


def soft_dice_loss(truth: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
    """Soft-dice loss of each slice, 1 - (2 TP + eps) / ((TP + FP) + (TP + FN) + eps), paper eq. (3).

    Args:
      truth: [batch, height, width, 1] in {0, 1}.
      probability: [batch, height, width, 1] in [0, 1]; TP is the sum of their product.

    Returns:
      [batch] float32 in [0, 1].
    """
    return 1.0 - _dice(truth, probability)


def batch_soft_dice_loss(truth: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
    """Soft-dice loss, eq. (3), with TP, FP and FN counted over all slices of the batch together.

    Of a slice without tumour, the loss of `soft_dice_loss` is near 1 until hardly a pixel is predicted, then 0: where
    such slices are many, predicting nothing anywhere is an optimum that training falls into. Counted together, they
    only add false positives.

    Args:
      truth, probability: as for `soft_dice_loss`.

    Returns:
      float32 scalar in [0, 1].
    """
    truth, probability = tf.cast(truth, tf.float32), tf.cast(probability, tf.float32)
    overlap = tf.reduce_sum(truth * probability)
    return 1.0 - (2.0 * overlap + EPSILON) / (tf.reduce_sum(probability) + tf.reduce_sum(truth) + EPSILON)


def sensitivity(truth: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
    """Share of the batch's tumour pixels that are predicted after thresholding at 0.5; 1 where there are none.

    Args:
      truth, probability: as for `soft_dice_loss`.

    Returns:
      float32 scalar in [0, 1].
    """
    truth = tf.cast(truth, tf.float32)
    hits = tf.reduce_sum(truth * _threshold(probability))
    return (hits + EPSILON) / (tf.reduce_sum(truth) + EPSILON)


def hard_dice(truth: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
    """Dice coefficient of each slice after thresholding at 0.5, paper eq. (4); 1 where both masks are empty.

    Args and returns as for `soft_dice_loss`.
    """
    return _dice(truth, _threshold(probability))


def iou(truth: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
    """Intersection over union of each slice after thresholding at 0.5, paper eq. (5); 1 where both masks are empty.

    Args and returns as for `soft_dice_loss`.
    """
    truth, predicted = tf.cast(truth, tf.float32), _threshold(probability)
    intersection = _sum(truth * predicted)
    return (intersection + EPSILON) / (_sum(truth) + _sum(predicted) - intersection + EPSILON)


def _dice(truth, probability):
    truth, probability = tf.cast(truth, tf.float32), tf.cast(probability, tf.float32)
    return (2.0 * _sum(truth * probability) + EPSILON) / (_sum(probability) + _sum(truth) + EPSILON)


def _threshold(probability):
    return tf.cast(probability > 0.5, tf.float32)


def _sum(x):
    return tf.reduce_sum(x, axis=(1, 2, 3))
