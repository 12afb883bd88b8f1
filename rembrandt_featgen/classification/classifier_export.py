"""Trained classifiers from a run's folder, and the SavedModel that is exported of one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.classification import classifiers
from rembrandt_featgen.nn import saved_models, weights


def restore_classifier(folder: Path, name: str, shape: tuple[int, int, int], config: Mapping) -> tf.keras.Model:
    """A classifier of the classify stage, computing in float32.

    Args:
      folder: run_dir/classifier.
      name: arm and kind, such as "baseline_cnn".
      shape: (height, width, channels) of a feature.
      config: its stage.json's config.
    """
    kind, scale = name.rpartition("_")[2], np.load(folder / "scale.npy")
    network = classifiers.build_classifier(kind, shape, scale, config["classifier_filters"], config["classifier_units"])
    weights.load(network, folder / name / "best.npz")
    return network


def classifier(network: tf.keras.Model, grades) -> tuple[tf.Module, dict]:
    """The classifier of features.

    Signature `classify`: feature [n, h, w, filters] float32 -> probability_hgg [n] float32, grades [2] string by label.
    """
    names = tf.constant(list(grades))

    @tf.function(input_signature=[tf.TensorSpec(network.input_shape, tf.float32, name="feature")])
    def classify(feature):
        return {"probability_hgg": network(feature, training=False)[:, 0], "grades": names}

    return saved_models.module_and_signatures(network.weights, classify=classify)
