"""GANs of features conditioned on the class, all behind one interface; `gan_kinds` lists them.

What is called features below is slices where a kind is `of_images`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from rembrandt_featgen.generation import gan_heads, gan_networks, gan_updates
from rembrandt_featgen.generation.gan_heads import class_loss, generator_class_loss, information_loss, source_loss
from rembrandt_featgen.generation.gan_networks import CLASS_HEAD
from rembrandt_featgen.generation.gan_spec import GanSpec
from rembrandt_featgen.nn import distribution, mixed_precision, optimizers, replicated


def build_gan(spec: GanSpec, scale: np.ndarray, lowest: np.ndarray | float = 0.0) -> GAN:
    """Builds both networks of a kind and the model around them.

    Args:
      spec: the settings.
      scale, lowest: as for `GAN`.
    """
    generator = gan_networks.build_generator(
        spec.shape,
        spec.filters_generator,
        spec.latent + spec.code_count,
        num_classes=spec.num_classes,
        precision=spec.precision,
        of_images=spec.traits.of_images,
        networks=spec.networks,
    )
    discriminator = gan_networks.build_discriminator(
        spec.shape,
        spec.filters_discriminator,
        num_classes=spec.num_classes,
        has_auxiliary_classifier=spec.traits.has_auxiliary_classifier,
        is_projection_conditioned=spec.traits.is_projection_conditioned,
        classifies_sources=spec.traits.classifies_sources,
        codes=spec.code_count,
        precision=spec.precision,
        minibatch_stddev=spec.minibatch_stddev,
        of_images=spec.traits.of_images,
        networks=spec.networks,
    )
    return GAN(generator, discriminator, spec, scale=scale, lowest=lowest)


class GAN(tf.keras.Model):
    """G and D with the one training step of all kinds; a Keras model only because `fit` needs one.

    Args:
      generator, discriminator: as of `gan_networks`; D's heads decide which terms the losses have.
      spec: the settings; of the networks, what these were built with.
      scale: [channels] root mean square of the training features, 0 for a channel that never fires; for the reference
        implementation's networks half of each channel's range, 0 for one that is constant.
      lowest: [channels] that is subtracted before scaling: 0 for features after ReLU, the background of slices; for the
        reference implementation's networks the middle of each channel's range.

    Attributes:
      spec: the settings.
      ema_generator: what features are drawn from: the moving average of G, or G itself.
      latent: length of the noise vector, codes included.
      codes: how many of its last entries are codes.
      has_auxiliary_classifier: whether D classifies features.
      can_refuse: whether it does so in a way by which `accepted` can refuse some.
    """

    def __init__(
        self,
        generator: tf.keras.Model,
        discriminator: tf.keras.Model,
        spec: GanSpec,
        *,
        scale: np.ndarray,
        lowest: np.ndarray | float = 0.0,
    ):
        super().__init__(name="gan")
        heads = discriminator.output_shape
        self.generator, self.discriminator, self.ema_generator = generator, discriminator, generator
        if spec.ema_decay:
            self.ema_generator = tf.keras.models.clone_model(generator)
            self.ema_generator.set_weights(generator.get_weights())
        self.latent = generator.input_shape[0][-1]
        self.codes = heads["code_mean"][-1] if "code_mean" in heads else 0
        self.has_auxiliary_classifier = CLASS_HEAD in heads
        self.can_refuse = self.has_auxiliary_classifier and spec.traits.can_refuse
        self.spec = spec
        self._scale = tf.constant(scale, tf.float32)
        self._inverse = tf.math.divide_no_nan(1.0, self._scale)
        self._lowest = tf.constant(lowest, tf.float32)
        self.build((None, *discriminator.input_shape[1:]))

    def compile(
        self,
        generator_optimizer: tf.keras.optimizers.Optimizer,
        discriminator_optimizer: tf.keras.optimizers.Optimizer,
        *,
        steps_per_execution: int = 1,
    ) -> None:
        """Takes one optimizer each, both wrapped for loss scaling in float16; a graph's run takes so many steps."""
        super().compile(steps_per_execution=steps_per_execution)
        self.g_optimizer = mixed_precision.scaled(generator_optimizer, self.spec.precision)
        self.d_optimizer = mixed_precision.scaled(discriminator_optimizer, self.spec.precision)
        optimizers.remember(self.g_optimizer, self.generator.trainable_variables)
        optimizers.remember(self.d_optimizer, self.discriminator.trainable_variables)
        names = ["d_loss", "g_loss", "real_source", "fake_source"]
        names += ["real_class_accuracy", "fake_class_accuracy"] if self.has_auxiliary_classifier else []
        names += ["information"] if self.codes else []
        self._means = {name: tf.keras.metrics.Mean(name) for name in names}

    @property
    def weights(self) -> list[tf.Variable]:
        """Those of the networks, without the counters of the metrics."""
        ema = self.ema_generator.weights if self.spec.ema_decay else []
        return self.generator.weights + self.discriminator.weights + ema

    @property
    def metrics(self) -> list[tf.keras.metrics.Metric]:
        """What `fit` resets at each epoch."""
        return list(self._means.values())

    def call(self, features: tf.Tensor, training: bool = False) -> Mapping[str, tf.Tensor]:
        """Outputs of D's heads for unscaled features [batch, h, w, channels], by name."""
        return self.discriminator(self._scaled(features), training=training)

    def noise(self, count: int | tf.Tensor, seed) -> tf.Tensor:
        """G's input [count, latent], a function of seed ([2] int): N(0, 1), but for codes, uniform in (-1, 1)."""
        normal = tf.random.stateless_normal([count, self.latent - self.codes], seed)
        # of another seed: from the same one, codes would be functions of the first entries
        seed = tf.random.experimental.stateless_fold_in(seed, 1)
        return tf.concat([normal, tf.random.stateless_uniform([count, self.codes], seed, -1.0, 1.0)], -1)

    def generate(self, noise: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Unscaled features [batch, h, w, channels] from noise [batch, latent] and labels [batch]."""
        return self.ema_generator([noise, labels], training=False) * self._scale + self._lowest

    def draw(self, noise: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Features of `generate`, and which of them are `accepted`."""
        features = self.generate(noise, labels)
        return features, self.accepted(features, labels)

    def accepted(self, features: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Whether the auxiliary classifier predicts the labels of unscaled features, [batch] bool; else all."""
        if not self.can_refuse:
            return tf.ones_like(labels, tf.bool)
        return gan_heads.is_of_label(self(features, training=False), labels)

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step of D, which maximises L_S + L_C (paper eqs. 1-2), then one of G, which maximises L_C - L_S.

        Both maximise InfoGAN's bound L_I, too. A term is 0 where D has no head for it. G's source term is the usual
        non-saturating one: it maximises log P(real | fake). Where D classifies sources as well, L_C of D is over 2
        outputs a class, and G maximises by how much a feature looks more like a real than a generated one of its class.

        Of several replicas each has its rows of the batch, and of what is drawn for it.
        """
        with replicated.seeded(self.spec.seed, self.d_optimizer.iterations):
            return self._step(*data)

    def _step(self, features, labels):
        share = distribution.share(labels)
        real = self._flipped(self._scaled(features), 0, share)
        noise, fake_labels = (share.of(drawn) for drawn in self._noise_and_labels(share.total))
        kind, weight = self.spec.class_loss, self.spec.information_weight

        with tf.GradientTape() as g_tape:
            fake = self._flipped(self.generator([noise, fake_labels], training=True), 1, share)
            with g_tape.stop_recording(), tf.GradientTape() as d_tape:
                of_real = self.discriminator(real, training=True)
                of_fake = self.discriminator(fake, training=True)
                L_S = source_loss(of_real, labels, real=True) + source_loss(of_fake, fake_labels, real=False)
                L_C = class_loss(of_real, labels, kind=kind, real=True)
                L_C += class_loss(of_fake, fake_labels, kind=kind, real=False)
                L_I = information_loss(of_fake, noise)
                d_loss = L_S + L_C + weight * L_I
                d_scaled = gan_updates.scaled_loss(self.d_optimizer, share.part(d_loss))
            with g_tape.stop_recording():
                gan_updates.apply_gradients(self.d_optimizer, d_tape, d_scaled, of=self.discriminator)
            again = self.discriminator(fake, training=True)
            g_loss = source_loss(again, fake_labels, real=True) + generator_class_loss(again, fake_labels, kind=kind)
            g_loss += weight * information_loss(again, noise)
            g_scaled = gan_updates.scaled_loss(self.g_optimizer, share.part(g_loss))
        gan_updates.apply_gradients(self.g_optimizer, g_tape, g_scaled, of=self.generator)
        if self.spec.ema_decay:
            self._update_ema(noise, fake_labels)

        logs = {"d_loss": d_loss, "g_loss": g_loss, "information": -L_I}
        logs |= gan_heads.logged("real", of_real, labels) | gan_heads.logged("fake", of_fake, fake_labels)
        return self._log(logs, share)

    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What D says of real features that it was not trained on."""
        features, labels = data
        return self._log(gan_heads.logged("real", self(features, training=False), labels), distribution.share(labels))

    def _scaled(self, features):
        return (features - self._lowest) * self._inverse

    def _flipped(self, features, stream, share=None):
        """Each feature as it is or mirrored, by the toss of a coin; of another stream, by another one."""
        if not self.spec.flip:
            return features
        seed = tf.random.experimental.stateless_fold_in(self._step_seed(), 2 + stream)  # 1 is of `noise`
        if distribution.replicas() == 1:
            return tf.image.stateless_random_flip_left_right(features, seed)
        mirrored = share.of(tf.random.stateless_uniform([share.total], seed)) > 0.5  # as that function tosses
        return tf.where(mirrored[:, tf.newaxis, tf.newaxis, tf.newaxis], features[:, :, ::-1], features)

    def _update_ema(self, noise, labels):
        gan_updates.update_ema(
            self.ema_generator.trainable_variables,
            self.generator.trainable_variables,
            decay=self.spec.ema_decay,
            iterations=self.d_optimizer.iterations,
        )
        # batch norm needs statistics of the averaged network; averages of G's are far from them
        self.ema_generator([noise, labels], training=True)

    def _log(self, values, share):
        """Adds values to the metrics of their names, and returns the means so far."""
        counted = {name: mean for name, mean in self._means.items() if name in values}
        for name, mean in counted.items():
            value = tf.convert_to_tensor(values[name])
            # of a step's mean a replica has a part; rows count one each
            is_part = distribution.replicas() > 1 and value.shape.rank == 0
            mean.update_state(value, sample_weight=share.weight if is_part else None)
        return {name: mean.result() for name, mean in counted.items()}

    def _noise_and_labels(self, batch):
        """Noise and class-balanced labels: functions of seed and step, so that a resumed run repeats them."""
        seed, labels = self._step_seed(), tf.range(batch) % self.spec.num_classes
        return self.noise(batch, seed), tf.random.experimental.stateless_shuffle(labels, seed)

    def _step_seed(self):
        return tf.stack([tf.cast(self.spec.seed, tf.int64), self.d_optimizer.iterations])
