"""Kernel density estimates: a Gaussian about each sample, as wide as patients who were left out ask for."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.special import logsumexp

from rembrandt_featgen.generation.class_residuals import Residuals
from rembrandt_featgen.generation.sampling_method import FlatDraw, Method, RealSamples, stream
from rembrandt_featgen.generation.whitening import Whitening, whiten

_LEFT_OUT = 200  # patients of each class whose likelihood decides; of more, evenly chosen ones


@dataclasses.dataclass(frozen=True)
class Kde(Method):
    """Draws mean + a (sample - mean) + sqrt(1 - a^2) noise: samples of the class, moved towards its mean and blurred.

    Noise has the covariance within classes, pooled over patients and shrunk (see `shrunk_covariance`), so that draws
    have it, too, whatever a is (Silverman's smoothed bootstrap). a = 0 is one Gaussian, a = 1 would repeat samples. Of
    all `closeness` that one is taken under which patients are most likely whose samples are left out, the mean of
    their class being that of the others; each patient weighs the same. Likelihoods are along the leading axes of that
    covariance (`whitening`): over hundreds of columns it is too little known, and closer is likelier than it should be.

    Attributes:
      components: axes of the likelihood, at most.
      closeness: values of a that are tried, from 0 to below 1.

    Reference: Silverman, Density Estimation for Statistics and Data Analysis, 1986, sections 3.4 and 6.4.
    """

    kind = "generative"
    nested = True  # but for the last bits

    components: int = 16
    closeness: tuple[float, ...] = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)

    def __post_init__(self):
        """Checks the settings."""
        if self.components < 1 or not self.closeness or not all(0 <= a < 1 for a in self.closeness):
            raise ValueError(f"closeness must be from 0 to below 1, components from 1, received {self}")

    def fit_flat(self, real: RealSamples) -> FlatDraw:
        """Chooses how close to samples draws are."""
        residuals = Residuals.of(real)
        a = choose_closeness(whiten(residuals, self.components), self.closeness)

        def draw(label: int, count: int, seed: int) -> np.ndarray:
            of_class = np.flatnonzero(residuals.labels == label)
            chosen = residuals.rows[residuals.choose(of_class, stream(seed, label).random(count))]
            root = residuals.root
            noise = root.draw(np.random.default_rng([seed, label, 1]).standard_normal((count, root.normals)))
            return (residuals.means[label] + a * chosen + np.sqrt(1 - a**2) * noise).astype(real.flat.dtype)

        return draw


def choose_closeness(space: Whitening, values: tuple[float, ...]) -> float:
    """The one of some values of a under which left-out patients are most likely; the first where none can be left out.

    Args:
      space: of the real samples.
      values: see `Kde`.
    """
    residuals, size = space.residuals, space.size
    if not size or len(values) == 1 or residuals.patients.max() < 2:
        return values[0]
    a = np.array(values)[:, None, None]
    likelihoods = np.zeros(len(values))
    for label in np.flatnonzero(residuals.patients > 1):
        rows, patients = np.flatnonzero(residuals.labels == label), residuals.patients[label]
        weights = residuals.weights[rows]
        inflation = 1 / np.sqrt(1 - np.sum(weights**2))  # of `Residuals.rows`
        whitened = space.rows[rows].astype(np.float64) / inflation
        products = whitened @ whitened.T
        groups, lengths = residuals.groups[rows], np.diag(products)
        names = np.unique(groups)
        for group in names[:: -(-len(names) // _LEFT_OUT)]:
            own, others = np.flatnonzero(groups == group), np.flatnonzero(groups != group)
            # the mean of the class moves away from the patient whom it loses
            moved = products[own].mean(axis=0) / (patients - 1)
            constant = moved[own].mean() / (patients - 1)
            squares = lengths + 2 * moved + constant
            between = products[np.ix_(own, others)] + moved[own][:, None] + moved[others] + constant
            distances = squares[own][:, None] - 2 * a * inflation * between + (a * inflation) ** 2 * squares[others]
            shares = np.log(weights[others] / weights[others].sum())
            densities = logsumexp(shares - distances / (2 * (1 - a**2)), axis=2) - size / 2 * np.log(1 - a[..., 0] ** 2)
            likelihoods += densities.mean(axis=1)
    return float(values[int(np.argmax(likelihoods))])
