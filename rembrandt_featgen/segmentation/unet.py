"""The paper's U-Net, computed by TensorLayer layers and driven as a Keras model.

TensorLayer is end-of-life: this module alone imports it, and `tensorlayer_files.py` knows its files.
"""

from __future__ import annotations

import math

import tensorflow as tf

from rembrandt_featgen.nn import convolutions, mixed_precision

try:
    import tensorlayer as tl
except ImportError as error:  # TensorLayer imports cv2 and matplotlib without declaring them
    raise ImportError(
        f"tensorlayer cannot be imported ({error}); install this package with its pinned versions"
    ) from error

tl.logging.set_verbosity(tl.logging.WARN)

ENCODER_TAPS = ("conv1", "conv2", "conv3", "conv4", "conv5")
DECODER_TAPS = ("uconv4", "uconv3", "uconv2", "uconv1")
TAPS = ENCODER_TAPS + DECODER_TAPS
INITIALIZERS = ("he", "tensorlayer")
_PACKAGE = "rembrandt_featgen"  # under which Keras finds the layers of saved models


class _Unrecorded:
    """Keeps a TensorLayer layer from walking the interpreter's stack for a description that only its own files hold."""

    def _get_init_args(self, skip=3):
        return {}


class _Conv2d(_Unrecorded, tl.layers.Conv2d):
    def forward(self, inputs):
        """What TensorLayer computes, with gradients that are faster on a CPU."""
        outputs = tf.nn.bias_add(convolutions.conv2d(inputs, self.W), self.b)
        return self.act(outputs) if self.act else outputs


class _DeConv2d(_Unrecorded, tl.layers.DeConv2d):
    def forward(self, inputs):
        """The same, of the Keras layer that TensorLayer keeps."""
        return tf.nn.bias_add(convolutions.conv2d_transpose(inputs, self.layer.kernel), self.layer.bias)


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class TruncatedNormal(tf.keras.initializers.Initializer):
    """TensorLayer's truncated normal, which Keras can save; it takes the global seed.

    Args:
      stddev: of the normal distribution that is cut at two deviations.
    """

    def __init__(self, stddev: float = 0.02):
        self._stddev = stddev

    def __call__(self, shape, dtype=tf.float32, **kwargs):
        """A tensor of that shape."""
        return tl.initializers.truncated_normal(stddev=self._stddev)(shape, dtype=dtype)

    def get_config(self) -> dict:
        """What makes another one like it."""
        return {"stddev": self._stddev}


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class TensorLayerConv(tf.keras.layers.Layer):
    """A Keras layer that computes with a TensorLayer convolution or deconvolution.

    The weights are Keras variables that the TensorLayer layer reads, so that `fit`, checkpoints, `tf.distribute` and
    SavedModel see them, and Keras dtype policies, which TensorLayer ignores, hold for them.

    Args:
      filters: number of output channels.
      size: kernel height and width.
      activation: name of a function of `tf.nn`, such as "relu"; None for none.
      transpose: deconvolution of stride 2 (its kernel is (height, width, out, in)) instead of convolution of stride 1.
      kernel_initializer, bias_initializer: of Keras' kind.
    """

    def __init__(
        self,
        filters: int,
        size: int,
        *,
        activation: str | None,
        kernel_initializer,
        bias_initializer,
        transpose: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._settings = {"filters": filters, "size": size, "activation": activation, "transpose": transpose}
        self._initializers = {
            "kernel_initializer": tf.keras.initializers.get(kernel_initializer),
            "bias_initializer": tf.keras.initializers.get(bias_initializer),
        }
        self._layer = (_DeConv2d if transpose else _Conv2d)(
            n_filter=filters,
            filter_size=(size, size),
            strides=(2, 2) if transpose else (1, 1),
            act=getattr(tf.nn, activation) if activation else None,
            padding="SAME",
            W_init=self._initializers["kernel_initializer"],
            b_init=self._initializers["bias_initializer"],
            name=self.name,
        )

    def get_config(self) -> dict:
        """What makes another one like it, so that Keras can save and clone it."""
        initializers = {name: tf.keras.initializers.serialize(one) for name, one in self._initializers.items()}
        return {**super().get_config(), **self._settings, **initializers}

    def build(self, input_shape):
        """Builds the TensorLayer layer with variables that this Keras layer owns."""

        def add_weight(var_name, shape, init, trainable=True):
            return self.add_weight(name=var_name, shape=shape, initializer=init, trainable=trainable)

        self._layer._get_weights = add_weight
        with mixed_precision.policy_scope(self._dtype_policy):
            self._layer.build([1, 1, 1, input_shape[-1]])
        if hasattr(self._layer, "layer"):  # DeConv2d keeps a Keras layer: track it
            self._deconvolution = self._layer.layer
        super().build(input_shape)

    def call(self, inputs):
        """[batch, height, width, in] to [batch, height, width, filters], or twice the size when transposed."""
        return self._layer.forward(inputs)


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class TensorLayerPool(tf.keras.layers.Layer):
    """A Keras layer that computes with TensorLayer's max pooling: half the height and width."""

    def call(self, inputs):
        """[batch, height, width, channels] to [batch, ceil(height / 2), ceil(width / 2), channels]."""
        return tl.layers.MaxPool2d((2, 2), (2, 2), padding="SAME").forward(inputs)


def build_unet(
    channels: int = 1,
    width: int = 64,
    *,
    initializer: str = "he",
    prior: float | None = None,
    precision: str = "float32",
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

    Returns:
      Model from [batch, height, width, channels] (height and width multiples of 16) to the tumour's probability
      [batch, height, width, 1], float32.

    Raises:
      ValueError: for an unknown initializer or a prior outside (0, 1).
    """
    if initializer not in INITIALIZERS:
        raise ValueError(f"initializer must be one of {', '.join(INITIALIZERS)}, received {initializer!r}")
    if prior is not None and not 0.0 < prior < 1.0:
        raise ValueError(f"prior must be inside (0, 1), received {prior}")
    policy = mixed_precision.policy(precision)

    def kernel():
        # Keras takes a deconvolution's OUTPUT channels for its fan-in; as these are half of its inputs, of which a
        # stride-2 kernel reads a quarter, and no ReLU follows, "he" is variance-preserving there, too.
        return tf.keras.initializers.HeNormal() if initializer == "he" else TruncatedNormal(stddev=0.02)

    def conv(x, filters, name, *, size=3, activation="relu", bias=0.0, dtype=policy, transpose=False):
        layer = TensorLayerConv(
            filters,
            size,
            activation=activation,
            kernel_initializer=kernel(),
            bias_initializer=tf.keras.initializers.Constant(bias),
            transpose=transpose,
            name=name,
            dtype=dtype,
        )
        return layer(x)

    image = tf.keras.Input((None, None, channels), name="image")
    x, skips = image, []
    for level in range(1, 6):
        filters = width * 2 ** (level - 1)
        x = conv(x, filters, f"conv{level}_1")
        x = conv(x, filters, f"conv{level}_2")
        if level < 5:
            skips.append(x)
            x = TensorLayerPool(name=f"pool{level}", dtype=policy)(x)
    for level in range(4, 0, -1):
        filters = width * 2 ** (level - 1)
        x = conv(x, filters, f"deconv{level}", activation=None, transpose=True)
        x = tf.keras.layers.Concatenate(name=f"concat{level}", dtype=policy)([x, skips[level - 1]])
        x = conv(x, filters, f"uconv{level}_1")
        x = conv(x, filters, f"uconv{level}_2")
    bias = 0.0 if prior is None else math.log(prior / (1.0 - prior))
    tumour = conv(x, 1, "uconv1", size=1, activation="sigmoid", bias=bias, dtype="float32")
    return tf.keras.Model(image, tumour, name="unet")


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
    if tap not in TAPS:
        raise ValueError(f"tap must be one of {', '.join(TAPS)}, received {tap!r}")
    features = unet.get_layer(f"{tap}_2").output
    features = tf.keras.layers.Activation("linear", dtype="float32", name="features")(features)
    return tf.keras.Model(unet.input, features, name=f"unet_{tap}")
