"""Generators conditioned on the grade, all behind one interface; `models/gan_kinds.py` lists them.

What is called features below is slices where a kind is `of_images`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rembrandt_featgen.generation import gan_losses, gan_networks
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.generation.gan_networks import CLASSES, NETWORKS
from rembrandt_featgen.nn import mixed_precision

CLASS_LOSSES = {"correct": gan_losses.class_term, "reference": gan_losses.origin_class_term}


class Stabilisers(NamedTuple):
    """What training on a small cohort's features needs beside the paper's losses.

    Without them, G circles around what it should learn and ends anywhere on its way.

    Attributes:
      average: decay of the running average of G's weights, from which features are drawn (Yazici et al. 2019); 0 draws
        from G as the last step left it, as the paper does.
      flip: whether D sees real and generated features from left to right or from right to left, at random (Zhao et al.
        2020): it cannot then know the real ones by heart.
      batch_deviation: whether D's head "source" sees the deviations within the batch (Karras et al. 2018), which give
        away a G that makes the same feature again and again.
    """

    average: float = 0.999
    flip: bool = True
    batch_deviation: bool = True


STABILISERS = Stabilisers()


def build_gan(
    kind: str,
    shape,
    scale,
    filters_generator: int = 512,
    filters_discriminator: int = 512,
    latent: int = 100,
    codes: int = 2,
    information_weight: float = 1.0,
    class_loss: str = "correct",
    precision: str = "float32",
    seed: int = 0,
    stabilisers: Stabilisers = STABILISERS,
    lowest: np.ndarray | float = 0.0,
    networks: str = "correct",
) -> GAN:
    """Builds both networks of a kind and the model around them.

    Args:
      kind: one of `KINDS`.
      shape: (height, width, channels) of a feature.
      scale, information_weight, class_loss, seed, stabilisers, lowest: as for `GAN`.
      filters_generator, filters_discriminator: ngf and ndf.
      latent: length of the noise vector, without codes.
      codes: continuous codes of "infogan", appended to the noise.
      precision: one of `precision.PRECISIONS`.
      networks: one of `gan_networks.NETWORKS`; the origin's need `scaling.range_of` for scale and lowest.

    Raises:
      ValueError: for an unknown kind, networks or class loss.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, received {kind!r}")
    if networks not in NETWORKS:
        raise ValueError(f"networks must be one of {', '.join(NETWORKS)}, received {networks!r}")
    tells_grade, is_told_grade, has_codes, of_images = KINDS[kind]
    codes = codes if has_codes else 0
    generator = gan_networks.build_generator(shape, filters_generator, latent + codes, precision, of_images, networks)
    discriminator = gan_networks.build_discriminator(
        *(shape, filters_discriminator, tells_grade, is_told_grade, codes, precision),
        *(stabilisers.batch_deviation, of_images, networks),
    )
    return GAN(generator, discriminator, scale, information_weight, class_loss, seed, stabilisers, lowest)


class GAN(tf.keras.Model):
    """G and D with the one training step of all kinds; a Keras model only because `fit` needs one.

    Args:
      generator, discriminator: as of `gan_networks`; D's heads say which terms the losses have.
      scale: [channels] root mean square of the training features, 0 for a channel that never fires; for the origin's
        networks half of each channel's range, 0 for one that is constant.
      information_weight: InfoGAN's lambda, the weight of L_I.
      class_loss: one of `CLASS_LOSSES`.
      seed: of noise and flips, which are functions of it and of the step.
      stabilisers: D must have been built with the same `batch_deviation`.
      lowest: [channels] that is taken off before scaling: 0 for features after ReLU, the background of slices; for the
        origin's networks the middle of each channel's range.

    Attributes:
      averaged: what features are drawn from: the running average of G, or G itself.
      latent: length of the noise vector, codes included.
      codes: how many of its last entries are codes.
      confirms: whether D has an opinion on the grade of a feature.
    """

    def __init__(
        self,
        generator: tf.keras.Model,
        discriminator: tf.keras.Model,
        scale: np.ndarray,
        information_weight: float = 1.0,
        class_loss: str = "correct",
        seed: int = 0,
        stabilisers: Stabilisers = STABILISERS,
        lowest: np.ndarray | float = 0.0,
    ):
        super().__init__(name="gan")
        if class_loss not in CLASS_LOSSES:
            raise ValueError(f"class_loss must be one of {', '.join(CLASS_LOSSES)}, received {class_loss!r}")
        heads = discriminator.output_shape
        self.generator, self.discriminator, self.averaged = generator, discriminator, generator
        if stabilisers.average:
            self.averaged = tf.keras.models.clone_model(generator)
            self.averaged.set_weights(generator.get_weights())
        self._decay, self._flip = stabilisers.average, stabilisers.flip
        self.latent = generator.input_shape[0][-1]
        self.codes = heads["code_mean"][-1] if "code_mean" in heads else 0
        self.confirms = "grade" in heads
        self._scale = tf.constant(scale, tf.float32)
        self._inverse = tf.math.divide_no_nan(1.0, self._scale)
        self._lowest = tf.constant(lowest, tf.float32)
        self._weight, self._class_term, self._seed = information_weight, CLASS_LOSSES[class_loss], seed
        self.build((None, *discriminator.input_shape[1:]))

    def compile(
        self, generator_optimizer, discriminator_optimizer, precision: str = "float32", steps_per_execution: int = 1
    ):
        """Takes one optimizer each, both wrapped for loss scaling in float16; a graph's run takes so many steps."""
        super().compile(steps_per_execution=steps_per_execution)
        self.g_optimizer = mixed_precision.scaled(generator_optimizer, precision)
        self.d_optimizer = mixed_precision.scaled(discriminator_optimizer, precision)
        names = ["d_loss", "g_loss", "real_source", "fake_source"]
        names += ["real_class_accuracy", "fake_class_accuracy"] if self.confirms else []
        names += ["information"] if self.codes else []
        self._means = {name: tf.keras.metrics.Mean(name) for name in names}

    @property
    def weights(self):
        """Those of the networks, without the counters of the metrics."""
        averaged = self.averaged.weights if self._decay else []
        return self.generator.weights + self.discriminator.weights + averaged

    @property
    def metrics(self):
        """What `fit` resets at each epoch."""
        return list(self._means.values())

    def call(self, features, training=False):
        """What D's heads say of unscaled features [batch, h, w, channels], by name."""
        return self.discriminator(self._scaled(features), training=training)

    def noise(self, count, seed) -> tf.Tensor:
        """G's input [count, latent], a function of seed ([2] int): N(0, 1), but for codes, uniform in (-1, 1)."""
        normal = tf.random.stateless_normal([count, self.latent - self.codes], seed)
        # of another seed: from the same one, codes would be functions of the first entries
        seed = tf.random.experimental.stateless_fold_in(seed, 1)
        return tf.concat([normal, tf.random.stateless_uniform([count, self.codes], seed, -1.0, 1.0)], -1)

    def generate(self, noise: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Unscaled features [batch, h, w, channels] from noise [batch, latent] and labels [batch]."""
        return self.averaged([noise, labels], training=False) * self._scale + self._lowest

    def draw(self, noise: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What is kept of a draw: features of `generate`, and whether each is `confirmed`."""
        features = self.generate(noise, labels)
        return features, self.confirmed(features, labels)

    def confirmed(self, features: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Whether D sees the wanted grade in unscaled features, [batch] bool; all of them where D has no opinion."""
        if not self.confirms:
            return tf.ones_like(labels, tf.bool)
        return tf.equal(tf.argmax(self(features, training=False)["grade"], -1, labels.dtype), labels)

    def train_step(self, data):
        """One step of D, which maximises L_S + L_C (paper eqs. 1-2), then one of G, which maximises L_C - L_S.

        Both maximise InfoGAN's bound L_I, too. A term is 0 where D has no head for it. G's source term is the usual
        non-saturating one: it maximises log P(real | fake).
        """
        features, labels = data
        real = self._flipped(self._scaled(features), 0)
        noise, fake_labels = self._draw(tf.shape(labels)[0])

        with tf.GradientTape() as g_tape:
            fake = self._flipped(self.generator([noise, fake_labels], training=True), 1)
            with g_tape.stop_recording(), tf.GradientTape() as d_tape:
                of_real = self.discriminator(real, training=True)
                of_fake = self.discriminator(fake, training=True)
                L_S = self._L_S(of_real, labels, real=True) + self._L_S(of_fake, fake_labels, real=False)
                L_C = self._L_C(of_real, labels) + self._L_C(of_fake, fake_labels)
                L_I = self._L_I(of_fake, noise)
                d_loss = L_S + L_C + self._weight * L_I
                d_scaled = _scale_loss(self.d_optimizer, d_loss)
            with g_tape.stop_recording():
                _apply(self.d_optimizer, d_tape, d_scaled, self.discriminator.trainable_variables)
            again = self.discriminator(fake, training=True)
            g_loss = self._L_S(again, fake_labels, real=True) + self._L_C(again, fake_labels)
            g_loss += self._weight * self._L_I(again, noise)
            g_scaled = _scale_loss(self.g_optimizer, g_loss)
        _apply(self.g_optimizer, g_tape, g_scaled, self.generator.trainable_variables)
        if self._decay:
            self._average(noise, fake_labels)

        found = {"d_loss": d_loss, "g_loss": g_loss, "information": -L_I}
        return self._log(found | self._seen("real", of_real, labels) | self._seen("fake", of_fake, fake_labels))

    def test_step(self, data):
        """What D says of real features that it was not trained on."""
        features, labels = data
        return self._log(self._seen("real", self(features, training=False), labels))

    def _flipped(self, features, stream):
        """Each feature as it is or mirrored, by the toss of a coin; of another stream, by another one."""
        if not self._flip:
            return features
        seed = tf.random.experimental.stateless_fold_in(self._step_seed(), 2 + stream)  # 1 is of `noise`
        return tf.image.stateless_random_flip_left_right(features, seed)

    def _average(self, noise, labels):
        """Takes the averaged weights a little closer to G's; by more in the first steps, which are soon outdated."""
        step = tf.cast(self.d_optimizer.iterations, tf.float32)
        rate = 1.0 - tf.minimum(self._decay, (1.0 + step) / (10.0 + step))
        for mean, weight in zip(self.averaged.trainable_variables, self.generator.trainable_variables):
            mean.assign_sub(rate * (mean - weight))
        # batch norm needs statistics of the averaged network; averages of G's are far from them
        self.averaged([noise, labels], training=True)

    def _scaled(self, features):
        return (features - self._lowest) * self._inverse

    def _L_S(self, heads, labels, real):
        return gan_losses.source_term(_source(heads, labels), real)

    def _L_C(self, heads, labels):
        return self._class_term(labels, heads["grade"]) if self.confirms else 0.0

    def _L_I(self, heads, noise):
        if not self.codes:
            return 0.0
        return gan_losses.information_term(noise[:, -self.codes :], heads["code_mean"], heads["code_deviation"])

    def _seen(self, name, heads, labels):
        """Probability of being real, and whether the class is right, of each sample."""
        seen = {f"{name}_source": tf.sigmoid(_source(heads, labels))}
        if self.confirms:
            right = tf.equal(tf.argmax(heads["grade"], -1, labels.dtype), labels)
            seen[f"{name}_class_accuracy"] = tf.cast(right, tf.float32)
        return seen

    def _log(self, found):
        """Counts in what was found, and returns the means so far."""
        counted = {name: mean for name, mean in self._means.items() if name in found}
        for name, mean in counted.items():
            mean.update_state(found[name])
        return {name: mean.result() for name, mean in counted.items()}

    def _draw(self, batch):
        """Noise and class-balanced labels: functions of seed and step, so that a resumed run repeats."""
        seed = self._step_seed()
        return self.noise(batch, seed), tf.random.experimental.stateless_shuffle(tf.range(batch) % CLASSES, seed)

    def _step_seed(self):
        return tf.stack([tf.cast(self._seed, tf.int64), self.d_optimizer.iterations])


def _source(heads, labels):
    """D's logits [batch, 1] of "real"; under each sample's own label where D is told it."""
    logits = heads["source"]
    return logits if logits.shape[-1] == 1 else tf.gather(logits, labels[:, tf.newaxis], batch_dims=1)


def _scale_loss(optimizer, loss):
    is_scaled = isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer)
    return optimizer.get_scaled_loss(loss) if is_scaled else loss


def _apply(optimizer, tape, loss, variables):
    gradients = tape.gradient(loss, variables)
    if isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer):
        gradients = optimizer.get_unscaled_gradients(gradients)
    optimizer.apply_gradients(zip(gradients, variables))
