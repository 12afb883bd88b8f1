"""Distribution calibration: the covariance of the nearest other classes about each sample of a class."""

from __future__ import annotations

import dataclasses

import numpy as np

from rembrandt_featgen.generation.class_residuals import Residuals
from rembrandt_featgen.generation.sampling_method import FlatDraw, Method, RealSamples, stream
from rembrandt_featgen.generation.shrunk_covariance import Root


@dataclasses.dataclass(frozen=True)
class Calibration(Method):
    """Draws from a Gaussian about each sample, with a covariance lent by the nearest other classes.

    The reference has 64 base classes, and moves a sample's mean towards the k nearest of them. Of two or three classes
    these are what is to be told apart, so that the mean is moved towards that of the sample's class instead, by the
    same k parts of k + 1; only covariances are taken from other classes. Its constant on all elements of the covariance
    is one on the variances here, in units of each column. Tukey's power makes values from 0 on less skewed, and is
    undone in what is drawn; it has no meaning for values below 0, so that signed features are left as they are.

    Attributes:
      neighbours: classes whose covariances are averaged, at most: k of the reference.
      spread: what is added to each variance, relative to it: alpha of the reference.
      power: Tukey's lambda.

    Reference: Yang, Liu and Xu, Free Lunch for Few-shot Learning: Distribution Calibration, 2021.
    """

    kind = "generative"
    nested = True  # but for the last bits

    neighbours: int = 2
    spread: float = 0.21
    power: float = 0.5

    def __post_init__(self):
        """Checks the settings."""
        if self.neighbours < 1 or self.spread < 0 or not 0 < self.power <= 1:
            raise ValueError(
                f"neighbours must be from 1, spread from 0 and power in (0, 1], received {self.neighbours}, "
                f"{self.spread} and {self.power}"
            )

    def fit_flat(self, real: RealSamples) -> FlatDraw:
        """Computes the statistics of all classes."""
        power = 1.0 if real.signed else self.power
        flat = real.flat if real.signed else np.power(real.flat, power, dtype=np.float64)
        residuals = Residuals.of(dataclasses.replace(real, flat=flat))
        lent = {int(label): self._lent(residuals, int(label)) for label in np.unique(real.labels)}

        def draw(label: int, count: int, seed: int) -> np.ndarray:
            root, classes = lent[label]
            of_class = np.flatnonzero(real.labels == label)
            chosen = flat[residuals.choose(of_class, stream(seed, label).random(count))]
            mean = residuals.means[label] + (chosen - residuals.means[label]) / (classes + 1)
            drawn = mean + root.draw(np.random.default_rng([seed, label, 1]).standard_normal((count, root.normals)))
            return (drawn if real.signed else np.maximum(drawn, 0) ** (1 / power)).astype(real.flat.dtype)

        return draw

    def _lent(self, residuals, label) -> tuple[Root, int]:
        """Root of the covariance about samples of a class, and of how many classes it is the mean."""
        others = [other for other in np.flatnonzero(residuals.patients > 1) if other != label]
        distances = [np.linalg.norm(residuals.means[other] - residuals.means[label]) for other in others]
        nearest = [others[number] for number in np.argsort(distances, kind="stable")[: self.neighbours]]
        roots = [residuals.root_of(other) for other in nearest] or [residuals.root]
        variances = np.mean([root.independent**2 for root in roots], axis=0)
        loadings = np.concatenate([root.loadings for root in roots]) / np.sqrt(len(roots))
        of_columns = variances + np.sum(loadings**2, axis=0)
        return Root(loadings, np.sqrt(variances + self.spread * of_columns)), len(roots)
