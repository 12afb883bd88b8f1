"""A class's mean with the deviations that samples of other classes have from theirs."""

from __future__ import annotations

import dataclasses

import numpy as np

from rembrandt_featgen.generation.class_residuals import Residuals
from rembrandt_featgen.generation.sampling_method import FlatDraw, Method, RealSamples, stream


@dataclasses.dataclass(frozen=True)
class Transfer(Method):
    """Draws the mean of the class + the deviation of a sample of another class from the mean of that.

    It is the simplest form of the reference, whose analogies between two samples of a class are a network there. Each
    patient of the other classes is drawn equally often. Where these have fewer than two patients, deviations within
    the class itself are among those drawn. Its draws give real patients of other classes away, but for a constant: they
    are for training, and not to be shared.

    Reference: Hariharan and Girshick, Low-shot Visual Recognition by Shrinking and Hallucinating Features, 2017.
    """

    kind = "generative"
    nested = True

    def fit_flat(self, real: RealSamples) -> FlatDraw:
        """Computes means and deviations."""
        residuals = Residuals.of(real)

        def draw(label: int, count: int, seed: int) -> np.ndarray:
            known = residuals.patients[residuals.labels] > 0
            donors = np.flatnonzero(known & (residuals.labels != label))
            if residuals.patients.sum() - residuals.patients[label] < 2:
                donors = np.flatnonzero(known)
            deviation = np.zeros(real.flat.shape[1])
            if len(donors):
                deviation = residuals.rows[residuals.choose(donors, stream(seed, label).random(count))]
            return np.broadcast_to(residuals.means[label] + deviation, (count, len(deviation.T))).astype(
                real.flat.dtype
            )

        return draw
