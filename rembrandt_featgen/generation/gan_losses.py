"""Losses of the generators, the paper's equations (1) and (2) and InfoGAN's, as quantities to be minimised."""

from __future__ import annotations

import math

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

    Args:
      labels: [batch] int.
      logits: [batch, classes], any float type.

    Returns:
      float32 scalar.
    """
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, _f32(logits)))


def reference_class_term(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """-E[P(C = c | x)]: what the reference implementation has for `class_term`.

    It fed softmax, not log-softmax, to the negative log-likelihood, so that the logarithm is missing. The loss stays
    within [-1, 0], and the gradient of a sample that is surely of the wrong class vanishes.

    Args:
      labels: [batch] int.
      logits: [batch, classes], any float type.

    Returns:
      float32 scalar.
    """
    return -tf.reduce_mean(tf.gather(tf.nn.softmax(_f32(logits)), labels, batch_dims=1))


CLASS_LOSSES = {"correct": class_term, "reference": reference_class_term}


def information_term(codes: tf.Tensor, mean: tf.Tensor, deviation: tf.Tensor) -> tf.Tensor:
    """-L_I = -E[log Q(c | x)] - H(c): the negative of InfoGAN's lower bound on the mutual information I(c; x).

    Q is a normal distribution for each code, H(c) = n log 2 the entropy of n codes, uniform in (-1, 1).

    Args:
      codes: [batch, n] in (-1, 1), from which x was generated.
      mean, deviation: [batch, n] of Q, any float type; deviations above 0.

    Returns:
      float32 scalar, nats: the sum over codes.

    Reference: Chen et al., InfoGAN, 2016, eqs. (4) and (5).
    """
    mean, deviation = _f32(mean), _f32(deviation)
    surprise = ((_f32(codes) - mean) / deviation) ** 2 / 2 + tf.math.log(deviation) + math.log(2 * math.pi) / 2
    return tf.reduce_mean(tf.reduce_sum(surprise - math.log(2), -1))


def _f32(x):
    return tf.cast(x, tf.float32)
