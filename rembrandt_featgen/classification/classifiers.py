"""Classifiers of grade from features: the paper's CNN and linear one (3.3, 4.2.4)."""

from __future__ import annotations

import itertools

import numpy as np
import tensorflow as tf

from rembrandt_featgen.nn import mixed_precision

KINDS = ("cnn", "linear")
_MOMENTUM = 0.9  # of batch norm: small cohorts have too few steps for Keras' 0.99 to settle


def build_blocks(
    kind: str, shape, filters: int = 64, units: int = 128, precision: str = "float32"
) -> list[list[tf.keras.layers.Layer]]:
    """Layers from scaled features to the logit of HGG, in the blocks between which manifold mixup may mix.

    "cnn": two blocks of convolution, batch norm, ReLU and max pooling, and a head: dropout 0.5 before and after the
    first of two dense layers. "linear": one block, logistic regression on features averaged over a 3x3 grid (the paper
    says "downsampled").

    Args:
      kind: one of `KINDS`.
      shape: (height, width, channels) of a feature.
      filters: of the CNN's first convolution; the second has twice as many.
      units: of the CNN's first dense layer.
      precision: one of `precision.PRECISIONS`; the last layer computes in float32.

    Returns:
      Blocks of layers that are not yet connected.

    Raises:
      ValueError: for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, received {kind!r}")
    policy, layers = mixed_precision.policy(precision), tf.keras.layers
    logit = layers.Dense(1, dtype="float32", name="logit")
    if kind == "linear":
        pool = (-(-shape[0] // 3), -(-shape[1] // 3))  # "same": 3 cells of any side (2 of 4), and no edge left out
        return [[layers.AveragePooling2D(pool, padding="same"), layers.Flatten(), logit]]
    convolutions = [
        [
            layers.Conv2D(width, 3, padding="same", use_bias=False, dtype=policy),
            layers.BatchNormalization(momentum=_MOMENTUM, dtype=policy),
            layers.ReLU(dtype=policy),
            layers.MaxPooling2D(2, padding="same", dtype=policy),
        ]
        for width in (filters, 2 * filters)
    ]
    head = [
        layers.Flatten(dtype=policy),
        layers.Dropout(0.5, dtype=policy),
        layers.Dense(units, "relu", dtype=policy),
        layers.Dropout(0.5, dtype=policy),
        logit,
    ]
    return [*convolutions, head]


def build_classifier(
    kind: str, shape, scale: np.ndarray, filters: int = 64, units: int = 128, precision: str = "float32"
) -> tf.keras.Model:
    """Builds a classifier of unscaled features out of `build_blocks`.

    Args:
      kind: one of `KINDS`.
      shape: (height, width, channels) of a feature.
      scale: [channels] by which features are divided, from training patients; 0 marks a channel that never fires.
      filters, units, precision: as for `build_blocks`.

    Returns:
      Model from [batch, *shape] to the probability of HGG, [batch, 1] float32. Its weights are those of the blocks'
      layers, in their order.

    Raises:
      ValueError: for an unknown kind.
    """
    blocks = build_blocks(kind, shape, filters, units, precision)
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale, np.float32), where=np.asarray(scale) > 0)
    feature = tf.keras.Input(shape, name="feature")
    x = tf.keras.layers.Rescaling(inverse.astype(np.float32).tolist(), dtype="float32")(feature)
    for layer in itertools.chain(*blocks):
        x = layer(x)
    probability = tf.keras.layers.Activation("sigmoid", dtype="float32", name="hgg")(x)
    return tf.keras.Model(feature, probability, name=kind)
