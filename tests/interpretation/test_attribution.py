import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.classification.map_networks import Architecture, build_classifier
from rembrandt_featgen.interpretation import attribution
from rembrandt_featgen.segmentation.unet import build_unet, tap_model

RNG = np.random.default_rng(0)
SIZE, WIDTH, TAP = 32, 2, "conv2"
SHAPE = (16, 16, 4)  # of its features


@pytest.fixture(scope="module")
def unet():
    tf.keras.utils.set_random_seed(0)
    return build_unet(1, WIDTH)


@pytest.fixture(scope="module")
def linear():
    """A linear classifier, and its gradient with respect to a feature, the same everywhere."""
    scale = np.array([1.0, 2.0, 0.0, 0.5], np.float32)
    classifier = build_classifier(Architecture("linear", SHAPE), scale)
    kernel = RNG.normal(size=(9 * 4, 1)).astype(np.float32)
    classifier.get_layer("logit").set_weights([kernel, np.array([0.6], np.float32)])
    inverse = np.array([1.0, 0.5, 0.0, 2.0])
    gradient = np.zeros(SHAPE)
    for row, column in np.ndindex(16, 16):
        # "same" pooling of 16 by cells of 6 pads one pixel before and one behind: cells of 5, 6 and 5
        i, j = (row + 1) // 6, (column + 1) // 6
        inside = (6 if i == 1 else 5) * (6 if j == 1 else 5)  # padding is not averaged over
        gradient[row, column] = kernel.reshape(3, 3, 4)[i, j] * inverse / inside
    return classifier, gradient


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_heat_maps_of_features_are_those_worked_by_hand(linear, seed):
    classifier, gradient = linear
    features = np.random.default_rng(seed).random((2, *SHAPE)).astype(np.float32)
    model = attribution.of_features(classifier)
    logits = model.predict(features, verbose=0)[:, 0]
    np.testing.assert_allclose(tf.sigmoid(logits), classifier.predict(features, verbose=0)[:, 1], atol=1e-6)
    cams, saliencies = attribution.heat_maps(model, features)
    for feature, logit, cam, saliency in zip(features, logits, cams, saliencies):
        sign = 1.0 if logit > 0 else -1.0  # evidence for the predicted class
        np.testing.assert_allclose(cam, np.maximum(feature @ (sign * gradient.mean((0, 1))), 0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(saliency, np.abs(gradient).max(-1), rtol=1e-4)  # of a linear one, noise or not


def test_both_classes_are_predicted_in_what_is_tested(linear):
    features = np.concatenate([np.random.default_rng(s).random((2, *SHAPE)) for s in range(3)]).astype(np.float32)
    logits = attribution.of_features(linear[0]).predict(features, verbose=0)
    assert 0 < (logits > 0).mean() < 1


def test_the_gradient_reaches_the_slice(unet, linear):
    """Saliency of slices without noise is the gradient through U-Net and classifier; Grad-CAM weighs the tap."""
    classifier, gradient = linear
    images = RNG.normal(size=(2, SIZE, SIZE, 1)).astype(np.float32)
    model = attribution.of_slices(tap_model(unet, TAP), classifier)
    features = tap_model(unet, TAP)(images)
    np.testing.assert_allclose(tf.sigmoid(model(images)), classifier(features)[:, 1:], atol=1e-5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attribution, "_NOISY_COPIES", 0)
        cams, saliencies = attribution.heat_maps(model, images)
    with tf.GradientTape() as tape:
        slices = tf.constant(images)
        tape.watch(slices)
        logit = attribution.of_features(classifier)(tap_model(unet, TAP)(slices))
    wanted = np.abs(tape.gradient(logit, slices).numpy()[..., 0])
    assert wanted.max() > 0
    np.testing.assert_allclose(saliencies, wanted, rtol=1e-4, atol=1e-6)
    signs = np.where(model(images) > 0, 1.0, -1.0)[:, :, None]
    coarse = np.maximum(signs * (features.numpy() @ gradient.mean((0, 1))), 0)
    assert cams.shape == (2, SIZE, SIZE)
    np.testing.assert_allclose(cams, tf.image.resize(coarse[..., None], (SIZE, SIZE))[..., 0], rtol=1e-3, atol=1e-5)


def test_grad_cam_lies_where_its_cell_lies():
    """A cell of 8 pixels is expanded around its own centre, not stretched until corners meet."""
    image = tf.keras.Input((48, 48, 1))
    features = tf.keras.layers.Activation("linear", name="features")(tf.keras.layers.AveragePooling2D(8)(image))
    logit = tf.keras.layers.Dense(1, name="logit", kernel_initializer="ones")(tf.keras.layers.Flatten()(features))
    picture = np.zeros((1, 48, 48, 1), np.float32)
    picture[0, 8:16, 24:32] = 1.0
    (cam,), _ = attribution.heat_maps(tf.keras.Model(image, logit), picture)
    rows, columns = cam.sum(1), cam.sum(0)
    assert np.sum(rows * np.arange(48)) / rows.sum() == pytest.approx(11.5)
    assert np.sum(columns * np.arange(48)) / columns.sum() == pytest.approx(27.5)


def test_slices_that_maximise_channels(unet, monkeypatch):
    monkeypatch.setattr(attribution, "_SLICE_ROUGHNESS", 0.0)
    start = RNG.normal(size=(2, SIZE, SIZE, 1)).astype(np.float32)
    taps = tap_model(unet, TAP)
    means = taps(start).numpy().mean((1, 2))
    channels = [int(means[0].argmax()), int(means[1].argsort()[-2])]
    found, after = attribution.maximise_channel(tap_model(unet, TAP), channels, start, bounds=(-2.0, 3.0), steps=5)
    assert found.shape == start.shape
    assert found.min() >= -2.0 and found.max() <= 3.0
    again = taps(found).numpy().mean((1, 2))
    np.testing.assert_allclose(after, [again[0, channels[0]], again[1, channels[1]]], rtol=1e-5)
    for i, channel in enumerate(channels):
        assert after[i] > 1.1 * means[i, channel] > 0


def test_roughness_is_smoothed_away(unet, monkeypatch):
    start, rough = RNG.normal(size=(1, SIZE, SIZE, 1)).astype(np.float32), {}
    for weight in (0.0, 20.0):
        monkeypatch.setattr(attribution, "_SLICE_ROUGHNESS", weight)
        found, _ = attribution.maximise_channel(tap_model(unet, TAP), [0], start, bounds=(-3.0, 3.0), steps=5)
        rough[weight] = np.abs(np.diff(found, axis=1)).mean()
    assert rough[20.0] < 0.8 * np.abs(np.diff(start, axis=1)).mean() < rough[0.0]


def test_feature_that_maximises_a_class_of_a_linear_head(monkeypatch):
    """Of a linear head, it is the highest value where a weight is for the class, and 0 elsewhere."""
    monkeypatch.setattr(attribution, "_FEATURE_ROUGHNESS", 0.0)
    feature = tf.keras.Input((2, 2, 3))
    grade = tf.keras.layers.Dense(2, name="label")(tf.keras.layers.Flatten()(feature))
    source = tf.keras.layers.Dense(1, name="source")(tf.keras.layers.Flatten()(feature))
    head = attribution.class_head(tf.keras.Model(feature, [source, grade]))
    kernel = np.where(RNG.random((12, 2)) > 0.5, 1.0, -1.0) * (0.5 + RNG.random((12, 2)))
    head.get_layer("label").set_weights([kernel, np.zeros(2)])
    for label in (0, 1):
        found = attribution.maximise_class(head, label, np.full((2, 2, 3), 2.0), bounds=(0.0, 4.0), steps=30)
        toward = (kernel[:, label] - kernel[:, 1 - label]).reshape(2, 2, 3)
        np.testing.assert_allclose(found, np.where(toward > 0, 4.0, 0.0), atol=1e-5)
        odds = attribution.log_odds(head, found[None].astype(np.float32), label)
        np.testing.assert_allclose(odds, [4.0 * toward[toward > 0].sum()], rtol=1e-5)


def test_ascent_never_leaves_the_bounds():
    feature, seen = tf.keras.Input((2, 2, 1)), []
    model = tf.keras.Model(feature, tf.keras.layers.Lambda(lambda x: seen.append(x) or x)(feature))
    toward = tf.constant([[[[1.0], [-1.0]], [[1.0], [-1.0]]]])
    start = np.array([[[[0.0], [0.5]], [[2.0], [1.0]]]], np.float32)
    attribution._maximise(model, lambda x: x * toward, start, bounds=(0.0, 2.0), steps=30, roughness=0.0)
    values = np.array([x.numpy() for x in seen if hasattr(x, "numpy")])
    assert len(values) == 30
    assert values.min() >= 0.0 and values.max() <= 2.0


def test_a_discriminator_without_class_head():
    feature = tf.keras.Input((2, 2, 3))
    source = tf.keras.layers.Dense(2, name="source")(tf.keras.layers.Flatten()(feature))
    assert attribution.class_head(tf.keras.Model(feature, source)) is None


def test_heat_maps_and_log_odds_of_three_classes():
    """Grad-CAM of the most probable class: the gradient of its logit alone."""
    classifier = build_classifier(Architecture("linear", SHAPE, num_classes=3), np.ones(4, np.float32))
    features = np.random.default_rng(4).random((3, *SHAPE)).astype(np.float32)
    model = attribution.of_features(classifier)
    logits = model.predict(features, verbose=0)
    np.testing.assert_allclose(tf.nn.softmax(logits), classifier(features), atol=1e-6)
    cams, _ = attribution.heat_maps(model, features)
    with tf.GradientTape() as tape:
        x = tf.constant(features)
        tape.watch(x)
        score = tf.reduce_max(model(x), axis=1)
    weights = tape.gradient(score, x).numpy().mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(cams, np.maximum((features * weights).sum(axis=-1), 0), rtol=1e-4, atol=1e-6)
    odds = attribution.log_odds(model, features, 1)
    p = tf.nn.softmax(logits).numpy()[:, 1]
    np.testing.assert_allclose(odds, np.log(p / (1 - p)), rtol=1e-4, atol=1e-5)
