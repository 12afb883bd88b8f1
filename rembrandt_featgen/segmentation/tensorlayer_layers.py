"""Keras layers that compute with TensorLayer's: convolution, deconvolution, pooling, and norms with their ReLU.

TensorLayer is end-of-life: this module alone imports it, and `tensorlayer_files.py` knows its files.
"""

from __future__ import annotations

import tensorflow as tf

from rembrandt_featgen.nn import convolutions, distribution, fused_norms, mixed_precision

try:
    # Some of its functions, none of which is called here, have a tensor or an optimizer as the default of an argument.
    # Made eagerly, these would have TensorFlow begin, after which it takes neither other hosts nor virtual devices.
    with tf.Graph().as_default():
        import tensorlayer as tl
except ImportError as error:  # TensorLayer imports cv2 and matplotlib without declaring them
    raise ImportError(
        f"tensorlayer cannot be imported ({error}); install this package with its pinned versions"
    ) from error

tl.logging.set_verbosity(tl.logging.WARN)

NORMS = ("batch", "instance")
_PACKAGE = "rembrandt_featgen"  # under which Keras finds the layers of saved models
# Moving averages: each replica of `tf.distribute` has its own, and what is read is their mean.
_OF_REPLICAS = {"synchronization": tf.VariableSynchronization.ON_READ, "aggregation": tf.VariableAggregation.MEAN}


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


class _MaxPool2d(_Unrecorded, tl.layers.MaxPool2d):
    pass


class _BatchNorm(_Unrecorded, tl.layers.BatchNorm):
    def forward(self, inputs, training):
        """TensorLayer's own puts a graph's tensor in the place of a moving average, and sums in bfloat16."""
        affine = {"scale": self.gamma, "offset": self.beta, "epsilon": self.epsilon}
        if not training:
            return fused_norms.known_norm_relu(inputs, mean=self.moving_mean, variance=self.moving_var, **affine)
        if distribution.replicas() > 1:
            outputs, mean, variance = fused_norms.global_batch_norm_relu(inputs, about=self.moving_mean, **affine)
        else:
            outputs, mean, variance = fused_norms.batch_norm_relu(inputs, **affine)
        for average, now in ((self.moving_mean, mean), (self.moving_var, variance)):
            average.assign_sub((average - now) * (1.0 - self.decay))
        return outputs


class _InstanceNorm(_Unrecorded, tl.layers.InstanceNorm2d):
    def forward(self, inputs, training):
        """TensorLayer's own fails for more than one slice, whose means it lays out as one's; and sums in bfloat16."""
        scale, offset = (tf.reshape(weight, [-1]) for weight in (self.gamma, self.beta))
        return fused_norms.instance_norm_relu(inputs, scale=scale, offset=offset, epsilon=self.epsilon)


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
      bias_trains: whether the bias is trained; before a norm, which takes it out again, it need not be.
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
        bias_trains: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._settings = {
            "filters": filters,
            "size": size,
            "activation": activation,
            "transpose": transpose,
            "bias_trains": bias_trains,
        }
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

        def add_weight(var_name, shape, init):
            trainable = self._settings["bias_trains"] or var_name != "biases"
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

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._layer = _MaxPool2d((2, 2), (2, 2), padding="SAME", name=self.name)

    def call(self, inputs):
        """[batch, height, width, channels] to [batch, ceil(height / 2), ceil(width / 2), channels]."""
        return self._layer.forward(inputs)


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class TensorLayerNorm(tf.keras.layers.Layer):
    """A Keras layer of a TensorLayer norm and ReLU, whose statistics and weights are float32 under every policy.

    TensorLayer's layers hold settings and weights, and `fused_norms` computes; see `_BatchNorm` and `_InstanceNorm`.

    Args:
      kind: one of `NORMS`. "batch" takes mean and variance of the batch (in `tf.distribute`, of the global one) to
        train, and moving averages of these for all else; "instance" those of each slice, always.
    """

    def __init__(self, kind: str, **kwargs):
        super().__init__(**kwargs)
        self._kind = kind
        settings = {"beta_init": "zeros", "gamma_init": "ones", "name": self.name}
        if kind == "batch":  # a variance of 1 before it is known, where TensorLayer has 0
            self._layer = _BatchNorm(moving_mean_init="zeros", moving_var_init="ones", **settings)
        else:
            self._layer = _InstanceNorm(**settings)

    def get_config(self) -> dict:
        """What makes another one like it, so that Keras can save and clone it."""
        return {**super().get_config(), "kind": self._kind}

    def build(self, input_shape):
        """Builds the TensorLayer layer with variables that this Keras layer owns."""

        def add_weight(var_name, shape, init, trainable=True):
            averaged = {} if trainable else _OF_REPLICAS
            return self.add_weight(
                name=var_name,
                shape=shape,
                initializer=init,
                trainable=trainable,
                dtype=tf.float32,
                experimental_autocast=False,
                **averaged,
            )

        self._layer._get_weights = add_weight
        self._layer.build([1, 1, 1, input_shape[-1]])
        super().build(input_shape)

    def call(self, inputs, training=None):
        """[batch, height, width, channels], of which it makes the same shape and type."""
        return self._layer.forward(inputs, training)
