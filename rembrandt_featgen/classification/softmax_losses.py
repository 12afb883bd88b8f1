"""The weighted focal loss of K classes and its gradient, for classifiers that take their steps by themselves."""

from __future__ import annotations

import tensorflow as tf

_LEAST = {tf.float32: 1e-7, tf.float64: 1e-12}  # 1 - p below which it is taken for that, so that it has any power


def losses(log_p: tf.Tensor, targets: tf.Tensor, focusing: tf.Tensor) -> tf.Tensor:
    """-t (1 - p)^gamma log p of each class.

    Args:
      log_p: [..., classes] logarithms of probabilities.
      targets: [..., classes] from 0, weights of the sample as one of each class; one is above 0 but for mixed samples.
      focusing: gamma, from 0, that broadcasts against them; 0 leaves weighted cross-entropy.

    Returns:
      [..., classes].

    Reference: Lin et al., Focal Loss for Dense Object Detection, 2017, eq. (4); without alpha.
    """
    return -targets * _others(log_p) ** focusing * log_p


def gradients(log_p: tf.Tensor, targets: tf.Tensor, focusing: tf.Tensor | None) -> tf.Tensor:
    """Gradient of the sum of `losses` over classes by the logits.

    Args:
      log_p, targets: as for `losses`.
      focusing: as for `losses`; None stands for 0, and is faster.

    Returns:
      [..., classes].
    """
    p = tf.exp(log_p)
    if focusing is None:
        slopes = -targets
    else:  # p dloss/dp
        others = _others(log_p)
        slopes = targets * (focusing * others ** (focusing - 1) * p * log_p - others**focusing)
    return slopes - p * tf.reduce_sum(slopes, -1, keepdims=True)


def curvature_weights(log_p: tf.Tensor, targets: tf.Tensor, focusing: tf.Tensor) -> tf.Tensor:
    """[...] that multiplies the curvature of the cross-entropy to stand for that of the loss; exact for gamma 0."""
    return tf.reduce_sum(targets * _others(log_p) ** focusing, -1)


def _others(log_p):
    """1 - p."""
    return tf.maximum(-tf.math.expm1(log_p), _LEAST[log_p.dtype])
