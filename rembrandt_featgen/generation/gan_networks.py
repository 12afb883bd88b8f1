"""Generator and discriminator of U-Net features, of which `gan.build_gan` makes the kinds of GAN: paper 4.2.

They work on features divided by a scale for each channel, the root mean square over training features, so that they are
of order one; they stay sparse and non-negative as ReLU made them, and the generator ends in a ReLU, whose range they
have. (The reference implementation's tanh generator cannot produce unbounded features, nor exact zeros: for it, each
channel's range over training features is mapped onto -1 to 1.)

Networks of whole slices are deeper: each hidden layer but one doubles or halves the sides, so that the smallest is a
sixteenth of a slice (15 x 15 of 240, 6 x 6 of 96), as at the U-Net's 5th block, and filters halve as sides double, as
in DCGAN (Radford et al. 2016): with ngf = 64, at 240 x 240, they are 64, 32, 16, 8 and 4. Training at 240 x 240 in
batches of 16 took 1.8 GiB in all with 512 filters, 0.7 GiB with 64 (float32, two cores: 3.8 s and 0.7 s a step).
"""

from __future__ import annotations

import warnings

import tensorflow as tf

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # a page on its end of life, at each start
    import tensorflow_addons as tfa

from rembrandt_featgen.nn import convolutions, distribution, mixed_precision, replicated
from rembrandt_featgen.nn.map_dropout import MapDropout

# Name of the head of the auxiliary classifier. Keras orders D's weights by the names of its heads, and TensorFlow sums
# gradients in the order of the names of layers: another name that sorts elsewhere gives other last bits.
CLASS_HEAD = "label"
GENERATED_CLASS_HEAD = "generated_label"  # of an ADC-GAN: logits of "generated, of this class", beside the real ones
_MOMENTUM = 0.9  # of batch norm: small cohorts have too few steps for Keras' 0.99 to settle
_INIT = tf.keras.initializers.RandomNormal  # of deviation 0.02, as in the reference implementation
_LEAST_FILTERS = 4  # of a hidden layer of slices
_LEAST_DEVIATION = 0.05  # of a code by Q: a generator can make codes certain, and the bound would grow without end


class SpectralNormalization(tfa.layers.SpectralNormalization):
    """The wrapper of TensorFlow Addons, of which each replica normalises its own copy of the kernel, all alike."""

    def normalize_weights(self):
        """One step of the power iteration, then the kernel over its largest singular value."""
        if not distribution.in_strategy():
            super().normalize_weights()
            return
        w, u = tf.reshape(self.w, [-1, self.w_shape[-1]]), tf.convert_to_tensor(self.u)
        for _ in range(self.power_iterations):
            v = tf.math.l2_normalize(tf.matmul(u, w, transpose_b=True))
            u = tf.math.l2_normalize(tf.matmul(v, w))
        u, v = tf.stop_gradient(u), tf.stop_gradient(v)
        sigma = tf.matmul(tf.matmul(v, w), u, transpose_b=True)
        distribution.assign(self.u, u)
        distribution.assign(self.w, tf.reshape(w / sigma, self.w_shape))


def hidden_filters(filters: int, of_images: bool) -> list[int]:
    """Filters of the hidden layers, from the smallest map to the largest.

    Args:
      filters: ndf or ngf, of the smallest map.
      of_images: whether the networks are of slices: five layers, halving; else three, all alike (paper 4.2).
    """
    return [max(_LEAST_FILTERS, filters // 2**level) for level in range(5)] if of_images else [filters] * 3


def build_generator(
    shape: tuple[int, ...],
    filters: int = 512,
    latent: int = 100,
    *,
    num_classes: int,
    precision: str = "float32",
    of_images: bool = False,
    networks: str = "correct",
) -> tf.keras.Model:
    """Builds G: hidden layers, a dense one and two deconvolutions (of slices: four), with batch norm and ReLU.

    Args:
      shape: (height, width, channels) of a feature.
      filters: ngf, the paper's 64, 256 or 512 (4.2.1).
      latent: length of the noise vector, InfoGAN's codes included.
      num_classes: how many classes it is conditioned on.
      precision: one of `mixed_precision.PRECISIONS`.
      of_images: whether it is for slices, see `hidden_filters`.
      networks: one of `gan_spec.NETWORKS`: "reference" ends in tanh.

    Returns:
      Model from noise [batch, latent] and labels [batch] int to scaled features [batch, *shape], float32: from 0 on, or
      those of "reference" in (-1, 1).
    """
    height, width, channels = shape
    policy = mixed_precision.policy(precision)
    smallest, *larger = hidden_filters(filters, of_images)
    times = 2 ** len(larger)
    rows, columns = -(-height // times), -(-width // times)  # doublings reach or pass the feature's size

    def activate(x):
        return tf.keras.layers.ReLU(dtype=policy)(replicated.BatchNormalization(momentum=_MOMENTUM, dtype=policy)(x))

    noise = tf.keras.Input((latent,), name="noise")
    labels = tf.keras.Input((), dtype=tf.int32, name="label")
    one_hot = tf.keras.layers.CategoryEncoding(num_classes, output_mode="one_hot")(labels)
    x = tf.keras.layers.Concatenate(dtype=policy)([noise, one_hot])
    x = tf.keras.layers.Dense(
        rows * columns * smallest, use_bias=False, kernel_initializer=_INIT(0.0, 0.02), dtype=policy
    )(x)
    x = activate(tf.keras.layers.Reshape((rows, columns, smallest), dtype=policy)(x))
    for count in larger:  # rows x columns -> twice -> four times ...
        deconvolution = convolutions.Conv2DTranspose(
            count, 4, strides=2, padding="same", use_bias=False, kernel_initializer=_INIT(0.0, 0.02), dtype=policy
        )
        x = activate(deconvolution(x))
    x = tf.keras.layers.Cropping2D(((0, times * rows - height), (0, times * columns - width)), dtype=policy)(x)
    x = convolutions.Conv2D(channels, 3, padding="same", kernel_initializer=_INIT(0.0, 0.02), dtype=policy)(x)
    end = tf.keras.layers.Activation("tanh" if networks == "reference" else "relu", dtype="float32")
    return tf.keras.Model([noise, labels], end(x), name="generator")


def build_discriminator(
    shape: tuple[int, ...],
    filters: int = 512,
    *,
    num_classes: int,
    has_auxiliary_classifier: bool = True,
    is_projection_conditioned: bool = False,
    classifies_sources: bool = False,
    codes: int = 0,
    precision: str = "float32",
    minibatch_stddev: bool = False,
    of_images: bool = False,
    networks: str = "correct",
) -> tf.keras.Model:
    """Builds D: three hidden convolutions (of slices: five) of stride 2 with leaky ReLU, and linear heads on them.

    The convolutions are spectrally normalised (Miyato et al. 2018), with dropout: else D wins at once on small cohorts.

    Args:
      shape: (height, width, channels) of a feature.
      filters: ndf, the paper's 64, 256 or 512 (4.2.1).
      num_classes: how many classes there are.
      has_auxiliary_classifier: adds the head "label", which classifies (Odena et al. 2017).
      is_projection_conditioned: makes "source" conditional by projection (Miyato and Koyama 2018): the inner product of
        the hidden feature with a learnt vector of the class is added to the logit.
      classifies_sources: adds the head "generated_label": with "label" it is a classifier of 2 classes outputs, each
        class being real or generated (Hou et al. 2022).
      codes: adds the heads "code_mean" and "code_deviation", InfoGAN's Q, for so many codes.
      precision: one of `mixed_precision.PRECISIONS`.
      minibatch_stddev: whether "source" sees the deviations of the hidden features within the batch, too (Karras et al.
        2018). The other heads judge each feature for itself.
      of_images: whether it is for slices, see `hidden_filters`.
      networks: one of `gan_spec.NETWORKS`: "reference" has neither spectral normalisation nor dropout.

    Returns:
      Model from scaled features [batch, *shape] to a dictionary of float32: "source", logits of "real" [batch, 1], or
      [batch, classes] with projection conditioning, one under each class; "label", logits of the classes
      [batch, classes]; "generated_label", the same of generated samples; "code_mean" and "code_deviation",
      [batch, codes].
    """
    policy = mixed_precision.policy(precision)
    x = feature = tf.keras.Input(shape, name="feature")
    for count in reversed(hidden_filters(filters, of_images)):
        convolution = convolutions.Conv2D(
            count, 3, strides=2, padding="same", kernel_initializer=_INIT(0.0, 0.02), dtype=policy
        )
        if networks != "reference":
            # float32: the wrapper writes the normalised kernel back, which would round the variable in half precision
            convolution = SpectralNormalization(convolution, dtype="float32")
        x = tf.keras.layers.LeakyReLU(0.2, dtype=policy)(convolution(x))
        if networks != "reference":
            x = MapDropout(0.25, dtype=policy)(x)
    x = tf.keras.layers.Flatten(dtype=policy)(x)

    def head(name, units, hidden=x, **settings):
        return tf.keras.layers.Dense(units, name=name, dtype="float32", **settings)(hidden)

    stddev = tf.keras.layers.Lambda(_with_stddev, name="batch_stddev", dtype="float32")
    heads = {"source": head("source", 1, stddev(x) if minibatch_stddev else x)}
    if is_projection_conditioned:
        projection = head("projection", num_classes, use_bias=False)  # a column of the kernel is the vector of a class
        heads["source"] = tf.keras.layers.Add(dtype="float32")([heads["source"], projection])
    if has_auxiliary_classifier:
        heads[CLASS_HEAD] = head(CLASS_HEAD, num_classes)
    if classifies_sources:
        heads[GENERATED_CLASS_HEAD] = head(GENERATED_CLASS_HEAD, num_classes)
    if codes:
        heads["code_mean"] = head("code_mean", codes)
        heads["code_deviation"] = head("code_deviation", codes, activation=_deviation)
    return tf.keras.Model(feature, heads, name="discriminator")


def _with_stddev(x):
    """[batch, n] to [batch, 2 n]: beside each sample the deviations within the batch."""
    if distribution.replicas() == 1:
        variance = tf.math.reduce_variance(x, 0, keepdims=True)
    else:
        variance = distribution.variance(x)[tf.newaxis]
    # not 0: there the root has no gradient
    return tf.concat([x, tf.repeat(tf.sqrt(variance + 1e-6), tf.shape(x)[0], 0)], -1)


def _deviation(x):
    return tf.math.softplus(x) + _LEAST_DEVIATION
