"""Losses of the ACGAN, the paper's equations (1) and (2), as quantities to be minimised, computed from logits."""

from __future__ import annotations

import tensorflow as tf


def source_term(logits: tf.Tensor, real: bool) -> tf.Tensor:
    """-E[log P(S = real | x)] or -E[log P(S = fake | x)]: one of the two terms of -L_S, paper eq. (1).

    Args:
      logits: [batch, 1] of "real", any float type.
      real: which source the samples are held to be.

    Returns:
      float32 scalar.
    """
    targets = tf.ones_like(logits) if real else tf.zeros_like(logits)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(_f32(targets), _f32(logits)))


def class_term(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """-E[log P(C = c | x)]: one of the two terms of -L_C, paper eq. (2).

    The log-softmax is inside; the implementation that the paper followed fed softmax to the negative log-likelihood.

    Args:
      labels: [batch] int.
      logits: [batch, classes], any float type.

    Returns:
      float32 scalar.
    """
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, _f32(logits)))


def _f32(x):
    return tf.cast(x, tf.float32)
