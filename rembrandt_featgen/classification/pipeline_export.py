"""A trained classifier of vectors or maps with its preparation, as one SavedModel that TensorFlow alone can load."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import cast

import numpy as np
import tensorflow as tf

from rembrandt_featgen.classification import map_fitting, map_networks
from rembrandt_featgen.classification.classifier_kinds import CLASSIFIER_KINDS, Model
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.features import vector_preparation
from rembrandt_featgen.features.scaling import MapPreparation
from rembrandt_featgen.features.vector_preparation import VectorPreparation
from rembrandt_featgen.nn import saved_models


@dataclasses.dataclass(frozen=True, eq=False)
class FittedPipeline:
    """All that stands between a vector, as a file has it, or a map, as the U-Net makes it, and a decision.

    Attributes:
      preparation: of vectors imputes, standardises, turns; of maps scales channels.
      model: the classifier of what that makes.
      correction: [classes] by which probabilities are multiplied, and then made to sum to 1: from the balance of
        classes that the classifier was trained on to that of the real samples.
      thresholds: [classes] by which `decisions.decide` decides.
    """

    preparation: VectorPreparation | MapPreparation
    model: Model
    correction: np.ndarray
    thresholds: np.ndarray

    @property
    def is_of_maps(self) -> bool:
        """Whether it is of maps."""
        return CLASSIFIER_KINDS[self.model.classifier].of_maps

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """[n, classes] float64 of vectors [n, d], NaN where missing, or of maps [n, h, w, c]."""
        p = self.model.probabilities(self.preparation.apply(values)) * self.correction
        return p / p.sum(1, keepdims=True)


def exported(pipeline: FittedPipeline, classes: Classes, names: tuple[str, ...]) -> tuple[tf.Module, dict]:
    """The pipeline as a module and its signatures; of vectors it computes in float64.

    Signature `classify`: feature [n, d] float32, NaN where missing, in the order of `columns`, or [n, h, w, channels]
    -> probability [n, classes] float64 at the class frequencies of training; decision [n] int64, a label; and as
    constants classes [classes] string, thresholds [classes] float64 and columns [d] string. A patient of several
    samples is decided for by the geometric mean of their probabilities.

    Args:
      pipeline: to export.
      classes: of the study.
      names: of the d columns, or of the channels.
    """
    shape, weights, scores = _of_maps(pipeline) if pipeline.is_of_maps else _of_vectors(pipeline)
    correction, thresholds = tf.constant(pipeline.correction), tf.constant(pipeline.thresholds, tf.float64)
    constants = {
        "classes": tf.constant(classes.names),
        "thresholds": thresholds,
        "columns": tf.constant(list(names)),
    }

    @tf.function(input_signature=[tf.TensorSpec([None, *shape], tf.float32, name="feature")])
    def classify(feature):
        p = tf.cast(scores(feature), tf.float64) * correction
        p /= tf.reduce_sum(p, 1, keepdims=True)
        return {"probability": p, "decision": _decided(p, thresholds), **constants}

    return saved_models.module_and_signatures(weights, classify=classify)


def _of_vectors(pipeline: FittedPipeline) -> tuple[tuple[int, ...], list[tf.Variable], Callable]:
    """Shape of a sample, weights, and from vectors to the probabilities of the classifier."""
    prepared, arrays = cast(VectorPreparation, pipeline.preparation), pipeline.model.arrays
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

    def scores(feature):
        values = tf.cast(feature, tf.float64)
        values = (tf.where(tf.math.is_nan(values), weights["median"], values) - weights["mean"]) * weights["inverse"]
        values = tf.clip_by_value(values, -vector_preparation.FAR, vector_preparation.FAR)
        if "axes" in weights:
            values = tf.matmul(values, weights["axes"])
        values = tf.cast(tf.cast(values, tf.float32), tf.float64)  # as classifiers were trained
        return tf.nn.softmax(logits(weights, values))

    return (len(prepared.mean),), list(weights.values()), scores


def _of_maps(pipeline: FittedPipeline) -> tuple[tuple[int, ...], list[tf.Variable], Callable]:
    """As `_of_vectors`, of maps; the network computes in float32, whatever it was trained in."""
    arrays = pipeline.model.arrays
    architecture = dataclasses.replace(map_fitting.architecture_of(arrays), precision="float32")
    network = map_networks.build_classifier(architecture, cast(MapPreparation, pipeline.preparation).scale)
    network.set_weights(map_fitting.weights_of(arrays))
    return architecture.shape, network.weights, lambda feature: network(feature, training=False)


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


# Of classifiers of vectors, what `CLASSIFIER_KINDS` computes with numpy: (arrays, values [n, d]) to logits.
LOGITS = {"ridge": _ridge, "mlp": _mlp, "neighbours": _neighbours}
