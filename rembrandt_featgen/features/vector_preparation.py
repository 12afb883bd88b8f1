"""What is done to vectors before a classifier or a generator sees them, learnt from training samples alone."""

from __future__ import annotations

import dataclasses

import numpy as np

# Deviations of the training samples from their mean, at which a standardised column stops. A value thousands of
# deviations off (a slip of the pen, or a column that is 0 for all but a patient or two) would make a linear score
# absurd; what it was measured to be worth is in README.md. Of 401 training samples or fewer none is as far off.
FAR = 20.0
_FLAT = 1e-6  # of a column's largest absolute value: below it a standard deviation is of rounding


@dataclasses.dataclass(frozen=True, eq=False)
class VectorPreparation:
    """Missing values become the median, columns are standardised, and turned to principal components where wanted.

    Standardised columns stop at `FAR` to either side.

    Attributes:
      median: [d] float64 of the values that are there; 0 in a column without any.
      mean, deviation: [d] float64 after imputation; deviation 0 marks a constant column, which becomes 0.
      axes: [d, components] of the standardised columns, to unit variance, or None for the columns themselves.
      imputed: how many training values were missing.
      constant: how many columns are constant in training.
    """

    median: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    axes: np.ndarray | None
    imputed: int
    constant: int

    @property
    def size(self) -> int:
        """Numbers of a prepared vector."""
        return len(self.mean) if self.axes is None else self.axes.shape[1]

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Prepares vectors.

        Args:
          values: [n, d], NaN where missing.

        Returns:
          [n, size] float32, finite.
        """
        filled = np.where(np.isnan(values), self.median, values.astype(np.float64))
        inverse = np.divide(1.0, self.deviation, out=np.zeros_like(self.deviation), where=self.deviation > 0)
        standard = np.clip((filled - self.mean) * inverse, -FAR, FAR)
        return (standard if self.axes is None else standard @ self.axes).astype(np.float32)

    def restore(self, prepared: np.ndarray) -> np.ndarray:
        """Vectors in the units of the table, of which these are prepared; without principal components.

        Args:
          prepared: [n, d], such as what a generator drew.

        Returns:
          [n, d] float32, in which columns that were constant in training are so again, and what was further off than
          `FAR` is not.

        Raises:
          ValueError: vectors were turned to principal components.
        """
        if self.axes is not None:
            raise ValueError("principal components do not tell all of the columns that they were made of")
        return (prepared.astype(np.float64) * self.deviation + self.mean).astype(np.float32)


def fit(values: np.ndarray, *, components: int = 0) -> VectorPreparation:
    """Learns a preparation from training samples.

    Args:
      values: [n, d] of the training samples, NaN where missing.
      components: principal components that are kept, each divided by its standard deviation; 0 keeps the columns. At
        most as many as the samples span.
    """
    values = values.astype(np.float64)
    missing = np.isnan(values)
    median = np.zeros(values.shape[1])
    known = ~missing.all(0)
    median[known] = np.nanmedian(values[:, known], 0)
    filled = np.where(missing, median, values)
    mean, deviation = filled.mean(0), filled.std(0)
    deviation[deviation <= _FLAT * np.abs(filled).max(0, initial=0.0)] = 0.0
    plain = VectorPreparation(
        median=median,
        mean=mean,
        deviation=deviation,
        axes=None,
        imputed=int(missing.sum()),
        constant=int((deviation == 0).sum()),
    )
    if not components:
        return plain
    standard = plain.apply(values).astype(np.float64)
    _, singular, rows = np.linalg.svd(standard, full_matrices=False)
    kept = min(components, int((singular > 1e-5 * singular.max(initial=1e-300)).sum()))
    axes = rows[:kept].T * (np.sqrt(len(values)) / singular[:kept])
    return dataclasses.replace(plain, axes=axes)
