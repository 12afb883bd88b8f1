"""Reading images at arbitrary positions, and the matrices that smooth and interpolate on a grid.

Pixel (row i, column j) has its centre at y = i, x = j; x points right and y points down, as displayed.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def grid_points(length: int, count: int) -> np.ndarray:
    """Returns `count` positions in pixels, equally spaced from the first pixel's centre to the last one's."""
    return np.linspace(0.0, length - 1.0, count)


def cell_centres(length: int, count: int) -> np.ndarray:
    """Returns the centres in pixels of the `count` equal cells that `length` pixels are divided into."""
    return (np.arange(count) + 0.5) * length / count - 0.5


def smoothing_matrix(points: np.ndarray, cells: np.ndarray, sigma: float) -> np.ndarray:
    """Returns the matrix that takes values at `cells` to their Gaussian-smoothed values at `points`.

    With points = cells = 0, 1, 2, ... it is exactly `scipy.ndimage.gaussian_filter1d(mode="constant", cval=0)`: the
    kernel is cut at 4 sigma, normalised to sum 1 over pixels, and nothing lies beyond the first and the last cell.

    Args:
      points: [p] positions in pixels.
      cells: [c] positions in pixels.
      sigma: standard deviation of the kernel in pixels, above 0.

    Returns:
      [p, c] float64 weights.

    Raises:
      ValueError: if `sigma` is not positive.
    """
    if sigma <= 0:
        raise ValueError(f"sigma must be positive, received {sigma}")
    radius = int(4.0 * sigma + 0.5)
    total = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2).sum()
    distance = np.abs(points[:, None] - cells[None, :])
    return np.where(distance <= radius, np.exp(-0.5 * (distance / sigma) ** 2) / total, 0.0)


def interpolation_matrix(length: int, count: int) -> np.ndarray:
    """Returns the [length, count] matrix that interpolates linearly from `grid_points` to every pixel."""
    position = np.arange(length) * (count - 1) / max(length - 1, 1)
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(count)[None, :]))


def interpolate(lattice: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Interpolates values on a lattice linearly to every pixel.

    Args:
      lattice: [batch, rows, columns] float32, at `grid_points(height, rows)` and `grid_points(width, columns)`.
      height, width: of the image, in pixels.

    Returns:
      [batch, height, width] float32.
    """
    rows, columns = lattice.shape[1:3]
    across = tf.matmul(lattice, tf.constant(interpolation_matrix(width, columns).T, tf.float32))  # [batch, rows, width]
    # Downwards each pixel has two neighbours only, whole rows that are near in memory: no product is needed.
    position = np.arange(height) * (rows - 1) / max(height - 1, 1)
    above = np.minimum(position.astype(np.int32), max(rows - 2, 0))
    share = tf.constant((position - above)[:, np.newaxis], tf.float32)
    upper, lower = (tf.gather(across, np.minimum(row, rows - 1), axis=1) for row in (above, above + 1))
    return upper + (lower - upper) * share


def read_bilinear(values: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Reads images bilinearly at given positions; every pixel beyond the edge counts as 0.

    Args:
      values: [batch, height, width, channels] float32.
      x, y: [batch, rows, columns] float32 positions in pixels.

    Returns:
      [batch, rows, columns, channels] float32.
    """
    above, below, right, down = _read(values, x, y)
    return _blend(above, below, right=right, down=down)


def read_with_mask(values: tf.Tensor, masks: tf.Tensor, *, x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Reads images bilinearly and their masks at the nearest pixel (ties go right and down), and 0 beyond the edge.

    The mask travels in the last bit of every channel, so that one read serves both, twice as fast. That changes the
    image by less than the rounding of its interpolation.

    Args:
      values: [batch, height, width, channels] float32.
      masks: [batch, height, width, 1] in {0, 1}, of any type.
      x, y: [batch, rows, columns] float32 positions in pixels.

    Returns:
      [batch, rows, columns, channels] float32 and [batch, rows, columns, 1] of the type of `masks`.
    """
    bits = tf.bitwise.bitwise_and(tf.bitcast(values, tf.int32), ~1) + tf.cast(masks, tf.int32)
    above, below, right, down = _read(tf.bitcast(bits, tf.float32), x, y)
    top, bottom = (tf.where(right >= 0.5, tf.math.imag(pair), tf.math.real(pair)) for pair in (above, below))
    nearest = tf.bitcast(tf.where(down >= 0.5, bottom, top)[..., :1], tf.int32)
    return _blend(above, below, right=right, down=down), tf.cast(tf.bitwise.bitwise_and(nearest, 1), masks.dtype)


def _read(values, x, y):
    """Reads the four neighbours of positions; pairs above and below, [batch, rows, columns, channels], and fractions.

    Left and right neighbour travel as one complex number: two reads instead of four, twice as fast under XLA.
    """
    height, width = values.shape[1], values.shape[2]
    stride = width + 2
    # A frame of zeros.
    padded = tf.pad(values, [[0, 0], [1, 1], [1, 1], [0, 0]])
    padded = tf.reshape(padded, [-1, values.shape[3]])  # [batch * (height + 2) * (width + 2), channels]
    pairs = tf.complex(padded[:-1], padded[1:])
    # Positions further out than the frame move onto it. The last step below keeps the right neighbour inside the frame.
    x = tf.clip_by_value(x + 1.0, 0.0, np.nextafter(np.float32(width + 1), np.float32(0)))
    y = tf.clip_by_value(y + 1.0, 0.0, np.nextafter(np.float32(height + 1), np.float32(0)))
    column, row = tf.cast(x, tf.int32), tf.cast(y, tf.int32)  # truncation is floor: both are positive
    image = tf.reshape(tf.range(tf.shape(values)[0]), [-1, 1, 1])
    index = (image * (height + 2) + row) * stride + column  # [batch, rows, columns]
    right, down = x - tf.cast(column, tf.float32), y - tf.cast(row, tf.float32)
    return tf.gather(pairs, index), tf.gather(pairs, index + stride), right[..., None], down[..., None]


def _blend(above, below, *, right, down):
    top = (1.0 - right) * tf.math.real(above) + right * tf.math.imag(above)
    bottom = (1.0 - right) * tf.math.real(below) + right * tf.math.imag(below)
    return (1.0 - down) * top + down * bottom
