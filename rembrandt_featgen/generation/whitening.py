"""The space in which networks learn vectors: deviations from the mean of the class, uncorrelated and of variance 1."""

from __future__ import annotations

import dataclasses

import numpy as np

from rembrandt_featgen.generation.class_residuals import Residuals
from rembrandt_featgen.generation.shrunk_covariance import shrinkage

_NOTHING = 1e-6  # of the largest standard deviation along an axis, below which there is none


@dataclasses.dataclass(frozen=True, eq=False)
class Whitening:
    """Axes of the pooled covariance within classes, of columns of variance 1; the first q of them are learnt.

    Standard normal numbers along all axes decode to a Gaussian with the means of the classes, the variances of the
    columns, and their correlations shrunk by Ledoit-Wolf's share: what networks start from, and what the axes that are
    not learnt keep.

    Attributes:
      residuals: of the real samples.
      axes: [r, size] orthonormal, of columns divided by their scale, by falling deviations; r from q, which may be 0.
      deviations: [q] of the samples along the axes that are learnt.
      shrunk: [r] the same of the shrunk covariance, by which rows are decoded, along all axes.
      rest: [size] standard deviations of the rest of each column, which is drawn independently.
      rows: [n, q] float32 samples along the axes, divided by `deviations`.
    """

    residuals: Residuals
    axes: np.ndarray
    deviations: np.ndarray
    shrunk: np.ndarray
    rest: np.ndarray
    rows: np.ndarray

    @property
    def size(self) -> int:
        """Number of axes."""
        return len(self.deviations)

    @property
    def normals(self) -> int:
        """Standard normal numbers that `decode` needs for each sample."""
        return len(self.axes) - self.size + len(self.rest)

    def decode(self, label: int, rows: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Samples [count, size] of a class, of rows [count, q] and normals [count, `self.normals`]."""
        others = len(self.axes) - self.size
        along = np.concatenate([rows, normals[:, :others]], axis=1)
        standard = (self.shrunk * along) @ self.axes + self.rest * normals[:, others:]
        return self.residuals.means[label] + self.residuals.scale * standard

    def position(self, label: int) -> np.ndarray:
        """[q] of the mean of a class from the mean of all patients, in the units of `rows`."""
        patients, scale = np.maximum(self.residuals.patients, 0), self.residuals.scale
        shift = self.residuals.means[label] - patients @ self.residuals.means / max(1, patients.sum())
        standard = np.divide(shift, scale, out=np.zeros_like(shift), where=scale > 0)
        return self.axes[: self.size] @ standard / self.deviations


def whiten(residuals: Residuals, most: int) -> Whitening:
    """The axes of largest variance: as many as there are columns, at most `most` and half of the patients.

    Where not all columns can have one, their number is a power of two, so that parts of a cohort have equally many.
    """
    scale, shares = residuals.scale, residuals.shares
    standard = np.divide(residuals.rows, scale, out=np.zeros_like(residuals.rows), where=scale > 0)
    weighted = standard * np.sqrt(shares)[:, None]
    _, deviations, axes = np.linalg.svd(weighted, full_matrices=False)
    columns, limit = int(np.sum(scale > 0)), max(1, min(most, int(residuals.patients.sum()) // 2))
    q = columns if columns <= limit else 2 ** int(np.log2(limit))
    rank = int(np.sum(deviations > _NOTHING * max(1.0, deviations[:1].sum())))
    axes, deviations, q = axes[:rank], deviations[:rank], min(q, rank)
    there = shares > 0
    share = shrinkage(weighted[np.ix_(there, scale > 0)] * np.sqrt(there.sum())) if q else 1.0
    shrunk = np.sqrt((1 - share) * deviations**2 + share)
    rest = np.sqrt(np.maximum(0, (scale > 0) - shrunk**2 @ axes**2))
    rows = (standard @ axes[:q].T / deviations[:q]).astype(np.float32)
    return Whitening(residuals, axes=axes, deviations=deviations[:q], shrunk=shrunk, rest=rest, rows=rows)
