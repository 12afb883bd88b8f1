"""A normalising flow of vectors, by TensorFlow Probability, which is imported here alone, when one is trained."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from rembrandt_featgen.generation.network_method import Batch, NetworkMethod
from rembrandt_featgen.generation.stacked_networks import forward, initial_weights

_BETAS = (0.9, 0.999)
_LARGEST = 2.0  # logarithm of what a coupling may stretch by
_LAYERS = 4


@dataclasses.dataclass(frozen=True)
class Flow(NetworkMethod):
    """RealNVP: four affine couplings, whose networks are given half of the numbers, and the class.

    Reference: Dinh, Sohl-Dickstein and Bengio, Density estimation using Real NVP, 2017; noise on the samples as in
    Rothfuss et al., Noise Regularization for Conditional Density Estimation, 2019.
    """

    layers = {f"coupling{number}": 2 for number in range(_LAYERS)}
    losses = ("negative_log_likelihood",)
    constant_count = 1

    steps: int = 300

    def initial(self, q, classes, random):
        """See `NetworkMethod`."""
        sizes = (q // 2 + classes, self.units, 2 * (q - q // 2))
        return {name: initial_weights(sizes, random, from_zero=True) for name in self.layers}

    def constants(self, whitening, labels, classes):
        """Which numbers are of samples; the others are noise."""
        width = self.width(whitening.size)
        return (np.isin(np.arange(width), self.places(whitening.size)).astype(np.float32)[None],)

    def update(self, networks, batch: Batch):
        """See `NetworkMethod`."""
        values = tf.where(batch.constants[0] > 0, batch.values, batch.normals)
        with tf.GradientTape() as tape:
            flow = self._flow(networks.weights, batch.classes, values.shape[-1])
            numbers = flow.inverse(values)
            likelihood = flow.inverse_log_det_jacobian(values, event_ndims=1)
            loss = tf.reduce_mean(tf.reduce_sum(tf.square(numbers), -1) / 2 - likelihood, -1)
        networks.descend(
            tape, loss, list(self.layers), step=batch.step, rate=batch.rate, decay=batch.decay, betas=_BETAS
        )
        return loss[:, None]

    def generate(self, weights, classes, normals):
        """See `NetworkMethod`."""
        return self._flow(weights, classes, normals.shape[-1]).forward(normals)

    def width(self, q):
        """The next of a few powers of two, each of which is traced once."""
        return max(8, 2 ** int(np.ceil(np.log2(q))))

    def places(self, q):
        """Half of the numbers in each half of the couplings, that they may depend on each other."""
        return np.arange(q) * self.width(q) // q

    def normals_of_step(self, q):
        """What fills the samples up."""
        return q

    def normals_of_draw(self, q):
        """A number for each."""
        return q

    def _flow(self, weights, classes, q):
        from tensorflow_probability import bijectors

        def coupling(name):
            def shift_and_log_scale(values, _):
                shift, stretch = tf.split(forward(weights[name], tf.concat([values, classes], -1)), 2, axis=-1)
                return shift, _LARGEST * tf.tanh(stretch / _LARGEST)

            return bijectors.RealNVP(num_masked=q // 2, shift_and_log_scale_fn=shift_and_log_scale)

        turned = bijectors.Permute(np.arange(q)[::-1].copy())
        return bijectors.Chain([part for name in self.layers for part in (coupling(name), turned)])
