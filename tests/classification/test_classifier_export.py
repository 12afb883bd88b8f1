import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.classification import classifier_export, map_networks
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.nn import weights

CLASSES = Classes.of(("benign", "malignant"))
SHAPE = (2, 2, 3)


@pytest.fixture(scope="module")
def classifier():
    """A narrow CNN."""
    tf.keras.utils.set_random_seed(2)
    architecture = map_networks.Architecture("cnn", SHAPE, filters=4, units=4)
    return map_networks.build_classifier(architecture, np.array([2.0, 0.0, 0.5]))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, classifier):
    """What `tf.saved_model.load` gives of the classifier as the export stage saves it."""
    path = str(tmp_path_factory.mktemp("export") / "classifier")
    module, signatures = classifier_export.classifier(classifier, CLASSES)
    tf.saved_model.save(module, path, signatures)
    return tf.saved_model.load(path)


def test_signatures(loaded):
    assert set(loaded.signatures) == {"classify", "serving_default"}


def test_default_signature_names_inputs_and_outputs(loaded):
    signature = loaded.signatures["serving_default"]
    inputs = {key: spec.shape.as_list() for key, spec in signature.structured_input_signature[1].items()}
    assert inputs == {"feature": [None, *SHAPE]}
    outputs = {key: spec.dtype.name for key, spec in signature.structured_outputs.items()}
    assert outputs == {"probability": "float32", "classes": "string", "thresholds": "float64"}


@pytest.mark.parametrize("count", [1, 7])
def test_classifier_equals_live_network(loaded, classifier, count):
    features = np.random.default_rng(0).random((count, *SHAPE)).astype(np.float32)
    found = loaded.signatures["classify"](feature=tf.constant(features))
    assert found["probability"].shape == (count, 2)
    np.testing.assert_allclose(found["probability"], classifier(features), rtol=1e-5)
    np.testing.assert_allclose(tf.reduce_sum(found["probability"], axis=1), 1.0, rtol=1e-6)
    assert found["classes"].numpy().tolist() == [b"benign", b"malignant"]


def test_a_classifier_is_restored_from_its_folder(tmp_path, classifier):
    np.save(tmp_path / "scale.npy", np.array([2.0, 0.0, 0.5]))
    (tmp_path / "baseline_cnn").mkdir()
    weights.save(classifier.get_weights(), tmp_path / "baseline_cnn" / "best.npz")
    restored = classifier_export.restore_classifier(tmp_path, "baseline_cnn", shape=SHAPE, filters=4, units=4)
    features = np.random.default_rng(0).random((3, *SHAPE)).astype(np.float32)
    np.testing.assert_array_equal(restored(features), classifier(features))


def test_three_classes_are_exported_and_restored(tmp_path):
    architecture = map_networks.Architecture("linear", SHAPE, num_classes=3)
    network = map_networks.build_classifier(architecture, np.ones(3))
    np.save(tmp_path / "scale.npy", np.ones(3))
    (tmp_path / "baseline_linear").mkdir()
    weights.save(network.get_weights(), tmp_path / "baseline_linear" / "best.npz")
    restored = classifier_export.restore_classifier(
        tmp_path, "baseline_linear", shape=SHAPE, filters=4, units=4, num_classes=3
    )
    classes, shares = Classes.of(("glioma", "meningioma", "pituitary")), np.array([0.5, 0.3, 0.2])
    module, signatures = classifier_export.classifier(restored, classes, shares)
    tf.saved_model.save(module, str(tmp_path / "export"), signatures)
    features = np.random.default_rng(0).random((5, *SHAPE)).astype(np.float32)
    found = tf.saved_model.load(str(tmp_path / "export")).signatures["classify"](feature=tf.constant(features))
    np.testing.assert_allclose(found["probability"], network(features), rtol=1e-5)
    assert found["classes"].numpy().tolist() == [b"glioma", b"meningioma", b"pituitary"]
    np.testing.assert_array_equal(found["thresholds"], shares)
