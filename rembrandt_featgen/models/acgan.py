"""The auxiliary-classifier GAN (ACGAN) that generates U-Net features conditioned on the grade: paper 3.2 and 4.2.

Inside, features are divided by a scale for each channel, the root mean square over training features, so that they are
of order one; they stay sparse and non-negative as ReLU made them, and the generator ends in a ReLU, whose range they
have. (The origin's tanh generator cannot produce unbounded features, nor exact zeros.)
"""

from __future__ import annotations

import warnings

import numpy as np
import tensorflow as tf

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # a page on its end of life, at each start
    import tensorflow_addons as tfa

from rembrandt_featgen.models import losses
from rembrandt_featgen.models import precision as precisions

CLASSES = 2
_MOMENTUM = 0.9  # of batch norm: small cohorts have too few steps for Keras' 0.99 to settle
_INIT = tf.keras.initializers.RandomNormal  # of deviation 0.02, as in the implementation that the paper followed


def build_generator(shape, filters: int = 512, latent: int = 100, precision: str = "float32") -> tf.keras.Model:
    """Builds G: three hidden layers, a dense one and two deconvolutions, each with batch norm and ReLU.

    Args:
      shape: (height, width, channels) of a feature.
      filters: ngf, the paper's 64, 256 or 512 (4.2.1).
      latent: length of the noise vector.
      precision: one of `precision.PRECISIONS`.

    Returns:
      Model from noise [batch, latent] and labels [batch] int to scaled features [batch, *shape] >= 0, float32.
    """
    height, width, channels = shape
    policy = precisions.policy(precision)
    rows, columns = -(-height // 4), -(-width // 4)  # two doublings reach or pass the feature's size

    def activate(x):
        return tf.keras.layers.ReLU(dtype=policy)(
            tf.keras.layers.BatchNormalization(momentum=_MOMENTUM, dtype=policy)(x)
        )

    noise = tf.keras.Input((latent,), name="noise")
    labels = tf.keras.Input((), dtype=tf.int32, name="label")
    one_hot = tf.keras.layers.CategoryEncoding(CLASSES, output_mode="one_hot")(labels)
    x = tf.keras.layers.Concatenate(dtype=policy)([noise, one_hot])
    x = tf.keras.layers.Dense(
        rows * columns * filters, use_bias=False, kernel_initializer=_INIT(0.0, 0.02), dtype=policy
    )(x)
    x = activate(tf.keras.layers.Reshape((rows, columns, filters), dtype=policy)(x))
    for _ in range(2):  # rows x columns -> twice -> four times
        deconvolution = tf.keras.layers.Conv2DTranspose(
            filters, 4, 2, "same", use_bias=False, kernel_initializer=_INIT(0.0, 0.02), dtype=policy
        )
        x = activate(deconvolution(x))
    x = tf.keras.layers.Cropping2D(((0, 4 * rows - height), (0, 4 * columns - width)), dtype=policy)(x)
    x = tf.keras.layers.Conv2D(channels, 3, padding="same", kernel_initializer=_INIT(0.0, 0.02), dtype=policy)(x)
    return tf.keras.Model([noise, labels], tf.keras.layers.ReLU(dtype="float32")(x), name="generator")


def build_discriminator(shape, filters: int = 512, precision: str = "float32") -> tf.keras.Model:
    """Builds D: three hidden convolutions of stride 2 with leaky ReLU, and two heads.

    The convolutions are spectrally normalised (Miyato et al. 2018): small cohorts let D win at once without it.

    Args:
      shape: (height, width, channels) of a feature.
      filters: ndf, the paper's 64, 256 or 512 (4.2.1).
      precision: one of `precision.PRECISIONS`.

    Returns:
      Model from scaled features [batch, *shape] to logits of "real" [batch, 1] and of the class [batch, 2], float32.
    """
    policy = precisions.policy(precision)
    x = feature = tf.keras.Input(shape, name="feature")
    for _ in range(3):
        convolution = tf.keras.layers.Conv2D(filters, 3, 2, "same", kernel_initializer=_INIT(0.0, 0.02), dtype=policy)
        # float32: the wrapper writes the normalised kernel back, which would round the variable in half precision
        x = tfa.layers.SpectralNormalization(convolution, dtype="float32")(x)
        x = tf.keras.layers.LeakyReLU(0.2, dtype=policy)(x)
        x = tf.keras.layers.Dropout(0.25, dtype=policy)(x)
    x = tf.keras.layers.Flatten(dtype=policy)(x)
    source = tf.keras.layers.Dense(1, name="source", dtype="float32")(x)
    grade = tf.keras.layers.Dense(CLASSES, name="grade", dtype="float32")(x)
    return tf.keras.Model(feature, [source, grade], name="discriminator")


class ACGAN(tf.keras.Model):
    """G and D with the paper's training step; a Keras model only because `fit` needs one.

    Args:
      generator, discriminator: as built above.
      scale: [channels] root mean square of the training features; 0 marks a channel that never fires.
      seed: of the noise, which is a function of it and of the step.
    """

    def __init__(self, generator: tf.keras.Model, discriminator: tf.keras.Model, scale: np.ndarray, seed: int = 0):
        super().__init__(name="acgan")
        self.generator, self.discriminator = generator, discriminator
        self.latent = generator.input_shape[0][-1]
        self._scale = tf.constant(scale, tf.float32)
        self._inverse = tf.math.divide_no_nan(1.0, self._scale)
        self._seed = seed
        self.build((None, *discriminator.input_shape[1:]))

    def compile(self, generator_optimizer, discriminator_optimizer, precision: str = "float32"):
        """Takes one optimizer each; both are wrapped for loss scaling in float16."""
        super().compile()
        self.g_optimizer = precisions.scaled(generator_optimizer, precision)
        self.d_optimizer = precisions.scaled(discriminator_optimizer, precision)
        names = ("d_loss", "g_loss", "real_class_accuracy", "fake_class_accuracy", "real_source", "fake_source")
        self._means = {name: tf.keras.metrics.Mean(name) for name in names}

    @property
    def weights(self):
        """Those of both networks, without the counters of the metrics."""
        return self.generator.weights + self.discriminator.weights

    @property
    def metrics(self):
        """What `fit` resets at each epoch."""
        return list(self._means.values())

    def call(self, features, training=False):
        """D's logits (source, class) for unscaled features [batch, h, w, channels]."""
        return self.discriminator(features * self._inverse, training=training)

    def generate(self, noise: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Unscaled features [batch, h, w, channels] from noise [batch, latent] and labels [batch]."""
        return self.generator([noise, labels], training=False) * self._scale

    def train_step(self, data):
        """One step of D, which maximises L_S + L_C, then one of G, which maximises L_C - L_S (paper eqs. 1-2).

        G's source term is the usual non-saturating one: it maximises log P(real | fake).
        """
        features, labels = data
        real = features * self._inverse
        noise, fake_labels = self._draw(tf.shape(labels)[0])

        with tf.GradientTape() as g_tape:
            fake = self.generator([noise, fake_labels], training=True)
            with g_tape.stop_recording(), tf.GradientTape() as d_tape:
                real_source, real_class = self.discriminator(real, training=True)
                fake_source, fake_class = self.discriminator(fake, training=True)
                L_S = losses.source_term(real_source, real=True) + losses.source_term(fake_source, real=False)
                L_C = losses.class_term(labels, real_class) + losses.class_term(fake_labels, fake_class)
                d_loss = L_S + L_C
                d_scaled = _scale_loss(self.d_optimizer, d_loss)
            with g_tape.stop_recording():
                _apply(self.d_optimizer, d_tape, d_scaled, self.discriminator.trainable_variables)
            g_source, g_class = self.discriminator(fake, training=True)
            g_loss = losses.source_term(g_source, real=True) + losses.class_term(fake_labels, g_class)
            g_scaled = _scale_loss(self.g_optimizer, g_loss)
        _apply(self.g_optimizer, g_tape, g_scaled, self.generator.trainable_variables)

        self._means["d_loss"].update_state(d_loss)
        self._means["g_loss"].update_state(g_loss)
        self._means["real_class_accuracy"].update_state(_correct(labels, real_class))
        self._means["fake_class_accuracy"].update_state(_correct(fake_labels, fake_class))
        self._means["real_source"].update_state(tf.sigmoid(real_source))
        self._means["fake_source"].update_state(tf.sigmoid(fake_source))
        return {name: mean.result() for name, mean in self._means.items()}

    def test_step(self, data):
        """D's class accuracy on real features that it was not trained on."""
        features, labels = data
        _, real_class = self(features, training=False)
        self._means["real_class_accuracy"].update_state(_correct(labels, real_class))
        return {"real_class_accuracy": self._means["real_class_accuracy"].result()}

    def _draw(self, batch):
        """Noise N(0, 1) and class-balanced labels: functions of seed and step, so that a resumed run repeats."""
        seed = tf.stack([tf.cast(self._seed, tf.int64), self.d_optimizer.iterations])
        noise = tf.random.stateless_normal([batch, self.latent], seed)
        return noise, tf.random.experimental.stateless_shuffle(tf.range(batch) % CLASSES, seed)


def build_acgan(
    shape,
    scale,
    filters_generator: int = 512,
    filters_discriminator: int = 512,
    latent: int = 100,
    precision: str = "float32",
    seed: int = 0,
) -> ACGAN:
    """Builds both networks and the model around them; arguments as of the parts."""
    generator = build_generator(shape, filters_generator, latent, precision)
    return ACGAN(generator, build_discriminator(shape, filters_discriminator, precision), scale, seed)


def _scale_loss(optimizer, loss):
    is_scaled = isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer)
    return optimizer.get_scaled_loss(loss) if is_scaled else loss


def _apply(optimizer, tape, loss, variables):
    gradients = tape.gradient(loss, variables)
    if isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer):
        gradients = optimizer.get_unscaled_gradients(gradients)
    optimizer.apply_gradients(zip(gradients, variables))


def _correct(labels, logits):
    return tf.cast(tf.equal(tf.argmax(logits, -1, labels.dtype), labels), tf.float32)
