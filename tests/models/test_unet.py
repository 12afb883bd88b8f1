import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.models import unet as unets


def plain_keras_unet(channels, width):
    """The same network from Keras layers alone, written apart from the package."""
    layers = tf.keras.layers
    x = image = tf.keras.Input((None, None, channels))
    skips = []
    for level in range(5):
        for _ in range(2):
            x = layers.Conv2D(width << level, 3, padding="same", activation="relu")(x)
        if level < 4:
            skips.append(x)
            x = layers.MaxPooling2D()(x)
    for level in (3, 2, 1, 0):
        x = layers.Conv2DTranspose(width << level, 3, strides=2, padding="same")(x)
        x = layers.concatenate([x, skips[level]])
        for _ in range(2):
            x = layers.Conv2D(width << level, 3, padding="same", activation="relu")(x)
    return tf.keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(x))


@pytest.mark.parametrize(("channels", "parameters"), [(1, 34_512_193), (4, 34_513_921)])
def test_full_width_has_the_papers_weights(channels, parameters):
    unet = unets.build_unet(channels)
    assert len(unet.weights) == 46
    assert unet.count_params() == parameters


@pytest.mark.parametrize(("channels", "width"), [(1, 64), (4, 8)])
def test_forward_pass_equals_plain_keras(channels, width):
    tf.keras.utils.set_random_seed(1)
    unet, plain = unets.build_unet(channels, width), plain_keras_unet(channels, width)
    plain.set_weights(unet.get_weights())
    images = tf.random.normal((1, 240, 240, channels))
    assert np.ptp(plain(images)) > 0.01  # otherwise equality would say nothing
    np.testing.assert_allclose(unet(images), plain(images), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("tap", "shape"),
    [
        ("conv1", (240, 240, 4)),
        ("conv4", (30, 30, 32)),
        ("conv5", (15, 15, 64)),
        ("uconv4", (30, 30, 32)),
        ("uconv1", (240, 240, 4)),
    ],
)
def test_tap_gives_features_after_relu(tap, shape):
    features = unets.tap_model(unets.build_unet(1, 4), tap)(tf.random.normal((2, 240, 240, 1)))
    assert features.shape == (2, *shape)
    assert features.dtype == tf.float32
    assert float(tf.reduce_min(features)) >= 0.0 < float(tf.reduce_max(features))


def test_encoder_tap_computes_no_deeper():
    tap = unets.tap_model(unets.build_unet(1, 4), "conv3")
    assert not any("conv4" in layer.name or "deconv" in layer.name for layer in tap.layers)


def test_unknown_tap_lists_the_known():
    with pytest.raises(ValueError, match="conv1, conv2.*received 'conv9'"):
        unets.tap_model(unets.build_unet(1, 4), "conv9")


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_precision_reaches_tensorlayer_layers(precision):
    unet = unets.build_unet(1, 4, precision=precision)
    assert {weight.dtype for weight in unet.weights} == {tf.float32}
    for name in ("conv3_1", "deconv2"):
        assert unet.get_layer(name).output.dtype == precision
    assert unet.output.dtype == tf.float32


def test_bfloat16_stays_near_float32():
    tf.keras.utils.set_random_seed(2)
    unet = unets.build_unet(1, 8)
    half = unets.build_unet(1, 8, precision="bfloat16")
    half.set_weights(unet.get_weights())
    images = tf.random.normal((1, 64, 64, 1))
    np.testing.assert_allclose(half(images), unet(images), atol=0.03)


def test_prior_is_what_the_head_starts_with():
    unet = unets.build_unet(1, 8, prior=0.02)
    bias = unet.get_layer("uconv1").weights[1]
    np.testing.assert_allclose(tf.sigmoid(bias), [0.02], rtol=1e-5)


@pytest.mark.parametrize("initializer", ["he", "tensorlayer"])
def test_initializer_deviation(initializer):
    tf.keras.utils.set_random_seed(0)
    kernel = unets.build_unet(1, 16, initializer).get_layer("conv4_2").weights[0].numpy()
    # truncated at two deviations, the origin's keeps 0.88 of its nominal 0.02
    wanted = np.sqrt(2.0 / (9 * 128)) if initializer == "he" else 0.02 * 0.8796
    assert kernel.std() == pytest.approx(wanted, rel=0.02)


def test_signal_survives_narrow_networks_with_he():
    tf.keras.utils.set_random_seed(0)
    image = tf.random.normal((1, 64, 64, 1))
    deviation = {
        kind: float(tf.math.reduce_std(unets.tap_model(unets.build_unet(1, 8, kind), "uconv1")(image)))
        for kind in unets.INITIALIZERS
    }
    assert deviation["he"] > 0.1
    assert deviation["tensorlayer"] < 1e-3 * deviation["he"]


@pytest.mark.parametrize(("argument", "value"), [("initializer", "glorot"), ("prior", 1.0), ("precision", "int8")])
def test_bad_arguments_are_quoted(argument, value):
    with pytest.raises(ValueError, match=f"{argument}.*{value}"):
        unets.build_unet(1, 4, **{argument: value})


def test_one_step_moves_every_weight_under_a_strategy():
    tf.keras.utils.set_random_seed(0)
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        unet = unets.build_unet(1, 4)
        unet.compile(tf.keras.optimizers.Adam(1e-2), "binary_crossentropy")
    before = unet.get_weights()
    images, masks = tf.random.normal((4, 32, 32, 1)), tf.cast(tf.random.uniform((4, 32, 32, 1)) > 0.5, tf.float32)
    unet.fit(images, masks, batch_size=4, verbose=0)
    for old, new, weight in zip(before, unet.get_weights(), unet.weights):
        assert np.any(old != new), weight.name
