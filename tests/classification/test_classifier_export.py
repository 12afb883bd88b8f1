import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.classification import classifier_export, classifiers

GRADES = ("LGG", "HGG")
SHAPE = (2, 2, 3)


@pytest.fixture(scope="module")
def classifier():
    """A narrow CNN."""
    tf.keras.utils.set_random_seed(2)
    return classifiers.build_classifier("cnn", SHAPE, np.array([2.0, 0.0, 0.5]), 4, 4)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, classifier):
    """What `tf.saved_model.load` gives of the classifier as the export stage saves it."""
    path = str(tmp_path_factory.mktemp("export") / "classifier")
    module, signatures = classifier_export.classifier(classifier, GRADES)
    tf.saved_model.save(module, path, signatures)
    return tf.saved_model.load(path)


def test_signatures(loaded):
    assert set(loaded.signatures) == {"classify", "serving_default"}


def test_default_signature_names_inputs_and_outputs(loaded):
    signature = loaded.signatures["serving_default"]
    inputs = {key: spec.shape.as_list() for key, spec in signature.structured_input_signature[1].items()}
    assert inputs == {"feature": [None, *SHAPE]}
    outputs = {key: spec.dtype.name for key, spec in signature.structured_outputs.items()}
    assert outputs == {"probability_hgg": "float32", "grades": "string"}


@pytest.mark.parametrize("count", [1, 7])
def test_classifier_equals_live_network(loaded, classifier, count):
    features = np.random.default_rng(0).random((count, *SHAPE)).astype(np.float32)
    found = loaded.signatures["classify"](feature=tf.constant(features))
    assert found["probability_hgg"].shape == (count,)
    np.testing.assert_allclose(found["probability_hgg"], classifier(features)[:, 0], rtol=1e-5)
    assert found["grades"].numpy().tolist() == [b"LGG", b"HGG"]
