import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.classification import classifier_kinds, pipeline_export
from rembrandt_featgen.classification.classifier_kinds import CLASSIFIER_KINDS
from rembrandt_featgen.classification.pipeline_export import FittedPipeline
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.features import scaling, vector_preparation
from rembrandt_featgen.measures import decisions
from tests.classification.vectors import Problem, samples


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("classifier", [name for name, kind in CLASSIFIER_KINDS.items() if not kind.of_maps])
def test_what_is_exported_is_what_was_trained(classifier, classes, tmp_path):
    features, labels = samples(60, 8, classes)
    features[::7, 3] = np.nan
    features[:, 5] = 2.0  # constant
    preparation = vector_preparation.fit(features[:40], components=4 if classes == 3 else 0)
    problem = Problem(preparation.apply(features[:40]), labels[:40], classes, mixing="input")
    kind = CLASSIFIER_KINDS[classifier]
    (model,) = classifier_kinds.train([problem], kind.settings(), strength=[kind.strengths[2]])
    names = tuple("abc"[:classes])
    pipeline = FittedPipeline(preparation, model, np.linspace(0.5, 2, classes), np.linspace(0.2, 0.8, classes))
    module, signatures = pipeline_export.exported(pipeline, Classes.of(names), tuple(f"x{n}" for n in range(8)))
    tf.saved_model.save(module, str(tmp_path), signatures)
    loaded = tf.saved_model.load(str(tmp_path)).signatures["classify"]
    made = loaded(feature=tf.constant(features[40:]))
    wanted = pipeline.probabilities(features[40:])
    np.testing.assert_allclose(made["probability"], wanted, atol=1e-6, rtol=0)
    assert made["probability"].dtype == tf.float64
    np.testing.assert_array_equal(made["decision"], decisions.decide(wanted, pipeline.thresholds))
    assert len(set(made["decision"].numpy())) == classes
    assert [name.decode() for name in made["classes"].numpy()] == list(names)
    assert made["columns"].numpy()[3] == b"x3"
    np.testing.assert_allclose(wanted.sum(1), 1.0)
    far = features[40:] + 1e6 * np.eye(8, dtype=np.float32)[0]
    made = loaded(feature=tf.constant(far))["probability"]
    np.testing.assert_allclose(made, pipeline.probabilities(far), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("classifier", "classes"), [("cnn", 3), ("linear", 2)])
def test_of_maps_too(classifier, classes, tmp_path):
    vectors, labels = samples(40, 64, classes)
    maps = np.maximum(vectors, 0).reshape(40, 4, 4, 4)
    preparation = scaling.fit(maps[:30])
    settings = CLASSIFIER_KINDS[classifier].settings(filters=4, units=8, epochs=4, learning_rate=1e-2)
    problem = Problem(preparation.apply(maps[:30]), labels[:30], classes)
    (model,) = classifier_kinds.train([problem], settings, strength=[1.0])
    pipeline = FittedPipeline(preparation, model, np.linspace(0.5, 2, classes), decisions.even(classes))
    module, signatures = pipeline_export.exported(pipeline, Classes.of("abc"[:classes]), ("w", "x", "y", "z"))
    tf.saved_model.save(module, str(tmp_path), signatures)
    made = tf.saved_model.load(str(tmp_path)).signatures["classify"](feature=tf.constant(maps))
    np.testing.assert_allclose(made["probability"], pipeline.probabilities(maps), atol=1e-6, rtol=0)
    assert np.std(made["probability"][:, 1]) > 1e-3
