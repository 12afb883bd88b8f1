"""A trained classifier of vectors with its preparation, as one SavedModel that TensorFlow alone can load."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from rembrandt_featgen.classification.classifier_kinds import Model
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.features.vector_preparation import VectorPreparation
from rembrandt_featgen.nn import saved_models


@dataclasses.dataclass(frozen=True, eq=False)
class VectorPipeline:
    """All that stands between a vector, as a file has it, and a decision.

    Attributes:
      preparation: imputes, standardises, turns.
      model: the classifier of what that makes.
      correction: [classes] by which probabilities are multiplied, and then made to sum to 1: from the balance of
        classes that the classifier was trained on to that of the real samples.
      thresholds: [classes] by which `decisions.decide` decides.
    """

    preparation: VectorPreparation
    model: Model
    correction: np.ndarray
    thresholds: np.ndarray

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """[n, classes] float64 of vectors [n, d], NaN where missing."""
        p = self.model.probabilities(self.preparation.apply(values)) * self.correction
        return p / p.sum(1, keepdims=True)


def exported(pipeline: VectorPipeline, classes: Classes, names: tuple[str, ...]) -> tuple[tf.Module, dict]:
    """The pipeline as a module and its signatures, computing in float64.

    Signature `classify`: feature [n, d] float32, NaN where missing, in the order of `columns` -> probability
    [n, classes] float64 at the class frequencies of training; decision [n] int64, a label; and as constants classes
    [classes] string, thresholds [classes] float64 and columns [d] string. A patient of several samples is decided for
    by the geometric mean of their probabilities.

    Args:
      pipeline: to export.
      classes: of the study.
      names: of the d columns.
    """
    prepared, arrays = pipeline.preparation, pipeline.model.arrays
    inverse = np.divide(1.0, prepared.deviation, out=np.zeros_like(prepared.deviation), where=prepared.deviation > 0)
    kept = {"median": prepared.median, "mean": prepared.mean, "inverse": inverse, **arrays}
    if prepared.axes is not None:
        kept["axes"] = prepared.axes
    # whole numbers stay such: a number of neighbours is a shape
    weights = {
        name: tf.Variable(array if array.dtype.kind in "iu" else array.astype(np.float64), trainable=False, name=name)
        for name, array in kept.items()
    }
    logits = LOGITS[pipeline.model.classifier]
    correction, thresholds = tf.constant(pipeline.correction), tf.constant(pipeline.thresholds, tf.float64)
    constants = {
        "classes": tf.constant(classes.names),
        "thresholds": thresholds,
        "columns": tf.constant(list(names)),
    }

    @tf.function(input_signature=[tf.TensorSpec([None, len(names)], tf.float32, name="feature")])
    def classify(feature):
        values = tf.cast(feature, tf.float64)
        values = (tf.where(tf.math.is_nan(values), weights["median"], values) - weights["mean"]) * weights["inverse"]
        if "axes" in weights:
            values = tf.matmul(values, weights["axes"])
        values = tf.cast(tf.cast(values, tf.float32), tf.float64)  # as classifiers were trained
        p = tf.nn.softmax(logits(weights, values)) * correction
        p /= tf.reduce_sum(p, 1, keepdims=True)
        return {"probability": p, "decision": _decided(p, thresholds), **constants}

    return saved_models.module_and_signatures(list(weights.values()), classify=classify)


def _decided(p, thresholds):
    """`decisions.decide`."""
    if p.shape[1] == 2:
        return tf.cast(p[:, 1] > thresholds[1], tf.int64)
    return tf.argmax(tf.where(thresholds > 0, tf.math.divide_no_nan(p, thresholds), -1.0), 1)


def _ridge(weights, values):
    return tf.matmul(values, weights["kernel"]) + weights["bias"]


def _mlp(weights, values):
    hidden = tf.nn.relu(tf.matmul(values, weights["hidden_kernel"]) + weights["hidden_bias"])
    return tf.matmul(hidden, weights["kernel"]) + weights["bias"]


def _neighbours(weights, values):
    samples = weights["samples"]
    distances = tf.reduce_sum(samples**2, 1) - 2.0 * tf.matmul(values, samples, transpose_b=True)
    nearest = tf.argsort(distances, 1, stable=True)[:, : weights["count"]]
    return tf.math.log(tf.reduce_sum(tf.gather(weights["votes"], nearest), 1) + 1.0)


# By the name of the classifier, what `CLASSIFIER_KINDS` computes with numpy: (arrays, values [n, d]) to logits.
LOGITS = {"ridge": _ridge, "mlp": _mlp, "neighbours": _neighbours}
