"""Classifiers of grade from features: the paper's CNN and linear one (3.3, 4.2.4)."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from rembrandt_featgen.models import precision as precisions

KINDS = ("cnn", "linear")
_MOMENTUM = 0.9  # of batch norm: small cohorts have too few steps for Keras' 0.99 to settle


def build_classifier(
    kind: str, shape, scale: np.ndarray, filters: int = 64, units: int = 128, precision: str = "float32"
) -> tf.keras.Model:
    """Builds a classifier of unscaled features.

    "cnn": two blocks of convolution, batch norm, ReLU and max pooling; dropout 0.5 before and after the first of two
    dense layers. "linear": logistic regression on features averaged over a 3x3 grid (the paper says "downsampled").

    Args:
      kind: one of `KINDS`.
      shape: (height, width, channels) of a feature.
      scale: [channels] by which features are divided, from training patients; 0 marks a channel that never fires.
      filters: of the CNN's first convolution; the second has twice as many.
      units: of the CNN's first dense layer.
      precision: one of `precision.PRECISIONS`; the last layer computes in float32.

    Returns:
      Model from [batch, *shape] to the probability of HGG, [batch, 1] float32.

    Raises:
      ValueError: for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, received {kind!r}")
    policy = precisions.policy(precision)
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale, np.float32), where=np.asarray(scale) > 0)
    feature = tf.keras.Input(shape, name="feature")
    x = tf.keras.layers.Rescaling(inverse.astype(np.float32).tolist(), dtype="float32")(feature)
    if kind == "linear":
        pool = (max(shape[0] // 3, 1), max(shape[1] // 3, 1))
        x = tf.keras.layers.Flatten()(tf.keras.layers.AveragePooling2D(pool)(x))
    else:
        for width in (filters, 2 * filters):
            x = tf.keras.layers.Conv2D(width, 3, padding="same", use_bias=False, dtype=policy)(x)
            x = tf.keras.layers.BatchNormalization(momentum=_MOMENTUM, dtype=policy)(x)
            x = tf.keras.layers.MaxPooling2D(2, padding="same", dtype=policy)(tf.keras.layers.ReLU(dtype=policy)(x))
        x = tf.keras.layers.Dropout(0.5, dtype=policy)(tf.keras.layers.Flatten(dtype=policy)(x))
        x = tf.keras.layers.Dense(units, "relu", dtype=policy)(x)
        x = tf.keras.layers.Dropout(0.5, dtype=policy)(x)
    probability = tf.keras.layers.Dense(1, "sigmoid", dtype="float32", name="hgg")(x)
    return tf.keras.Model(feature, probability, name=kind)
