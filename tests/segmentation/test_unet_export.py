import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.classification import classifier_export, classifiers
from rembrandt_featgen.data import slicing
from rembrandt_featgen.generation import gan_export
from rembrandt_featgen.generation.gan import build_gan
from rembrandt_featgen.segmentation import unet_export
from rembrandt_featgen.segmentation.unet import build_unet, tap_model

SIZE = 32
MEAN, DEVIATION = np.array([100.0, 7.0]), np.array([25.0, 0.0])  # the second channel is the same everywhere
GRADES = ("LGG", "HGG")
SHAPE = (2, 2, 3)


@pytest.fixture(scope="module")
def unet():
    """A narrow U-Net of two channels that finds tumour in about half of the pixels."""
    tf.keras.utils.set_random_seed(0)
    network = build_unet(2, 4)
    median = np.median(network(tf.random.normal((2, SIZE, SIZE, 2))))
    network.get_layer("uconv1").weights[1].assign([np.log(1 / median - 1)])  # the head's bias
    return network


@pytest.fixture(scope="module")
def acgan():
    """An ACGAN, untrained: its discriminator confirms some of its features, not others."""
    tf.keras.utils.set_random_seed(1)
    return build_gan("acgan", SHAPE, np.array([2.0, 0.0, 0.5]), 4, 4, 3)


@pytest.fixture(scope="module")
def classifier():
    """A narrow CNN."""
    tf.keras.utils.set_random_seed(2)
    return classifiers.build_classifier("cnn", SHAPE, np.array([2.0, 0.0, 0.5]), 4, 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, unet, acgan, classifier):
    """The three models as the export stage saves them."""
    path = tmp_path_factory.mktemp("export")
    tap = tap_model(unet, "conv5")
    models = {
        "unet": unet_export.segmenter(unet, tap, MEAN, DEVIATION, SIZE, ("flair", "t1")),
        "generator": gan_export.generator(acgan, GRADES),
        "classifier": classifier_export.classifier(classifier, GRADES),
    }
    for name, (module, signatures) in models.items():
        tf.saved_model.save(module, str(path / name), signatures)
    return path


@pytest.fixture(scope="module")
def loaded(folder):
    """Name to what `tf.saved_model.load` gives."""
    return {name: tf.saved_model.load(str(folder / name)) for name in ("unet", "generator", "classifier")}


def raw_images(height, width, count=2):
    """Raw intensities about MEAN."""
    noise = np.random.default_rng(height * width).normal(size=(count, height, width, 2))
    return (MEAN + [25.0, 1.0] * noise).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "signatures"),
    [("unet", {"segment"}), ("generator", {"generate_synthetic", "sample"}), ("classifier", {"train_classifiers"})],
)
def test_signatures(loaded, name, signatures):
    assert set(loaded[name].signatures) == signatures | {"serving_default"}


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("unet", {"image": [None, None, None, 2]}, {"mask": "uint8", "probability": "float32", "feature": "float32"}),
        ("generator", {"noise": [None, 3], "label": [None]}, {"feature": "float32", "confirmed": "bool"}),
        ("classifier", {"feature": [None, *SHAPE]}, {"probability_hgg": "float32"}),
    ],
)
def test_default_signature_names_inputs_and_outputs(loaded, name, inputs, outputs):
    signature = loaded[name].signatures["serving_default"]
    assert {key: spec.shape.as_list() for key, spec in signature.structured_input_signature[1].items()} == inputs
    legend = "modalities" if name == "unet" else "grades"
    found = {key: spec.dtype.name for key, spec in signature.structured_outputs.items()}
    assert found == {**outputs, legend: "string"}


@pytest.mark.parametrize(
    ("height", "width"),
    [(32, 32), (37, 43), (33, 32), (21, 27), (50, 19), (1, 1)],  # larger, smaller, mixed; odd differences
)
def test_segmenter_equals_live_network_on_the_centre(loaded, unet, height, width):
    images = raw_images(height, width)
    found = loaded["unet"].signatures["segment"](image=tf.constant(images))
    # cropped by the code that prepares training slices, not by that of the exported model
    centre = np.stack([slicing.centre_crop_or_pad(image, SIZE) for image in images])
    live = unet((centre - MEAN.astype(np.float32)) / np.float32([25.0, 1.0])).numpy()
    wanted = np.zeros((2, height, width, 1), np.float32)
    (i, rows), (j, columns) = ((max(side - SIZE, 0) // 2, min(side, SIZE)) for side in (height, width))
    top, left = ((SIZE - side) // 2 if side < SIZE else 0 for side in (height, width))
    wanted[:, i : i + rows, j : j + columns] = live[:, top : top + rows, left : left + columns]
    assert found["probability"].shape == (2, height, width, 1)
    assert np.count_nonzero(found["probability"]) == 2 * rows * columns  # exactly 0 outside the crop
    np.testing.assert_allclose(found["probability"], wanted, atol=1e-6)
    np.testing.assert_array_equal(found["mask"], found["probability"].numpy() > 0.5)


def test_segmenter_finds_some_tumour_and_names_modalities(loaded):
    found = loaded["unet"].segment(tf.constant(raw_images(64, 64)))
    assert 0.02 < np.mean(found["mask"]) < 0.23  # the crop is a quarter of the slice
    assert found["modalities"].numpy().tolist() == [b"flair", b"t1"]


def test_segmenter_gives_the_taps_features(loaded, unet):
    images = raw_images(37, 43)
    found = loaded["unet"].segment(tf.constant(images))["feature"]
    centre = np.stack([slicing.centre_crop_or_pad(image, SIZE) for image in images])
    live = tap_model(unet, "conv5")((centre - MEAN.astype(np.float32)) / np.float32([25.0, 1.0]))
    assert found.shape == (2, 2, 2, 64)
    np.testing.assert_allclose(found, live, atol=1e-5)


def test_channel_of_deviation_0_is_shifted_alone(loaded):
    constant = raw_images(32, 32)
    constant[..., 1] = 7.0
    shifted = constant.copy()
    shifted[..., 1] = 8.0
    probability, other = (loaded["unet"].segment(tf.constant(x))["probability"].numpy() for x in (constant, shifted))
    assert np.isfinite(probability).all()
    assert np.ptp(probability) > 0.01
    assert np.abs(probability - other).max() > 1e-4  # still an input


def test_generator_equals_live_networks(loaded, acgan):
    noise, labels = tf.random.stateless_normal((64, 3), [1, 2]), tf.constant([0, 1] * 32)
    found = loaded["generator"].signatures["generate_synthetic"](noise=noise, label=labels)
    feature = acgan.generate(noise, labels)
    assert float(tf.reduce_max(feature)) > 0
    np.testing.assert_allclose(found["feature"], feature, rtol=1e-5, atol=1e-7)
    seen = np.argmax(acgan(feature)["grade"], -1)
    np.testing.assert_array_equal(found["confirmed"], seen == labels)
    assert len(np.unique(found["confirmed"])) == 2
    assert found["grades"].numpy().tolist() == [b"LGG", b"HGG"]


@pytest.mark.parametrize("label", [0, 1])
def test_samples_are_draws_by_seed(loaded, acgan, label):
    sample = loaded["generator"].signatures["sample"]

    def draw(seed):
        seed = tf.constant(seed, tf.int64)
        return sample(count=tf.constant(5), label=tf.constant(label), seed=seed)["feature"].numpy()

    wanted = acgan.generate(tf.random.stateless_normal((5, 3), [3, 4]), tf.fill([5], label))
    np.testing.assert_allclose(draw([3, 4]), wanted, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(draw([3, 4]), draw([3, 4]))
    assert np.any(draw([3, 4]) != draw([3, 5]))


@pytest.mark.parametrize(("kind", "latent", "outputs"), [("infogan", 5, {"confirmed"}), ("cgan", 3, set())])
def test_other_generators_have_the_same_signatures(tmp_path, kind, latent, outputs):
    tf.keras.utils.set_random_seed(1)
    gan = build_gan(kind, SHAPE, np.array([2.0, 0.0, 0.5]), 4, 4, 3, 2)
    module, signatures = gan_export.generator(gan, GRADES)
    tf.saved_model.save(module, str(tmp_path / kind), signatures)
    signatures = tf.saved_model.load(str(tmp_path / kind)).signatures
    seed, labels = tf.constant([3, 4], tf.int64), tf.fill([5], 1)
    found = signatures["sample"](count=tf.constant(5), label=tf.constant(1), seed=seed)
    assert set(found) == {"feature", "grades"} | outputs
    noise = gan.noise(5, [3, 4])
    assert noise.shape == (5, latent)
    np.testing.assert_allclose(found["feature"], gan.generate(noise, labels), rtol=1e-5, atol=1e-7)
    again = signatures["generate_synthetic"](noise=noise, label=labels)
    np.testing.assert_allclose(again["feature"], found["feature"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("count", [1, 7])
def test_classifier_equals_live_network(loaded, classifier, count):
    features = np.random.default_rng(0).random((count, *SHAPE)).astype(np.float32)
    found = loaded["classifier"].signatures["train_classifiers"](feature=tf.constant(features))
    assert found["probability_hgg"].shape == (count,)
    np.testing.assert_allclose(found["probability_hgg"], classifier(features)[:, 0], rtol=1e-5)
    assert found["grades"].numpy().tolist() == [b"LGG", b"HGG"]


def test_tensorflow_alone_runs_all_three(folder):
    script = f"""
import sys, tensorflow as tf
unet, generator, classifier = (tf.saved_model.load("{folder}/" + n) for n in ("unet", "generator", "classifier"))
feature = generator.sample(2, 1, tf.constant([0, 0], tf.int64))["feature"]
probability = classifier.classify(feature)["probability_hgg"]
mask = unet.segment(tf.zeros((1, 40, 30, 2)))["mask"]
print(feature.shape, probability.shape, mask.shape, sorted(set(sys.modules) & {{
    "tensorlayer", "tensorflow_addons", "rembrandt_featgen"}}))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(2, 2, 2, 3) (2,) (1, 40, 30, 1) []"
