"""Overlap of a predicted with a true mask, slice by slice: the paper's equations (3) to (5)."""

from __future__ import annotations

import tensorflow as tf

from rembrandt_featgen.nn import distribution

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
      float32 scalar in [0, 1]; of several replicas, of the global batch.
    """
    truth, probability = tf.cast(truth, tf.float32), tf.cast(probability, tf.float32)
    sums = tf.reduce_sum(truth * probability), tf.reduce_sum(probability), tf.reduce_sum(truth)
    overlap, predicted, tumour = distribution.total_of(sums)
    return 1.0 - (2.0 * overlap + EPSILON) / (predicted + tumour + EPSILON)


def cross_entropy(truth: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
    """Mean binary cross-entropy of the batch's pixels.

    Its gradient does not vanish where no tumour is predicted at all, as that of soft dice does.

    Args:
      truth, probability: as for `soft_dice_loss`.

    Returns:
      float32 scalar, from 0.
    """
    truth = tf.cast(truth, tf.float32)
    # 1e-30, not 1e-7: a clip that binds has no gradient, and a stuck network is below 1e-7
    log_p = tf.math.log(tf.maximum(probability, 1e-30))
    log_not_p = tf.math.log(tf.maximum(1.0 - probability, 1e-7))
    return -tf.reduce_mean(truth * log_p + (1.0 - truth) * log_not_p)


class TumourFound(tf.keras.metrics.Metric):
    """Share of all tumour pixels of an epoch, pooled, that are predicted after thresholding at 0.5; 1 without any."""

    def __init__(self, name: str = "tumour_found", **kwargs):
        super().__init__(name=name, **{"dtype": "float64", **kwargs})  # counts of an epoch, exactly
        self._hits = self.add_weight("hits", initializer="zeros")
        self._tumour = self.add_weight("tumour", initializer="zeros")

    def update_state(self, truth, probability, sample_weight=None):
        """Counts the pixels of a batch."""
        truth = tf.cast(truth, tf.float32)
        self._hits.assign_add(tf.cast(tf.reduce_sum(truth * _threshold(probability)), tf.float64))
        self._tumour.assign_add(tf.cast(tf.reduce_sum(truth), tf.float64))

    def result(self):
        """float32 scalar in [0, 1]."""
        share = tf.where(self._tumour > 0.0, tf.math.divide_no_nan(self._hits, self._tumour), 1.0)
        return tf.cast(share, tf.float32)


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
