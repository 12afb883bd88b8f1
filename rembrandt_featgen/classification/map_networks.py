"""Classifiers of features: the paper's CNN and linear one (3.3, 4.2.4)."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import tensorflow as tf

from rembrandt_featgen.nn import mixed_precision, replicated

KINDS = ("cnn", "linear")
_MOMENTUM = 0.9  # of batch norm: small cohorts have too few steps for Keras' 0.99 to settle


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What a classifier is built of.

    Attributes:
      kind: one of `KINDS`.
      shape: (height, width, channels) of a feature.
      filters: of the CNN's first convolution; the second has twice as many.
      units: of the CNN's first dense layer.
      precision: one of `mixed_precision.PRECISIONS`; the last layer computes in float32.
      num_classes: two or more.

    Raises:
      ValueError: for an unknown kind.
    """

    kind: str
    shape: tuple[int, int, int]
    filters: int = 64
    units: int = 128
    precision: str = "float32"
    num_classes: int = 2

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, received {self.kind!r}")


def build_blocks(architecture: Architecture) -> list[list[tf.keras.layers.Layer]]:
    """Layers from scaled features to logits, in the blocks between which manifold mixup mixes.

    Of two classes there is one logit, of the positive class; of more there is one for each.

    "cnn": two blocks of convolution, batch norm, ReLU and max pooling, and a head: dropout 0.5 before and after the
    first of two dense layers. "linear": one block, logistic regression on features averaged over a 3x3 grid (the paper
    says "downsampled").

    Returns:
      Blocks of layers that are not yet connected.
    """
    policy, layers = mixed_precision.policy(architecture.precision), tf.keras.layers
    logits = 1 if architecture.num_classes == 2 else architecture.num_classes
    logit = layers.Dense(logits, dtype="float32", name="logit")
    if architecture.kind == "linear":
        height, width, _ = architecture.shape
        pool = (-(-height // 3), -(-width // 3))  # "same": 3 cells of any side (2 of 4), and no edge left out
        return [[layers.AveragePooling2D(pool, padding="same"), layers.Flatten(), logit]]
    convolutions = [
        [
            layers.Conv2D(filters, 3, padding="same", use_bias=False, dtype=policy),
            replicated.BatchNormalization(momentum=_MOMENTUM, dtype=policy),
            layers.ReLU(dtype=policy),
            layers.MaxPooling2D(2, padding="same", dtype=policy),
        ]
        for filters in (architecture.filters, 2 * architecture.filters)
    ]
    head = [
        layers.Flatten(dtype=policy),
        replicated.Dropout(0.5, dtype=policy),
        layers.Dense(architecture.units, "relu", dtype=policy),
        replicated.Dropout(0.5, dtype=policy),
        logit,
    ]
    return [*convolutions, head]


def build_classifier(architecture: Architecture, scale: np.ndarray) -> tf.keras.Model:
    """Builds a classifier of unscaled features out of `build_blocks`.

    Args:
      architecture: what it is built of.
      scale: [channels] by which features are divided, from training patients; 0 marks a channel that never fires.

    Returns:
      Model from [batch, *shape] to the probability of each class, [batch, num_classes] float32. Its weights are those
      of the blocks' layers, in their order.
    """
    blocks = build_blocks(architecture)
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale, np.float32), where=np.asarray(scale) > 0)
    feature = tf.keras.Input(architecture.shape, name="feature")
    x = tf.keras.layers.Rescaling(inverse.astype(np.float32).tolist(), dtype="float32")(feature)
    for layer in itertools.chain(*blocks):
        x = layer(x)
    if architecture.num_classes == 2:
        positive = tf.keras.layers.Activation("sigmoid", dtype="float32", name="positive")(x)
        probability = tf.keras.layers.Concatenate(dtype="float32", name="probability")([1.0 - positive, positive])
    else:
        probability = tf.keras.layers.Softmax(dtype="float32", name="probability")(x)
    return tf.keras.Model(feature, probability, name=architecture.kind)


def for_training(network: tf.keras.Model) -> tuple[tf.keras.Model, str]:
    """What Keras can train of a classifier, and the loss of labels [batch] that it is trained with.

    Args:
      network: of `build_classifier`.

    Returns:
      Model, which shares the weights: of two classes to the probability of the positive one, [batch, 1], so that the
      loss is computed from its logit; of more the network itself. And the name of the loss.
    """
    if network.output_shape[-1] == 2:
        positive = network.get_layer("positive").output
        return tf.keras.Model(network.input, positive, name=network.name), "binary_crossentropy"
    return network, "sparse_categorical_crossentropy"
