"""A generator of slices that draws features: its slices go through the encoder that real slices go through."""

from __future__ import annotations

import tensorflow as tf

from rembrandt_featgen.generation.gan import GAN


class EncodedGAN:
    """A GAN of slices before an encoder, with what drawing from the other kinds needs.

    The discriminator accepts or refuses slices, before they are encoded: it has never seen a feature.

    Args:
      gan: of a kind `of_images`.
      encoder: frozen, from normalised slices [batch, height, width, channels] to features [batch, h, w, filters].

    Attributes:
      latent, codes, can_refuse, noise: those of the GAN.
      weights: of all three networks.
    """

    def __init__(self, gan: GAN, encoder: tf.keras.Model):
        self._gan, self._encoder = gan, encoder
        self.latent, self.codes, self.noise = gan.latent, gan.codes, gan.noise
        self.can_refuse = gan.can_refuse
        self.weights = [*gan.weights, *encoder.weights]

    def accepted(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Whether the auxiliary classifier predicts the labels [batch] of slices, [batch] bool."""
        return self._gan.accepted(images, labels)

    def draw(self, noise: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Features [batch, h, w, filters] of generated slices, and which of the slices are `accepted`."""
        images = self._gan.generate(noise, labels)
        return self._encoder(images, training=False), self.accepted(images, labels)
