"""Sets of features pooled to vectors: their check, and distances between two of them block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sklearn.metrics.pairwise import euclidean_distances

BLOCK = 1024  # rows of a matrix between two sets that are held at once


def checked(*sets: np.ndarray, least: int) -> list[np.ndarray]:
    """float64 copies of sets of features.

    Args:
      sets: each [samples, d].
      least: samples that each must have.

    Raises:
      ValueError: features are not finite matrices of as many columns, or too few.
    """
    arrays = [np.asarray(x, np.float64) for x in sets]
    shapes = [x.shape for x in arrays]
    if any(len(shape) != 2 or shape[0] < least or shape[1] != shapes[0][-1] for shape in shapes):
        raise ValueError(
            f"features have shapes {', '.join(map(str, shapes))}; give pooled ones, [samples, d] with the same d, "
            f"and at least {least} samples of each"
        )
    if not all(np.isfinite(x).all() for x in arrays):
        raise ValueError("features hold NaN or infinite values; leave those samples out or fix what made them")
    return arrays


def row_blocks(x: np.ndarray) -> Iterator[slice]:
    """Slices that cut the rows of x into blocks."""
    for i in range(0, len(x), BLOCK):
        yield slice(i, i + BLOCK)


def distances(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of x, and their Euclidean distances to all of y, block by block."""
    for rows in row_blocks(x):
        yield rows, euclidean_distances(x[rows], y)
