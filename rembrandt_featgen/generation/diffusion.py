"""A diffusion model of vectors: a small denoiser, conditioned on the class."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf

from rembrandt_featgen.generation.network_method import Batch, NetworkMethod
from rembrandt_featgen.generation.stacked_networks import forward, initial_weights

_BETAS = (0.9, 0.999)
_FREQUENCIES = 4  # of the time, each as a sine and a cosine


@dataclasses.dataclass(frozen=True)
class Diffusion(NetworkMethod):
    """A Gaussian denoising diffusion model, with the cosine schedule of Nichol and Dhariwal (2021).

    As in TabDDPM the denoiser is a small network that is given the noisy vector, the time and the class. It predicts
    the "velocity" of Salimans and Ho (2022), which is 0 of standard normal vectors, where training starts.

    Attributes:
      times: levels of noise.

    Reference: Ho, Jain and Abbeel, Denoising Diffusion Probabilistic Models, 2020; Kotelnikov et al., TabDDPM:
    Modelling Tabular Data with Diffusion Models, 2023.
    """

    layers = {"denoiser": 3}
    losses = ("velocity",)

    units: int = 128
    times: int = 50

    def __post_init__(self):
        """Checks the settings."""
        super().__post_init__()
        if self.times < 2:
            raise ValueError(f"times must be from 2, received {self.times}")

    def initial(self, q, classes, random):
        """See `NetworkMethod`."""
        sizes = (q + 2 * _FREQUENCIES + classes, self.units, self.units, q)
        return {"denoiser": initial_weights(sizes, random, from_zero=True)}

    def update(self, networks, batch: Batch):
        """See `NetworkMethod`."""
        signal, noise, _ = self._schedule()
        time = tf.cast(batch.uniforms[..., 0] * self.times, tf.int32)
        a, b = (tf.gather(tf.constant(level, tf.float32), time)[..., None] for level in (signal, noise))
        with tf.GradientTape() as tape:
            noisy = a * batch.values + b * batch.normals
            velocity = self._velocity(networks.weights, noisy, time=time, classes=batch.classes)
            loss = tf.reduce_mean(tf.square(velocity - a * batch.normals + b * batch.values), [1, 2])
        networks.descend(tape, loss, ["denoiser"], step=batch.step, rate=batch.rate, decay=batch.decay, betas=_BETAS)
        return loss[:, None]

    def generate(self, weights, classes, normals):
        """See `NetworkMethod`."""
        signal, noise, betas = self._schedule()
        # Mean and variance of the level below, given one and the real vector (Ho et al., eq. 7).
        variance, below, left = noise[1:] ** 2, signal[:-1], noise[:-1] ** 2
        of_real = below * betas[1:] / variance
        of_values = np.sqrt(1 - betas[1:]) * left / variance
        spread = np.sqrt(betas[1:] * left / variance)
        levels = np.stack([signal[1:], noise[1:], of_real, of_values, spread], axis=1)
        levels = np.concatenate([[[signal[0], noise[0], 1, 0, 0]], levels])  # the lowest gives the real vector itself
        levels = tf.constant(levels, tf.float32)
        q = tf.shape(normals)[2] // (self.times + 1)
        values = normals[..., :q]
        for number in tf.range(self.times):
            time = self.times - 1 - number
            level, fresh = levels[time], normals[..., (number + 1) * q : (number + 2) * q]
            real = level[0] * values - level[1] * self._velocity(weights, values, time=time, classes=classes)
            values = level[2] * real + level[3] * values + level[4] * fresh
        return values

    def normals_of_step(self, q):
        """The noise."""
        return q

    def normals_of_draw(self, q):
        """Noise to start from, and that of each level."""
        return (self.times + 1) * q

    def _velocity(self, weights, noisy, *, time, classes):
        time = tf.broadcast_to(time, tf.shape(noisy)[:2])
        phase = math.pi * (tf.cast(time, tf.float32)[..., None] + 1) / self.times
        phases = phase * 2.0 ** tf.range(_FREQUENCIES, dtype=tf.float32) / 2
        inputs = tf.concat([noisy, tf.sin(phases), tf.cos(phases), classes], -1)
        return forward(weights["denoiser"], inputs)

    def _schedule(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """[times] share of signal and of noise (their squares sum to 1) at each level, and variance added to it."""
        angles = (np.arange(self.times + 1) / self.times + 0.008) / 1.008 * math.pi / 2
        squares = np.cos(angles) ** 2
        betas = np.minimum(1 - squares[1:] / squares[:-1], 0.999)
        left = np.cumprod(1 - betas)
        return np.sqrt(left), np.sqrt(1 - left), betas
