"""Deviations of samples from the mean of their class, in which every patient weighs the same."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from rembrandt_featgen.generation.sampling_method import RealSamples
from rembrandt_featgen.generation.shrunk_covariance import CONSTANT, Root, shrunk_root


@dataclasses.dataclass(frozen=True, eq=False)
class Residuals:
    """Means of classes, and how samples deviate from them. A patient with samples of two classes counts as two.

    Attributes:
      means: [num_classes, size] float64, of the means of patients; 0 of a class without samples.
      rows: [n, size] float64 deviations, larger by what the mean of so few patients has taken of them, so that their
        weighted squares are unbiased; 0 of the only sample of a class.
      labels: [n].
      groups: [n] ids of patients.
      weights: [n], summing to 1 in each class, the same for each of its patients.
      patients: [num_classes] numbers of patients; 0 of a class of one sample, which knows of no deviation.
    """

    means: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    weights: np.ndarray
    patients: np.ndarray

    @classmethod
    def of(cls, real: RealSamples) -> Residuals:
        """Those of some real samples."""
        size = real.flat.shape[1]
        means, rows = np.zeros((real.num_classes, size)), np.zeros((len(real.labels), size))
        weights, patients = np.zeros(len(real.labels)), np.zeros(real.num_classes, np.int64)
        for label in np.unique(real.labels):
            of_class = np.flatnonzero(real.labels == label)
            _, whose, samples = np.unique(real.groups[of_class], return_inverse=True, return_counts=True)
            weights[of_class] = 1 / samples[whose] / len(samples)
            flat = real.flat[of_class].astype(np.float64)
            of_patients = np.stack([flat[whose == one].mean(axis=0) for one in range(len(samples))])
            means[label] = of_patients.mean(axis=0)
            if len(of_class) > 1:
                patients[label] = len(samples)
                rows[of_class] = (flat - means[label]) / np.sqrt(1 - np.sum(weights[of_class] ** 2))
        return cls(means, rows=rows, labels=real.labels, groups=real.groups, weights=weights, patients=patients)

    @functools.cached_property
    def shares(self) -> np.ndarray:
        """[n] weights over all classes, the same for each patient; 0 where nothing varies, in sum 1."""
        shares = self.weights * self.patients[self.labels]
        return shares / max(1, self.patients.sum())

    @functools.cached_property
    def scale(self) -> np.ndarray:
        """[size] standard deviation of each column within classes, pooled; 0 where nothing varies but by rounding."""
        scale = np.sqrt(self.shares @ self.rows**2)
        return np.where(scale > CONSTANT * self.level, scale, 0.0)

    @property
    def level(self) -> np.ndarray:
        """[size] size of the values, beside which rounding errors are told from variance."""
        return np.sqrt(np.mean(self.means[np.unique(self.labels)] ** 2, axis=0))

    @functools.cached_property
    def root(self) -> Root:
        """Root of the covariance within classes, pooled over patients and shrunk."""
        return self._root(self.shares)

    def root_of(self, label: int) -> Root:
        """Root of the covariance of one class, shrunk."""
        return self._root(np.where(self.labels == label, self.weights, 0))

    def _root(self, shares):
        there = shares > 0
        return shrunk_root(self.rows[there] * np.sqrt(there.sum() * shares[there])[:, None], self.level)

    def choose(self, rows: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Numbers of samples, of some rows [m], by shares and uniform random numbers [count]: patient by patient."""
        cumulative = np.cumsum(self.weights[rows] * np.maximum(self.patients, 1)[self.labels[rows]])
        places = np.searchsorted(cumulative, uniform * cumulative[-1], side="right")
        return rows[np.minimum(places, len(rows) - 1)]
