"""Batch norm and instance norm with the ReLU behind them: statistics in float32, one pass over memory for each step.

TensorFlow's fused batch norm (oneDNN on a CPU, cuDNN on a GPU) reads bfloat16, sums in float32 and writes bfloat16.
Instance norm is the same of one slice; so slices go through it one by one where they are large, so that all of it stays
in the processor's cache, and all at once, as channels of one slice, where they are small. On two cores, bfloat16, 32
slices, forward and backward, ms (plain: float32 `tf.nn.moments` and `tf.nn.batch_normalization`):

    128 x 128 x 16   ReLU alone  8   batch 13   instance 28   plain  70   XLA  47
    128 x 128 x 32   ReLU alone 15   batch 27   instance 43   plain 170   XLA 112
      8 x  8  x 256  ReLU alone  2   batch  3   instance  3   plain   6   XLA   3

A training step of the U-Net at 128 x 128, batch 32, in processor time over that without a norm: of width 16, batch
1.07, instance 1.20, plain 1.53; of width 32, batch 1.04, instance 1.11, plain 1.29.
"""

from __future__ import annotations

import tensorflow as tf

from rembrandt_featgen.nn import devices, distribution

_LARGE = 2**17  # numbers of a slice from which on slices go one by one


def batch_norm_relu(x: tf.Tensor, *, scale, offset, epsilon: float) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """relu(scale * (x - mean) / sqrt(variance + epsilon) + offset) by the batch's own mean and variance.

    Args:
      x: [batch, height, width, channels], any float type.
      scale, offset: [channels] float32.
      epsilon: from 1e-5.

    Returns:
      The result, of the type of x; mean and (population) variance of each channel, [channels] float32.

    Reference: Ioffe and Szegedy 2015, arXiv:1502.03167.
    """
    none = tf.zeros([0])
    found = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=scale, offset=offset, mean=none, variance=none, epsilon=epsilon, is_training=True
    )
    count = tf.cast(tf.size(x) / tf.size(scale), tf.float32)
    # the operation gives the unbiased one
    return tf.nn.relu(found.y), found.batch_mean, found.batch_variance * (1.0 - 1.0 / count)


def global_batch_norm_relu(
    x: tf.Tensor, *, scale, offset, epsilon: float, about
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The same by mean and variance of the global batch, of which x are the rows of one replica.

    Args:
      x, scale, offset, epsilon: as for `batch_norm_relu`.
      about: [channels] near the mean, see `distribution.moments`.
    """
    mean, variance, _ = distribution.moments(x, [0, 1, 2], about=about)
    y = tf.nn.batch_normalization(
        tf.cast(x, tf.float32), mean, variance, offset=offset, scale=scale, variance_epsilon=epsilon
    )
    return tf.cast(tf.nn.relu(y), x.dtype), tf.stop_gradient(mean), tf.stop_gradient(variance)


def known_norm_relu(x: tf.Tensor, *, mean, variance, scale, offset, epsilon: float) -> tf.Tensor:
    """The same by a mean and a variance, [channels] float32, that are known."""
    found = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=epsilon, is_training=False
    )
    return tf.nn.relu(found.y)


def instance_norm_relu(x: tf.Tensor, *, scale, offset, epsilon: float) -> tf.Tensor:
    """The same by mean and variance of each channel over each slice's own pixels.

    Args:
      x: [batch, height, width, channels], any float type.
      scale, offset: [channels] float32.
      epsilon: from 1e-5.

    Returns:
      The result, of the type of x.

    Reference: Ulyanov et al. 2016, arXiv:1607.08022.
    """
    is_large = None not in x.shape[1:] and x.shape[1:].num_elements() >= _LARGE
    if is_large and not devices.is_on_gpu():  # a GPU has no cache to gain from
        return _one_by_one(epsilon)(x, scale, offset)
    return _as_channels(x, scale=scale, offset=offset, epsilon=epsilon)


def _as_channels(x, *, scale, offset, epsilon):
    """Batch norm of one slice that has batch * channels channels."""
    batch, height, width, channels = tf.unstack(tf.shape(x))
    rows = tf.transpose(tf.reshape(x, [batch, height * width, channels]), [1, 0, 2])
    rows = tf.reshape(rows, [1, 1, height * width, batch * channels])
    scale, offset = tf.tile(scale, [batch]), tf.tile(offset, [batch])
    y, _, _ = batch_norm_relu(rows, scale=scale, offset=offset, epsilon=epsilon)
    y = tf.transpose(tf.reshape(y, [height * width, batch, channels]), [1, 0, 2])
    return tf.ensure_shape(tf.reshape(y, tf.shape(x)), x.shape)


def _one_by_one(epsilon):
    """A function of (x, scale, offset) that loops over slices, with a gradient that does so as well."""

    @tf.custom_gradient
    def norm(x, scale, offset):
        def forward(one):
            none = tf.zeros([0])
            found = tf.raw_ops.FusedBatchNormV3(
                x=one[tf.newaxis],
                scale=scale,
                offset=offset,
                mean=none,
                variance=none,
                epsilon=epsilon,
                is_training=True,
            )
            return tf.nn.relu(found.y)[0], found.reserve_space_1, found.reserve_space_2

        y, *kept = tf.map_fn(forward, x, fn_output_signature=(x.dtype, tf.float32, tf.float32))
        y.set_shape(x.shape)

        def gradient(upstream):
            def backward(parts):
                of_y, one, result, *statistics = parts
                found = tf.raw_ops.FusedBatchNormGradV3(
                    y_backprop=tf.raw_ops.ReluGrad(gradients=of_y, features=result)[tf.newaxis],
                    x=one[tf.newaxis],
                    scale=scale,
                    reserve_space_1=statistics[0],
                    reserve_space_2=statistics[1],
                    reserve_space_3=tf.zeros([0]),
                    epsilon=epsilon,
                    is_training=True,
                )
                return found.x_backprop[0], found.scale_backprop, found.offset_backprop

            signature = (x.dtype, tf.float32, tf.float32)
            of_x, of_scale, of_offset = tf.map_fn(backward, (upstream, x, y, *kept), fn_output_signature=signature)
            of_x.set_shape(x.shape)
            return of_x, tf.reduce_sum(of_scale, 0), tf.reduce_sum(of_offset, 0)

        return y, gradient

    return norm
