"""The paper's U-Net, computed by TensorLayer layers and driven as a Keras model."""

from __future__ import annotations

import math

import tensorflow as tf

from rembrandt_featgen.nn import mixed_precision
from rembrandt_featgen.segmentation import tensorlayer_layers

ENCODER_TAPS = ("conv1", "conv2", "conv3", "conv4", "conv5")
DECODER_TAPS = ("uconv4", "uconv3", "uconv2", "uconv1")
TAPS = ENCODER_TAPS + DECODER_TAPS
INITIALIZERS = ("he", "tensorlayer")
NORMS = ("none", *tensorlayer_layers.NORMS)


def build_unet(
    channels: int = 1,
    width: int = 64,
    *,
    initializer: str = "he",
    prior: float | None = None,
    precision: str = "float32",
    norm: str = "none",
) -> tf.keras.Model:
    """Builds the U-Net of the paper's section 3.1 as a functional Keras model.

    Args:
      channels: input channels, 1 for FLAIR alone, 4 for BraTS.
      width: filters of the first block; the paper's 64 makes blocks of 64, 128, 256, 512 and 1024.
      initializer: "tensorlayer" is the reference implementation's truncated normal of deviation 0.02, whose signal dies
        out in networks narrower than the paper's; "he" keeps its variance at every width.
      prior: tumour's share of the training pixels, in (0, 1): the head starts by predicting it everywhere. None starts
        at 0.5, as the reference implementation does.
      precision: one of `mixed_precision.PRECISIONS`; the head computes in float32 always.
      norm: one of `NORMS`, what is between each 3 x 3 convolution and its ReLU: "none" is the paper's. With a norm, the
        layer conv5_2 is followed by conv5_2_norm, which is norm and ReLU, and the bias of conv5_2 is not trained.

    Returns:
      Model from [batch, height, width, channels] (height and width multiples of 16) to the tumour's probability
      [batch, height, width, 1], float32.

    Raises:
      ValueError: for an unknown initializer or norm, or a prior outside (0, 1).
    """
    if initializer not in INITIALIZERS:
        raise ValueError(f"initializer must be one of {', '.join(INITIALIZERS)}, received {initializer!r}")
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}, received {norm!r}")
    if prior is not None and not 0.0 < prior < 1.0:
        raise ValueError(f"prior must be inside (0, 1), received {prior}")
    policy = mixed_precision.policy(precision)

    def kernel():
        # Keras takes a deconvolution's OUTPUT channels for its fan-in; as these are half of its inputs, of which a
        # stride-2 kernel reads a quarter, and no ReLU follows, "he" is variance-preserving there, too.
        return tf.keras.initializers.HeNormal() if initializer == "he" else tensorlayer_layers.TruncatedNormal(0.02)

    def conv(x, filters, name, *, size=3, activation=None, bias=0.0, dtype=policy, **settings):
        layer = tensorlayer_layers.TensorLayerConv(
            filters,
            size,
            activation=activation,
            kernel_initializer=kernel(),
            bias_initializer=tf.keras.initializers.Constant(bias),
            name=name,
            dtype=dtype,
            **settings,
        )
        return layer(x)

    def block(x, filters, name):
        for layer in (f"{name}_1", f"{name}_2"):
            if norm == "none":
                x = conv(x, filters, layer, activation="relu")
            else:
                x = conv(x, filters, layer, bias_trains=False)
                x = tensorlayer_layers.TensorLayerNorm(norm, name=_norm_of(layer), dtype=policy)(x)
        return x

    image = tf.keras.Input((None, None, channels), name="image")
    x, skips = image, []
    for level in range(1, 6):
        filters = width * 2 ** (level - 1)
        x = block(x, filters, f"conv{level}")
        if level < 5:
            skips.append(x)
            x = tensorlayer_layers.TensorLayerPool(name=f"pool{level}", dtype=policy)(x)
    for level in range(4, 0, -1):
        filters = width * 2 ** (level - 1)
        x = conv(x, filters, f"deconv{level}", transpose=True)
        x = tf.keras.layers.Concatenate(name=f"concat{level}", dtype=policy)([x, skips[level - 1]])
        x = block(x, filters, f"uconv{level}")
    bias = 0.0 if prior is None else math.log(prior / (1.0 - prior))
    tumour = conv(x, 1, "uconv1", size=1, activation="sigmoid", bias=bias, dtype="float32")
    return tf.keras.Model(image, tumour, name="unet")


def layers_of(unet: tf.keras.Model, layer: str) -> list[tf.keras.layers.Layer]:
    """A convolution of the U-Net by its name, and what follows up to its ReLU: the norm where there is one."""
    names = {found.name for found in unet.layers}
    return [unet.get_layer(name) for name in (layer, _norm_of(layer)) if name in names]


def block_output(unet: tf.keras.Model, tap: str):
    """A block's last activation, after norm and ReLU: a symbolic tensor, of which a model can be made.

    Args:
      unet: what `build_unet` returned.
      tap: one of `TAPS`.

    Raises:
      ValueError: for an unknown tap.
    """
    if tap not in TAPS:
        raise ValueError(f"tap must be one of {', '.join(TAPS)}, received {tap!r}")
    return layers_of(unet, f"{tap}_2")[-1].output


def tap_model(unet: tf.keras.Model, tap: str) -> tf.keras.Model:
    """The part of `unet` that computes the features at `tap`, and nothing deeper.

    Args:
      unet: what `build_unet` returned; weights are shared with it.
      tap: one of `TAPS`; the block's last activation, after ReLU.

    Returns:
      Model from [batch, height, width, channels] to features, float32: [batch, height / 16, width / 16, 16 x width]
      at conv5 (15x15x1024 in the paper).

    Raises:
      ValueError: for an unknown tap.
    """
    to_float = tf.keras.layers.Activation("linear", dtype="float32", name="features")
    features = to_float(block_output(unet, tap))
    return tf.keras.Model(unet.input, features, name=f"unet_{tap}")


def _norm_of(layer):
    return f"{layer}_norm"
