import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.nn import fused_norms

EPSILON = 1e-3  # large enough to be seen


def example(dtype="float32", mean=0.5):
    """Slices of 6 x 4 pixels, each with a mean and a deviation of its own, and weights of their 3 channels."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 6, 4, 3)) * rng.uniform(0.5, 2.0, (5, 1, 1, 3)) + mean * rng.normal(size=(5, 1, 1, 3))
    upstream = rng.normal(size=x.shape)
    scale, offset = np.float32([1.5, -0.7, 0.3]), np.float32([0.1, 0.0, -0.2])
    return tf.cast(x, dtype), tf.constant(scale), tf.constant(offset), tf.cast(upstream, dtype)


def by_numpy(x, *, scale, offset, axes):
    """relu(norm(x)) in float64."""
    x, scale, offset = (np.asarray(tf.cast(part, tf.float64)) for part in (x, scale, offset))
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return np.maximum(scale * (x - mean) / np.sqrt(variance + EPSILON) + offset, 0.0), mean, variance


def plain_gradients(x, *, scale, offset, upstream, axes):
    """Of x, scale and offset, by TensorFlow's own differentiation of the plain formula in float64."""
    given = [tf.cast(part, tf.float64) for part in (x, scale, offset)]
    with tf.GradientTape() as tape:
        tape.watch(given)
        mean, variance = tf.nn.moments(given[0], axes, keepdims=True)
        y = tf.nn.relu(tf.nn.batch_normalization(given[0], mean, variance, given[2], given[1], EPSILON))
    return tape.gradient(y, given, tf.cast(upstream, tf.float64))


@pytest.fixture(params=["one by one", "as channels"])
def instance_norm(request, monkeypatch):
    """The function in each of its two ways."""
    monkeypatch.setattr(fused_norms, "_LARGE", 1 if request.param == "one by one" else 2**60)
    return fused_norms.instance_norm_relu


@pytest.mark.parametrize(("dtype", "near"), [("float32", 1e-5), ("bfloat16", 0.02), ("float16", 0.003)])
def test_instance_norm_by_numpy(instance_norm, dtype, near):
    x, scale, offset, upstream = example(dtype)
    with tf.GradientTape() as tape:
        tape.watch([x, scale, offset])
        y = instance_norm(x, scale=scale, offset=offset, epsilon=EPSILON)
    assert y.dtype == dtype
    wanted, _, _ = by_numpy(x, scale=scale, offset=offset, axes=(1, 2))
    np.testing.assert_allclose(tf.cast(y, tf.float64), wanted, atol=near)
    found = tape.gradient(y, [x, scale, offset], upstream)
    plain = plain_gradients(x, scale=scale, offset=offset, upstream=upstream, axes=(1, 2))
    for mine, other, times in zip(found, plain, (2, 20, 20)):  # those of weights are sums over 120 pixels
        np.testing.assert_allclose(tf.cast(mine, tf.float64), other, atol=times * near)


def test_instance_norm_of_a_mean_far_from_0(instance_norm):
    """1000 deviations away; the plain E[x^2] - E[x]^2 in float32 would be off by 0.1 in the variance."""
    x, scale, offset, _ = example(mean=1000.0)
    found = instance_norm(x, scale=scale, offset=offset, epsilon=EPSILON)
    wanted, _, _ = by_numpy(x, scale=scale, offset=offset, axes=(1, 2))
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_instance_norm_of_one_pixel_is_its_offset(instance_norm):
    _, scale, offset, _ = example()
    found = instance_norm(tf.random.normal((2, 1, 1, 3)), scale=scale, offset=offset, epsilon=EPSILON)
    np.testing.assert_allclose(found, np.broadcast_to([0.1, 0.0, 0.0], (2, 1, 1, 3)), atol=1e-6)


@pytest.mark.parametrize("shape", [(None, 6, 4, 3), (None, None, None, 3)])
def test_instance_norm_of_unknown_sizes(instance_norm, shape):
    x, scale, offset, _ = example()
    compute = tf.function(lambda x: instance_norm(x, scale=scale, offset=offset, epsilon=EPSILON))
    compute = compute.get_concrete_function(tf.TensorSpec(shape))
    assert compute.structured_outputs.shape.as_list() == list(shape)
    for some in (x, x[:2]):
        wanted, _, _ = by_numpy(some, scale=scale, offset=offset, axes=(1, 2))
        np.testing.assert_allclose(compute(some), wanted, atol=1e-5)


@pytest.mark.parametrize(("dtype", "near"), [("float32", 1e-5), ("bfloat16", 0.02), ("float16", 0.003)])
def test_batch_norm_by_numpy(dtype, near):
    x, scale, offset, upstream = example(dtype)
    with tf.GradientTape() as tape:
        tape.watch([x, scale, offset])
        y, mean, variance = fused_norms.batch_norm_relu(x, scale=scale, offset=offset, epsilon=EPSILON)
    wanted, of_x, squared = by_numpy(x, scale=scale, offset=offset, axes=(0, 1, 2))
    assert (y.dtype, mean.dtype, variance.dtype) == (dtype, tf.float32, tf.float32)
    np.testing.assert_allclose(tf.cast(y, tf.float64), wanted, atol=near)
    np.testing.assert_allclose(mean, of_x.ravel(), atol=1e-5)
    np.testing.assert_allclose(variance, squared.ravel(), rtol=1e-5)
    found = tape.gradient(y, [x, scale, offset], upstream)
    plain = plain_gradients(x, scale=scale, offset=offset, upstream=upstream, axes=(0, 1, 2))
    for mine, other, times in zip(found, plain, (2, 20, 20)):
        np.testing.assert_allclose(tf.cast(mine, tf.float64), other, atol=times * near)


def test_known_mean_and_variance_by_numpy():
    x, scale, offset, _ = example()
    mean, variance = np.float32([0.3, -2.0, 0.0]), np.float32([0.5, 1.0, 4.0])
    wanted = np.maximum(scale * (x - mean) / np.sqrt(variance + EPSILON) + offset, 0.0)
    found = fused_norms.known_norm_relu(x, mean=mean, variance=variance, scale=scale, offset=offset, epsilon=EPSILON)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
