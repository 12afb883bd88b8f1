"""Convolutions against TensorFlow's own, values and gradients, each way of computing them at small shapes."""

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.nn import convolutions

SHAPES = [  # height, width, kernel, stride
    (7, 5, 3, 1),
    (6, 8, 4, 1),
    (5, 5, 5, 1),
    (15, 16, 3, 2),
    (16, 15, 4, 2),
    (8, 4, 3, 2),
    (4, 2, 3, 2),
    (9, 7, 2, 3),
    (1, 1, 3, 2),
]


@pytest.fixture(params=["as products", "as TensorFlow's"])
def every_way(request, monkeypatch):
    """All kernels count as wide, all maps as small and as large; or none."""
    is_ours = request.param == "as products"
    monkeypatch.setattr(convolutions, "_SMALL", 10**9 if is_ours else -1)
    monkeypatch.setattr(convolutions, "_LARGE", 0 if is_ours else 10**9)
    monkeypatch.setattr(convolutions, "_WIDE_KERNEL", 0)
    monkeypatch.setattr(convolutions, "_WIDE_INPUT", 0)


def with_gradients(function, x, kernel):
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        found = function(x, kernel)
        upstream = tf.random.stateless_normal(tf.shape(found), [1, 2], dtype=found.dtype)
    return found, *tape.gradient(found, [x, kernel], upstream)


def drawn(shape, seed, dtype=tf.float32):
    return tf.cast(tf.random.stateless_normal(shape, [seed, 0]), dtype)


@pytest.mark.parametrize(("height", "width", "size", "stride"), SHAPES)
def test_values_and_gradients_are_tensorflows(every_way, height, width, size, stride):
    x, kernel = drawn([2, height, width, 3], 0), drawn([size, size, 3, 4], 1)
    found = with_gradients(lambda x, kernel: convolutions.conv2d(x, kernel, stride), x, kernel)
    wanted = with_gradients(lambda x, kernel: tf.nn.conv2d(x, kernel, stride, "SAME"), x, kernel)
    for ours, theirs in zip(found, wanted):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("height", "width", "size", "stride"), [(7, 5, 3, 2), (4, 4, 4, 2), (3, 6, 3, 1), (2, 2, 3, 3)]
)
def test_the_transposed_one_too(every_way, height, width, size, stride):
    x, kernel = drawn([2, height, width, 4], 0), drawn([size, size, 3, 4], 1)
    shape = [2, height * stride, width * stride, 3]
    found = with_gradients(lambda x, kernel: convolutions.conv2d_transpose(x, kernel, stride), x, kernel)
    wanted = with_gradients(lambda x, kernel: tf.nn.conv2d_transpose(x, kernel, shape, stride, "SAME"), x, kernel)
    for ours, theirs in zip(found, wanted):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(every_way, dtype):
    x, kernel = drawn([2, 6, 6, 3], 0), drawn([3, 3, 3, 4], 1)
    wanted = with_gradients(lambda x, kernel: tf.nn.conv2d(x, kernel, 2, "SAME"), x, kernel)
    found = with_gradients(
        lambda x, kernel: convolutions.conv2d(x, kernel, 2), tf.cast(x, dtype), tf.cast(kernel, dtype)
    )
    assert [each.dtype for each in found] == [dtype] * 3
    np.testing.assert_allclose(tf.cast(found[0], tf.float32), wanted[0], atol=0.15)
    # the upstream of half precision is another draw than that of float32, but for its rounding
    upstream = tf.random.stateless_normal(tf.shape(found[0]), [1, 2], dtype=dtype)
    kernel_gradient = tf.raw_ops.Conv2DBackpropFilter(
        input=x,
        filter_sizes=kernel.shape,
        out_backprop=tf.cast(upstream, tf.float32),
        strides=[1, 2, 2, 1],
        padding="SAME",
    )
    np.testing.assert_allclose(tf.cast(found[2], tf.float32), kernel_gradient, atol=0.15)


def test_kernels_larger_than_the_map_in_bfloat16():
    """oneDNN leaves their gradient as the memory was where no position reaches; NaN shows it."""
    x, kernel = drawn([8, 1, 1, 8], 0, tf.bfloat16), drawn([3, 3, 8, 8], 1, tf.bfloat16)
    for _ in range(30):
        used = [tf.cast(tf.fill([2**n], float("nan")), tf.bfloat16) for n in range(4, 17)]
        del used
        _, _, gradient = with_gradients(lambda x, kernel: convolutions.conv2d(x, kernel, 2), x, kernel)
        gradient = tf.cast(gradient, tf.float32).numpy()
        assert np.any(gradient[1, 1])
        gradient[1, 1] = 0.0
        np.testing.assert_array_equal(gradient, 0.0)


def test_unknown_sizes(every_way):
    signature = [tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([3, 3, 3, 4])]
    x, kernel = drawn([2, 6, 5, 3], 0), drawn([3, 3, 3, 4], 1)
    found = tf.function(lambda x, kernel: with_gradients(convolutions.conv2d, x, kernel), signature)(x, kernel)
    wanted = with_gradients(lambda x, kernel: tf.nn.conv2d(x, kernel, 1, "SAME"), x, kernel)
    for ours, theirs in zip(found, wanted):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    batches = tf.function(convolutions.conv2d_transpose).get_concrete_function(
        tf.TensorSpec([None, 5, 6, 4]), tf.TensorSpec([3, 3, 3, 4])
    )
    assert batches.output_shapes == [None, 10, 12, 3]


@pytest.mark.parametrize(
    ("size", "inputs", "outputs", "stride", "kernel_by", "input_by"),
    [
        (15, 512, 1024, 1, "MatMul", "Conv2DBackpropInput"),
        (30, 512, 1024, 2, "MatMul", "Conv2DBackpropInput"),
        (15, 1024, 64, 1, "Conv2DBackpropFilter", "Conv2DBackpropInput"),  # narrow
        (60, 256, 256, 1, "Conv2DBackpropFilter", "Conv2DBackpropInput"),  # neither small nor large
        (240, 128, 64, 1, "Conv2DBackpropFilter", "Conv2D"),
        (240, 8, 8, 1, "Conv2DBackpropFilter", "Conv2DBackpropInput"),
    ],
)
@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="of CPUs alone")
def test_which_way_is_taken_where(size, inputs, outputs, stride, kernel_by, input_by):
    def gradients(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            found = tf.reduce_sum(convolutions.conv2d(x, kernel, stride))
        return tape.gradient(found, [x, kernel])

    specs = tf.TensorSpec([2, size, size, inputs]), tf.TensorSpec([3, 3, inputs, outputs])
    graph = tf.function(gradients).get_concrete_function(*specs).graph
    used = [operation.type for operation in graph.get_operations()]
    assert kernel_by in used
    assert ("Conv2DBackpropFilter" in used) == (kernel_by == "Conv2DBackpropFilter")
    assert used.count("Conv2D") == (2 if input_by == "Conv2D" else 1)
    assert ("Conv2DBackpropInput" in used) == (input_by == "Conv2DBackpropInput")


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_layers_are_keras(use_bias, policy):
    pairs = [
        (convolutions.Conv2D, tf.keras.layers.Conv2D),
        (convolutions.Conv2DTranspose, tf.keras.layers.Conv2DTranspose),
    ]
    x = drawn([2, 5, 6, 3], 0)
    for own, keras in pairs:
        ours, theirs = (kind(4, 3, 2, "same", use_bias=use_bias, dtype=policy) for kind in (own, keras))
        for layer in (ours, theirs):
            layer(x)
            layer.set_weights([drawn(weight.shape, 3).numpy() for weight in layer.weights])
        np.testing.assert_allclose(
            tf.cast(ours(x), tf.float32),
            tf.cast(theirs(x), tf.float32),
            rtol=1e-5,
            atol=1e-5 if policy == "float32" else 0.1,
        )
        assert ours(x).dtype == theirs(x).dtype
        assert ours.compute_output_shape(x.shape) == theirs.compute_output_shape(x.shape) == ours(x).shape
