"""Convolutions that train faster on a CPU: the same values, their gradients computed in quicker ways.

oneDNN computes a convolution and most of its gradients at nearly the speed of a matrix product, but not all of them.
Gradients of wide kernels on small maps are taken here as matrix products of the pixels under each element of the
kernel, and those of what a wide convolution read on large maps as another convolution. On two cores, bfloat16, ms:

    15 x 15 x 512 -> 1024, kernel of 3, batch 16   kernel   77 ->  43
    30 x 30 x 512 -> 15 x 15 x 1024, batch 10      kernel   99 ->  25
    240 x 240 x 128 -> 64, kernel of 3, batch 10   input   149 ->  90

Elsewhere, in float16, and on a GPU, gradients are TensorFlow's; but not those of kernels larger than the map in
bfloat16, which oneDNN gets wrong.
"""

from __future__ import annotations

import tensorflow as tf

from rembrandt_featgen.nn import devices

# Where each way was faster or as fast, in bfloat16 and in float32, of the shapes of the U-Net and of the ACGAN.
_SMALL, _LARGE = 30 * 30, 120 * 120  # positions of the output; with a stride of n, n^2 times as many count as small
_WIDE_KERNEL, _WIDE_INPUT = 256, 64  # channels


def conv2d(x: tf.Tensor, kernel: tf.Tensor, stride: int = 1) -> tf.Tensor:
    """`tf.nn.conv2d` with padding "SAME".

    Args:
      x: [batch, height, width, in] floats.
      kernel: [rows, columns, in, out] of the same type.
      stride: of both axes.

    Returns:
      [batch, ceil(height / stride), ceil(width / stride), out].
    """
    kernel = tf.convert_to_tensor(kernel)  # which casts variables of Keras layers of mixed precision
    if not _is_worth_it(x, kernel):
        return tf.nn.conv2d(x, kernel, stride, "SAME")

    @tf.custom_gradient
    def convolve(x, kernel):
        def gradient(upstream):
            of_input = _of_input(upstream, kernel, shape=tf.shape(x), stride=stride)
            return of_input, _of_kernel(x, upstream, shape=kernel.shape, stride=stride)

        return tf.nn.conv2d(x, kernel, stride, "SAME"), gradient

    return convolve(x, kernel)


def conv2d_transpose(x: tf.Tensor, kernel: tf.Tensor, stride: int = 2) -> tf.Tensor:
    """`tf.nn.conv2d_transpose` with padding "SAME", `stride` times as large as what it reads.

    Args:
      x: [batch, height, width, in] floats.
      kernel: [rows, columns, out, in] of the same type.
      stride: of both axes.

    Returns:
      [batch, height * stride, width * stride, out].
    """
    kernel = tf.convert_to_tensor(kernel)
    batch, height, width, _ = tf.unstack(tf.shape(x))
    shape = tf.stack([batch, height * stride, width * stride, kernel.shape[2]])
    if not _is_worth_it(x, kernel):
        return _transpose(x, kernel, shape=shape, stride=stride)

    @tf.custom_gradient
    def convolve(x, kernel):
        def gradient(upstream):
            # The roles of input and output are exchanged.
            of_input = tf.nn.conv2d(upstream, kernel, stride, "SAME")
            return of_input, _of_kernel(upstream, x, shape=kernel.shape, stride=stride)

        larger = _transpose(x, kernel, shape=shape, stride=stride)
        larger.set_shape([x.shape[0], *(side and side * stride for side in x.shape[1:3]), kernel.shape[2]])
        return larger, gradient

    return convolve(x, kernel)


class Conv2D(tf.keras.layers.Conv2D):
    """Keras' layer with padding "same", by `conv2d`."""

    def convolution_op(self, inputs, kernel):
        """What Keras calls for the convolution itself."""
        return conv2d(inputs, kernel, self.strides[0])


class Conv2DTranspose(tf.keras.layers.Conv2DTranspose):
    """Keras' layer with padding "same" and without activation, by `conv2d_transpose`."""

    def call(self, inputs):
        """[batch, height, width, in] to [batch, height * stride, width * stride, filters]."""
        outputs = conv2d_transpose(inputs, self.kernel, self.strides[0])
        return tf.nn.bias_add(outputs, self.bias) if self.use_bias else outputs


def _is_worth_it(x, kernel):
    return (
        x.dtype in (tf.float32, tf.bfloat16)
        and kernel.shape[0] > 1
        and None not in x.shape[1:]
        and not devices.is_on_gpu()
    )


def _of_kernel(x, upstream, *, shape, stride):
    """Gradient of the kernel, [rows, columns, in, out]."""
    rows, columns, inputs, outputs = shape
    height, width = upstream.shape[1:3]
    is_worth_it = height * width <= _SMALL * stride**2 and min(inputs, outputs) >= _WIDE_KERNEL
    # Of a kernel that reaches beyond the map at every position (3 x 3 on 1 x 1), oneDNN's gradient in bfloat16 has
    # whatever was in memory, NaN at times, where it should have zeros.
    is_wrong = x.dtype == tf.bfloat16 and max(rows, columns) > min(x.shape[1:3])
    if not (is_worth_it or is_wrong):
        return tf.raw_ops.Conv2DBackpropFilter(
            input=x, filter_sizes=shape, out_backprop=upstream, strides=[1, stride, stride, 1], padding="SAME"
        )
    x = _phases(x, kernel=(rows, columns), positions=(height, width), stride=stride)
    upstream = tf.reshape(upstream, [-1, outputs])  # [batch * positions, out]
    gradients = []  # of each element of the kernel
    for row in range(rows):
        for column in range(columns):
            first, left = row // stride, column // stride
            read = x[:, first : first + height, row % stride, left : left + width, column % stride]
            gradients.append(tf.matmul(tf.reshape(read, [-1, inputs]), upstream, transpose_a=True))  # [in, out]
    return tf.reshape(tf.stack(gradients), shape)


def _phases(x, *, kernel, positions, stride):
    """Pads as "SAME" does; [batch, rows, stride, columns, stride, in], for slices with a step are slow to read."""
    pads, shape = [[0, 0]], [-1]
    for side, size, count in zip(x.shape[1:3], kernel, positions):
        before = max((count - 1) * stride + size - side, 0) // 2
        padded = count - 1 + -(-size // stride)  # as many strides as the last position reaches into
        pads.append([before, padded * stride - before - side])
        shape += [padded, stride]
    return tf.reshape(tf.pad(x, [*pads, [0, 0]]), [*shape, x.shape[3]])


def _of_input(upstream, kernel, *, shape, stride):
    """Gradient of what the convolution read, of the given shape."""
    is_large = upstream.shape[1] * upstream.shape[2] >= _LARGE
    if stride == 1 and is_large and min(kernel.shape[2:]) >= _WIDE_INPUT and kernel.shape[0] % 2:
        return tf.nn.conv2d(upstream, tf.transpose(kernel[::-1, ::-1], [0, 1, 3, 2]), 1, "SAME")
    return _transpose(upstream, kernel, shape=shape, stride=stride)


def _transpose(x, kernel, *, shape, stride):
    return tf.raw_ops.Conv2DBackpropInput(
        input_sizes=shape, filter=kernel, out_backprop=x, strides=[1, stride, stride, 1], padding="SAME"
    )
