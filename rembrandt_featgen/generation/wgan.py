"""A Wasserstein GAN of vectors with a classifier of its own: f-CLSWGAN."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

from rembrandt_featgen.generation.network_method import Batch, NetworkMethod
from rembrandt_featgen.generation.stacked_networks import forward, initial_weights

_BETAS = (0.5, 0.9)  # of Gulrajani et al.


@dataclasses.dataclass(frozen=True)
class Wgan(NetworkMethod):
    """Generator and critic are given the class; a softmax classifier of real samples asks for vectors of their class.

    The classifier is trained first, and stays as it is. The generator adds to its noise, so that it starts as
    `gaussian`. A step is one of the critic; every fifth one the generator takes one as well.

    Attributes:
      penalty: weight of the gradient penalty, lambda of Gulrajani et al. (2017).
      guidance: weight of the classifier, beta of the reference.
      critic_steps: of the critic for each of the generator.

    Reference: Xian et al., Feature Generating Networks for Zero-Shot Learning, 2018, eq. (4) and 4.1; Gulrajani et al.,
    Improved Training of Wasserstein GANs, 2017.
    """

    layers = {"generator": 3, "critic": 2}
    losses = ("critic", "penalty", "generator", "classification")
    constant_count = 3
    centred = True

    steps: int = 500
    learning_rate: float = 2e-2
    penalty: float = 10.0
    guidance: float = 0.01
    critic_steps: int = 5

    def __post_init__(self):
        """Checks the settings."""
        super().__post_init__()
        if self.penalty < 0 or self.guidance < 0 or self.critic_steps < 1:
            raise ValueError(
                f"penalty and guidance must be from 0 and critic_steps from 1, received {self.penalty}, "
                f"{self.guidance} and {self.critic_steps}"
            )

    def initial(self, q, classes, random):
        """See `NetworkMethod`."""
        return {
            "generator": initial_weights((q + classes, self.units, self.units, q), random, from_zero=True),
            "critic": initial_weights((q + classes, 2 * self.units, 1), random),
        }

    def constants(self, whitening, labels, classes):
        """Positions of the classes [classes, q], and the classifier's kernel [q, classes] and bias [1, classes]."""
        positions = np.stack([whitening.position(label) for label in range(classes)])
        kernel, bias = np.zeros((whitening.size, classes)), np.zeros((1, classes))
        there = np.unique(labels)
        if len(there) > 1:
            values = whitening.rows + positions[labels]
            scale = np.maximum(np.abs(values).max(axis=0), 1.0)
            weights = whitening.residuals.weights * len(labels) / len(there)
            head = LogisticRegression(max_iter=300).fit(values / scale, labels, sample_weight=weights)
            coefficients, intercepts = head.coef_ / scale, head.intercept_
            if len(there) == 2:
                coefficients, intercepts = (np.concatenate([0 * one, one]) for one in (coefficients, intercepts))
            kernel[:, there], bias[0, there] = coefficients.T, intercepts
            bias[0, np.setdiff1d(np.arange(classes), there)] = -30.0
        return tuple(one.astype(np.float32) for one in (positions, kernel, bias))

    def update(self, networks, batch: Batch):
        """See `NetworkMethod`."""
        critic = self._critic_step(networks, batch)
        every = float(self.critic_steps)
        generator = tf.cond(
            tf.math.floormod(batch.step, every) == 0,
            lambda: self._generator_step(networks, batch, batch.step / every),
            lambda: tf.zeros_like(critic),
        )
        return tf.concat([critic, generator], -1)

    def _critic_step(self, networks, batch):
        weights, samples = networks.weights, tf.shape(batch.values)[1]
        noise = batch.normals[..., : tf.shape(batch.values)[2]]
        drawn = self.generate(weights, batch.classes, noise)
        between = batch.uniforms * batch.values + (1 - batch.uniforms) * drawn
        values = tf.concat([batch.values, drawn, between], 1)
        with tf.GradientTape() as tape:
            with tf.GradientTape() as of_values:
                of_values.watch(values)
                inputs = tf.concat([values, tf.tile(batch.classes, [1, 3, 1])], -1)
                scores = forward(weights["critic"], inputs)[..., 0]
            slopes = of_values.gradient(scores, values)[:, 2 * samples :]
            lengths = tf.sqrt(tf.reduce_sum(tf.square(slopes), -1) + 1e-12)
            penalty = tf.reduce_mean(tf.square(lengths - 1), -1)
            difference = tf.reduce_mean(scores[:, samples : 2 * samples] - scores[:, :samples], -1)
            loss = difference + self.penalty * penalty
        networks.descend(tape, loss, ["critic"], step=batch.step, rate=batch.rate, decay=batch.decay, betas=_BETAS)
        return tf.stack([difference, penalty], -1)

    def _generator_step(self, networks, batch, step):
        weights = networks.weights
        noise = batch.normals[..., tf.shape(batch.values)[2] :]
        positions, kernel, bias = batch.constants
        with tf.GradientTape() as tape:
            drawn = self.generate(weights, batch.classes, noise)
            score = tf.reduce_mean(forward(weights["critic"], tf.concat([drawn, batch.classes], -1)), [1, 2])
            logits = tf.matmul(drawn + tf.matmul(batch.classes, positions), kernel) + bias
            errors = tf.nn.softmax_cross_entropy_with_logits(batch.classes, logits)
            classification = tf.reduce_mean(errors, -1)
            loss = self.guidance * classification - score
        networks.descend(tape, loss, ["generator"], step=step, rate=batch.rate, decay=batch.decay, betas=_BETAS)
        return tf.stack([-score, classification], -1)

    def generate(self, weights, classes, normals):
        """See `NetworkMethod`."""
        return normals + forward(weights["generator"], tf.concat([normals, classes], -1))

    def normals_of_step(self, q):
        """Noise of the critic's step and of the generator's."""
        return 2 * q

    def normals_of_draw(self, q):
        """The noise."""
        return q
