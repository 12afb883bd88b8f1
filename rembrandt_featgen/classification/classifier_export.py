"""Trained classifiers from a run's folder, and the SavedModel that is exported of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.classification import map_networks
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import array_files
from rembrandt_featgen.measures import decisions
from rembrandt_featgen.nn import saved_models, weights


def restore_classifier(
    folder: Path, name: str, *, shape: tuple[int, int, int], filters: int, units: int, num_classes: int = 2
) -> tf.keras.Model:
    """A classifier of the stage train_classifiers, computing in float32.

    Args:
      folder: of the stage.
      name: arm and kind, such as "baseline_cnn".
      shape: (height, width, channels) of a feature.
      filters, units, num_classes: as for `map_networks.Architecture`.
    """
    kind = name.rpartition("_")[2]
    architecture = map_networks.Architecture(kind, shape, filters=filters, units=units, num_classes=num_classes)
    network = map_networks.build_classifier(architecture, array_files.read_own(folder / "scale.npy"))
    weights.load(network, folder / name / "best.npz")
    return network


def classifier(
    network: tf.keras.Model, classes: Classes, thresholds: np.ndarray | None = None
) -> tuple[tf.Module, dict]:
    """The classifier of features.

    Signature `classify`: feature [n, h, w, channels] float32 -> probability [n, classes] float32, columns by label;
    classes [classes] string, their names; thresholds [classes] float64, by which is decided: the class of the greatest
    probability divided by its threshold.

    Args:
      network: of `map_networks.build_classifier`.
      classes: of the run.
      thresholds: [classes]; None for the most probable class.
    """
    names = tf.constant(classes.names)
    by = tf.constant(decisions.even(classes.count) if thresholds is None else thresholds, tf.float64)

    @tf.function(input_signature=[tf.TensorSpec(network.input_shape, tf.float32, name="feature")])
    def classify(feature):
        return {"probability": network(feature, training=False), "classes": names, "thresholds": by}

    return saved_models.module_and_signatures(network.weights, classify=classify)
