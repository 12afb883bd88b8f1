import numpy as np
import pytest
import tensorflow as tf
import tensorlayer as tl

from rembrandt_featgen.nn import fused_norms, optimizers
from rembrandt_featgen.segmentation import tensorlayer_layers

SHAPE = (4, 6, 5, 3)


def pixels(seed=0):
    return np.random.default_rng(seed).normal(1.0, 2.0, SHAPE).astype(np.float32)


def norm_layer(kind, policy="float32"):
    """A layer whose weights are not those of the start."""
    layer = tensorlayer_layers.TensorLayerNorm(kind, name="conv1_1_norm", dtype=policy)
    layer.build(SHAPE)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.uniform(0.2, 1.5, weight.shape) for weight in layer.weights])
    return layer


def theirs(kind, layer):
    """TensorLayer's own layer with the same weights."""
    if kind == "batch":
        norm = tl.layers.BatchNorm2d(act=tf.nn.relu, num_features=SHAPE[-1])
    else:
        norm = tl.layers.InstanceNorm2d(act=tf.nn.relu, num_features=SHAPE[-1])
    assert [weight.shape for weight in norm.all_weights] == [weight.shape for weight in layer.weights]
    for mine, other in zip(layer.weights, norm.all_weights):
        other.assign(mine)
    return norm


@pytest.mark.parametrize("kind", tensorlayer_layers.NORMS)
@pytest.mark.parametrize("training", [False, True])
def test_norm_computes_what_tensorlayer_does(kind, training):
    layer = norm_layer(kind)
    norm = theirs(kind, layer)
    norm.is_train = training
    parts = [pixels()] if kind == "batch" else pixels()[:, np.newaxis]  # its instance norm fails for more than a slice
    wanted = np.concatenate([norm.forward(tf.constant(part)) for part in parts])
    np.testing.assert_allclose(layer(pixels(), training=training), wanted, atol=1e-5)
    for mine, other in zip(layer.weights, norm.all_weights):  # moving averages among them
        np.testing.assert_allclose(mine, other, rtol=1e-5)


def test_a_new_norm_leaves_size_and_place_to_the_data():
    for kind in tensorlayer_layers.NORMS:
        layer = tensorlayer_layers.TensorLayerNorm(kind)
        layer.build(SHAPE)
        names = [weight.name.partition(":")[0].rpartition("/")[2] for weight in layer.weights]
        assert names == ["beta", "gamma", "moving_mean", "moving_var"][: len(names)]
        assert len(names) == (4 if kind == "batch" else 2)
        assert [float(weight.numpy().ravel()[0]) for weight in layer.weights] == [0.0, 1.0, 0.0, 1.0][: len(names)]


@pytest.mark.parametrize("kind", tensorlayer_layers.NORMS)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_weights_and_statistics_are_float32_under_every_policy(kind, policy):
    """A mean of 1 + 2^-12, which neither half type holds, reaches the moving average."""
    layer = norm_layer(kind, policy)
    x = tf.cast(np.float32([1.0, 1.0 + 2**-7]).repeat(16)[[*range(31), 31]], layer.compute_dtype)
    x = tf.broadcast_to(tf.reshape(x, [2, 4, 4, 1]), [2, 4, 4, 3])
    layer.set_weights([np.zeros_like(weight) for weight in layer.weights])
    y = layer(x, training=True)
    assert {weight.dtype for weight in layer.weights} == {tf.float32}
    assert y.dtype == layer.compute_dtype
    if kind == "batch":
        np.testing.assert_allclose(layer.weights[2], 0.1 * (1.0 + 2**-8), rtol=1e-6)


def test_averages_move_in_fit_and_are_used_to_predict():
    model = tf.keras.Sequential([tf.keras.Input(SHAPE[1:]), tensorlayer_layers.TensorLayerNorm("batch", name="norm")])
    model.compile(tf.keras.optimizers.SGD(0.0), "mse")
    x = pixels()
    model.fit(x, x, batch_size=len(x), epochs=2, verbose=0)
    beta, gamma, mean, variance = model.get_weights()
    # twice a tenth of the way, from 0 and from 1
    np.testing.assert_allclose(mean, 0.19 * x.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(variance, 0.81 + 0.19 * x.var((0, 1, 2)), rtol=1e-4)
    wanted = np.maximum(gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta, 0.0)
    np.testing.assert_allclose(model.predict(x, verbose=0), wanted, atol=1e-4)


@pytest.mark.parametrize("large", [1, 2**60])
def test_instance_norm_in_a_saved_model_of_fixed_size(tmp_path, monkeypatch, large):
    """Of fixed sizes slices go one by one, by a function with a gradient of its own."""
    monkeypatch.setattr(fused_norms, "_LARGE", large)
    layer = norm_layer("instance")
    model = tf.keras.Sequential([tf.keras.Input(SHAPE[1:]), layer])
    tf.saved_model.save(model, str(tmp_path))
    (found,) = tf.saved_model.load(str(tmp_path)).signatures["serving_default"](tf.constant(pixels())).values()
    np.testing.assert_allclose(found, layer(pixels()), atol=1e-6)
    assert np.ptp(found) > 0.5


def test_a_bias_before_a_norm_is_kept_but_not_trained():
    settings = {"activation": None, "kernel_initializer": "he_normal", "bias_initializer": "ones"}
    layer = tensorlayer_layers.TensorLayerConv(4, 3, bias_trains=False, **settings)
    zeros = layer(tf.zeros(SHAPE))
    np.testing.assert_array_equal(zeros, np.ones((*SHAPE[:3], 4)))
    assert [weight.shape.rank for weight in layer.trainable_weights] == [4]
    assert [weight.shape.rank for weight in layer.weights] == [4, 1]
    copy = tensorlayer_layers.TensorLayerConv.from_config(layer.get_config())
    copy.build(SHAPE)
    assert len(copy.trainable_weights) == 1


def test_weights_of_a_norm_do_not_decay():
    """Instance norm's have four dimensions, as TensorLayer's."""
    layer = norm_layer("instance")
    before = layer.get_weights()
    rate = optimizers.schedule("constant", 0.1, 10, warmup_steps=0)
    optimizer = optimizers.adamw(rate, layer.trainable_weights, weight_decay=1.0)
    optimizer.apply_gradients((tf.zeros_like(weight), weight) for weight in layer.trainable_weights)
    for old, new in zip(before, layer.get_weights()):
        np.testing.assert_array_equal(old, new)
