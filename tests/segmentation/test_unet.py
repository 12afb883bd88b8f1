import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.nn import mixed_precision
from rembrandt_featgen.segmentation import losses, pretrained, unet_callbacks
from rembrandt_featgen.segmentation.unet import NORMS, TAPS, block_output, build_unet, tap_model


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


def pixels_and_masks(count=4, size=32):
    """Noise, with tumour in half of the pixels."""
    rng = np.random.default_rng(0)
    shape = (count, size, size, 1)
    return rng.normal(size=shape).astype(np.float32), (rng.random(shape) > 0.5).astype(np.float32)


@pytest.fixture(scope="module")
def narrow():
    """A U-Net of width 4, which no test trains."""
    tf.keras.utils.set_random_seed(0)
    return build_unet(1, 4)


@pytest.fixture(scope="module")
def paper():
    """The paper's U-Net for FLAIR, which no test trains."""
    tf.keras.utils.set_random_seed(1)
    return build_unet(1)


def assert_equals_plain_keras(unet, width):
    plain = plain_keras_unet(unet.input_shape[-1], width)
    plain.set_weights(unet.get_weights())
    images = tf.random.normal((1, 240, 240, unet.input_shape[-1]))
    wanted = plain(images)
    assert np.ptp(wanted) > 0.01  # otherwise equality would say nothing
    assert np.abs(unet(images) - wanted).max() <= 1e-4


def test_full_width_equals_plain_keras_and_has_the_papers_weights(paper):
    assert len(paper.weights) == len(paper.trainable_weights) == 46
    assert paper.count_params() == 34_512_193
    assert_equals_plain_keras(paper, 64)


def test_four_channels_equal_plain_keras():
    assert_equals_plain_keras(build_unet(4, 8), 8)


def test_four_channels_have_the_papers_weights():
    unet = build_unet(4)
    assert len(unet.weights) == 46
    assert unet.count_params() == 34_513_921


def test_weights_are_in_the_order_of_the_reference_implementation(narrow):
    encoder = [f"conv{level}_{i}" for level in range(1, 6) for i in (1, 2)]
    decoder = [name for level in (4, 3, 2, 1) for name in (f"deconv{level}", f"uconv{level}_1", f"uconv{level}_2")]
    names = [weight.name.split("/")[0] for weight in narrow.weights]
    assert names[::2] == names[1::2] == [*encoder, *decoder, "uconv1"]
    assert {weight.shape.rank for weight in narrow.weights[::2]} == {4}
    assert {weight.shape.rank for weight in narrow.weights[1::2]} == {1}
    assert narrow.get_layer("deconv4").weights[0].shape == (3, 3, 32, 64)  # height, width, out, in


@pytest.mark.parametrize(
    ("tap", "shape", "convolutions", "deconvolutions"),
    [
        ("conv1", (240, 240, 4), 2, 0),
        ("conv2", (120, 120, 8), 4, 0),
        ("conv3", (60, 60, 16), 6, 0),
        ("conv4", (30, 30, 32), 8, 0),
        ("conv5", (15, 15, 64), 10, 0),
        ("uconv4", (30, 30, 32), 12, 1),
        ("uconv3", (60, 60, 16), 14, 2),
        ("uconv2", (120, 120, 8), 16, 3),
        ("uconv1", (240, 240, 4), 18, 4),
    ],
)
def test_tap_gives_features_after_relu_and_computes_no_deeper(narrow, tap, shape, convolutions, deconvolutions):
    network = tap_model(narrow, tap)
    compute = tf.function(network).get_concrete_function(tf.TensorSpec((2, 240, 240, 1)))
    features = compute(tf.random.normal((2, 240, 240, 1)))
    assert features.shape == (2, *shape)
    assert features.dtype == tf.float32
    assert float(tf.reduce_min(features)) == 0.0 < float(tf.reduce_max(features))
    operations = [operation.type for operation in compute.graph.get_operations()]
    assert operations.count("Conv2D") == convolutions
    assert operations.count("Conv2DBackpropInput") == deconvolutions
    assert len(network.weights) == 2 * (convolutions + deconvolutions)


def test_taps_are_every_block():
    assert TAPS == ("conv1", "conv2", "conv3", "conv4", "conv5", "uconv4", "uconv3", "uconv2", "uconv1")


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("tap", ["conv5", "uconv1"])
def test_tap_is_after_norm_and_relu(norm, tap):
    """Doubling a block's last gamma and beta doubles its features, and no feature is below 0."""
    unet, images = build_unet(1, 2, norm=norm), tf.random.normal((2, 64, 64, 1))
    before = tap_model(unet, tap)(images).numpy()
    assert before.min() == 0.0 < before.max()
    for weight in unet.get_layer(f"{tap}_2_norm").trainable_weights:
        weight.assign(2.0 * weight)
    np.testing.assert_allclose(tap_model(unet, tap)(images), 2.0 * before, rtol=1e-5)
    assert block_output(unet, tap) is unet.get_layer(f"{tap}_2_norm").output


def test_unknown_tap_lists_the_known(narrow):
    with pytest.raises(ValueError, match="conv1, conv2.*received 'conv9'"):
        tap_model(narrow, "conv9")


@pytest.mark.parametrize("norm", NORMS)
def test_bfloat16_stays_near_float32(norm):
    tf.keras.utils.set_random_seed(0)
    whole, half = build_unet(1, 4, norm=norm), build_unet(1, 4, precision="bfloat16", norm=norm)
    half.set_weights(whole.get_weights())
    images = tf.random.stateless_normal((1, 64, 64, 1), [0, 0])
    wanted = whole(images)
    assert np.ptp(wanted) > 0.1
    np.testing.assert_allclose(half(images), wanted, atol=0.03 if norm == "none" else 0.1)
    assert np.abs(half(images) - wanted).mean() < 0.01


def test_prior_is_what_the_head_starts_with():
    unet = build_unet(1, 4, prior=0.02)
    bias = unet.get_layer("uconv1").weights[1]
    np.testing.assert_allclose(tf.sigmoid(bias), [0.02], rtol=1e-5)


@pytest.mark.parametrize("initializer", ["he", "tensorlayer"])
def test_initializer_keeps_the_signal_or_not(initializer):
    tf.keras.utils.set_random_seed(0)
    unet = build_unet(1, 8, initializer=initializer)
    kernel = unet.get_layer("conv5_1").weights[0].numpy()
    # truncated at two deviations, the reference implementation's keeps 0.88 of its nominal 0.02
    wanted = np.sqrt(2.0 / (9 * 64)) if initializer == "he" else 0.02 * 0.8796
    assert kernel.std() == pytest.approx(wanted, rel=0.02)
    assert not unet.get_layer("conv5_1").weights[1].numpy().any()
    signal = np.std(tap_model(unet, "uconv1")(tf.random.normal((1, 64, 64, 1))))
    # in a network so narrow, the reference implementation's signal dies out
    assert signal > 0.1 if initializer == "he" else signal < 1e-4


@pytest.mark.parametrize(
    ("argument", "value"), [("initializer", "glorot"), ("prior", 1.0), ("precision", "int8"), ("norm", "layer")]
)
def test_bad_arguments_are_quoted(argument, value):
    with pytest.raises(ValueError, match=f"{argument}.*{value}"):
        build_unet(1, 4, **{argument: value})


@pytest.mark.parametrize(
    ("precision", "norm"),
    [
        ("float32", "none"),
        ("bfloat16", "none"),
        ("float16", "instance"),
        ("bfloat16", "batch"),
    ],
)
def test_step_in_precision_moves_every_weight(precision, norm):
    """But for biases before a norm."""
    tf.keras.utils.set_random_seed(0)
    unet = build_unet(1, 4, precision=precision, norm=norm)
    for name in ("conv3_1", "pool2", "deconv2", "concat2"):
        assert unet.get_layer(name).output.dtype == precision
    assert {weight.dtype for weight in unet.weights} == {unet.output.dtype} == {tf.float32}
    unet.compile(tf.keras.optimizers.Adam(1e-2), "binary_crossentropy")
    before = unet.get_weights()
    loss = unet.fit(*pixels_and_masks(), batch_size=4, verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    stuck = [weight.name for old, weight in zip(before, unet.weights) if not np.any(old != weight)]
    assert len(stuck) == (0 if norm == "none" else 18)
    assert all("conv" in name and "/biases" in name and "deconv" not in name for name in stuck)


# A process of its own: TensorFlow divides a CPU into two devices only before TensorLayer is imported.


@pytest.mark.parametrize(
    ("initializer", "precision", "norm"),
    [
        ("he", "bfloat16", "none"),
        ("tensorlayer", "float32", "none"),
        ("he", "bfloat16", "instance"),
        ("tensorlayer", "float32", "batch"),
    ],
)
def test_keras_saves_loads_and_clones_it(tmp_path, initializer, precision, norm):
    tf.keras.utils.set_random_seed(0)
    unet = build_unet(2, 4, initializer=initializer, prior=0.1, precision=precision, norm=norm)
    images = tf.random.normal((2, 48, 64, 2))
    unet.save(tmp_path / "unet.keras")
    loaded, cloned = tf.keras.models.load_model(tmp_path / "unet.keras"), tf.keras.models.clone_model(unet)
    for name, old, new in zip(pretrained.names(unet), unet.get_weights(), cloned.get_weights()):
        assert np.any(old != new) == name.endswith("kernel")  # which are drawn again, all else is what it was
    cloned.set_weights(unet.get_weights())
    for copy in (loaded, cloned):
        assert [layer.name for layer in copy.layers] == [layer.name for layer in unet.layers]
        for old, new in zip(unet.get_weights(), copy.get_weights()):
            np.testing.assert_array_equal(old, new)
        np.testing.assert_array_equal(copy(images), unet(images))
        np.testing.assert_array_equal(tap_model(copy, "uconv3")(images), tap_model(unet, "uconv3")(images))
        assert copy.get_layer("conv2_1").compute_dtype == precision
        assert not {id(weight) for weight in copy.weights} & {id(weight) for weight in unet.weights}


def test_trained_unet_is_saved_without_its_loss(tmp_path):
    unet, start = build_unet(1, 2), unet_callbacks.CrossEntropyHelp(losses.batch_soft_dice_loss, 4)
    unet.compile(mixed_precision.adam(1e-3), start.loss, [losses.iou])
    images, masks = pixels_and_masks()
    unet.fit(images, masks, verbose=0)
    unet.save(tmp_path / "unet.keras")
    loaded = tf.keras.models.load_model(tmp_path / "unet.keras", compile=False)
    np.testing.assert_array_equal(loaded(images), unet(images))


@pytest.mark.parametrize("norm", NORMS)
def test_saved_model_equals_the_live_model(tmp_path, norm):
    unet, images = build_unet(1, 4, norm=norm), tf.random.normal((2, 48, 64, 1))
    unet(images, training=True)  # which moves batch norm's averages
    tf.saved_model.save(unet, str(tmp_path))
    found = tf.saved_model.load(str(tmp_path)).signatures["serving_default"](image=images)["uconv1"]
    np.testing.assert_allclose(found, unet(images), atol=1e-5)
