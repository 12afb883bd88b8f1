"""A conditional variational autoencoder of vectors."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from rembrandt_featgen.generation.network_method import Batch, NetworkMethod
from rembrandt_featgen.generation.stacked_networks import forward, initial_weights

_BETAS = (0.9, 0.999)


@dataclasses.dataclass(frozen=True)
class Cvae(NetworkMethod):
    """Encoder and decoder are given the class; the decoder's variances are learnt for each class and axis.

    Draws have the decoder's noise, without which they would vary too little. The weight of the divergence grows from
    0 to 1 in the first half of the training (Bowman et al. 2016), so that the code does not stay unused.

    Attributes:
      code: numbers of the latent code.

    Reference: Sohn, Lee and Yan, Learning Structured Output Representation using Deep Conditional Generative Models,
    2015; variances as in Rybkin et al., Simple and Effective VAE Training with Calibrated Decoders, 2021.
    """

    layers = {"encoder": 2, "decoder": 3, "spread": 1}
    losses = ("reconstruction", "divergence")

    code: int = 4

    def initial(self, q, classes, random):
        """See `NetworkMethod`."""
        return {
            "encoder": initial_weights((q + classes, self.units, 2 * self.code), random),
            "decoder": initial_weights((self.code + classes, self.units, self.units, q), random, from_zero=True),
            "spread": initial_weights((classes, q), random, from_zero=True),
        }

    def update(self, networks, batch: Batch):
        """See `NetworkMethod`."""
        weights = networks.weights
        with tf.GradientTape() as tape:
            mean, log_variance = tf.split(
                forward(weights["encoder"], tf.concat([batch.values, batch.classes], -1)), 2, axis=-1
            )
            code = mean + tf.exp(log_variance / 2) * batch.normals
            decoded = forward(weights["decoder"], tf.concat([code, batch.classes], -1))
            spread = forward(weights["spread"], batch.classes)  # logarithms of variances
            errors = tf.square(batch.values - decoded) * tf.exp(-spread) + spread
            reconstruction = tf.reduce_mean(tf.reduce_sum(errors, -1), -1) / 2
            divergences = tf.square(mean) + tf.exp(log_variance) - 1 - log_variance
            divergence = tf.reduce_mean(tf.reduce_sum(divergences, -1), -1) / 2
            loss = reconstruction + tf.minimum(1.0, 2 * batch.progress) * divergence
        networks.descend(
            tape, loss, list(self.layers), step=batch.step, rate=batch.rate, decay=batch.decay, betas=_BETAS
        )
        return tf.stack([reconstruction, divergence], -1)

    def generate(self, weights, classes, normals):
        """See `NetworkMethod`."""
        code, noise = normals[..., : self.code], normals[..., self.code :]
        spread = forward(weights["spread"], classes)
        return forward(weights["decoder"], tf.concat([code, classes], -1)) + tf.exp(spread / 2) * noise

    def normals_of_step(self, q):
        """The code's."""
        return self.code

    def normals_of_draw(self, q):
        """The code's and the decoder's."""
        return self.code + q
