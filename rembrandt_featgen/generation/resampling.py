"""Resampling without a model: repeating, noise, and steps towards or away from neighbours."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from sklearn.neighbors import NearestNeighbors

from rembrandt_featgen.generation.sampling_method import FlatDraw, Method, RealSamples, stream

HALF_WAY = 0.5


def repeated(rows: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """`count` of some rows, with replacement."""
    return random.choice(rows, count)


def in_rounds(n: int, count: int, random: np.random.Generator) -> np.ndarray:
    """`count` of n things: all of them equally often, but for the last round."""
    rounds = [random.permutation(n) for _ in range(-(-count // n))]
    return np.concatenate([np.zeros(0, np.int64), *rounds])[:count]


@dataclasses.dataclass(frozen=True)
class RandomOversampling(Method):
    """Draws samples again, with replacement."""

    nested = True

    def fit_flat(self, real: RealSamples) -> FlatDraw:
        """Remembers the samples."""

        def draw(label: int, count: int, seed: int) -> np.ndarray:
            return real.flat[repeated(np.flatnonzero(real.labels == label), count, stream(seed, label))]

        return draw


@dataclasses.dataclass(frozen=True)
class GaussianNoise(Method):
    """Samples with noise; unsigned ones where they fired only, as others were below 0 by an unknown margin.

    What never varies among signed samples gets no noise.

    Attributes:
      noise: standard deviation, in units of the scaled features; 0.5 is gamma of the reference.

    Reference: DeVries and Taylor, Dataset Augmentation in Feature Space, 2017, eq. (1).
    """

    noise: float = 0.5

    def __post_init__(self):
        """Checks the settings."""
        if not self.noise > 0:
            raise ValueError(f"noise must be above 0, received {self.noise}")

    def fit_flat(self, real: RealSamples) -> FlatDraw:
        """Sees which values vary."""
        varies = np.ptp(real.flat, axis=0) > 0 if real.signed else True

        def draw(label: int, count: int, seed: int) -> np.ndarray:
            of_class, random = real.of(label), stream(seed, label)
            chosen = of_class[in_rounds(len(of_class), count, random)]
            noise = random.standard_normal(chosen.shape, chosen.dtype)
            return np.where(varies if real.signed else chosen > 0, chosen + self.noise * noise, chosen)

        return draw


@dataclasses.dataclass(frozen=True)
class Interpolation(Method):
    """Points part of the way from a sample to one of its nearest of the same class.

    Each pair is taken once before one is taken twice; a sample alone in its class is repeated.

    Attributes:
      neighbours: of each sample, 10 in the reference; at most as many as there are.
      step: how far, as a fraction of the way; 0.5 is lambda of the reference.

    Reference: DeVries and Taylor, 2017, eq. (2).
    """

    nested = True

    neighbours: int = 10
    step: float = HALF_WAY

    def __post_init__(self):
        """Checks the settings."""
        if self.neighbours < 1 or not self.step > 0:
            raise ValueError(f"neighbours must be from 1 and step above 0, received {self.neighbours} and {self.step}")

    def fit_flat(self, real: RealSamples) -> FlatDraw:
        """Remembers the samples; neighbours are searched for when the first of a class is drawn."""
        return _along_pairs(real, neighbours=self.neighbours, step=self.step)


@dataclasses.dataclass(frozen=True)
class Extrapolation(Interpolation):
    """Points as far beyond a sample, by a fraction, as one of its nearest of the same class is before it.

    Attributes:
      neighbours: as for `Interpolation`.
      step: how far beyond; 0.5 is lambda of the reference.

    Reference: DeVries and Taylor, 2017, eq. (3).
    """

    def fit_flat(self, real: RealSamples) -> FlatDraw:
        """As for `Interpolation`."""
        return _along_pairs(real, neighbours=self.neighbours, step=-self.step)


def _along_pairs(real: RealSamples, *, neighbours: int, step: float) -> FlatDraw:
    """Moves samples by `step` of the way to one of their nearest."""

    @functools.cache
    def pairs_of(label: int) -> np.ndarray:
        """[pairs, 2] numbers of (sample, neighbour) within the class; none for a sample alone."""
        of_class = real.of(label)
        k = min(neighbours, len(of_class) - 1)
        if not k:
            return np.zeros((0, 2), np.int64)
        nearest = NearestNeighbors(n_neighbors=k).fit(of_class).kneighbors(return_distance=False)
        pairs = np.stack([np.repeat(np.arange(len(of_class)), k), nearest.ravel()], axis=1)
        # Half way is the same point from both ends.
        return np.unique(np.sort(pairs, axis=1), axis=0) if step == HALF_WAY else pairs

    def draw(label: int, count: int, seed: int) -> np.ndarray:
        of_class, pairs, random = real.of(label), pairs_of(label), stream(seed, label)
        if not len(pairs):
            return of_class[in_rounds(len(of_class), count, random)]
        start, other = of_class[pairs[in_rounds(len(pairs), count, random)]].swapaxes(0, 1)
        return start + start.dtype.type(step) * (other - start)

    return draw
