"""How far each technique of the paper's Table 1 goes, and what is drawn of it for each image."""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from rembrandt_featgen.data import warps

ELASTIC_HEIGHT = 240  # pixels: the image height for which Table 1 gives alpha and sigma (section 3.4)
POINTS_PER_SIGMA = 4  # of the displacement's lattice: interpolating it errs by 0.04 pixels at 240x240, 0.2 at most


class Ranges(NamedTuple):
    """How far each technique goes; the defaults are the paper's Table 1, and 0 switches a technique off.

    `flip_*` are probabilities. `alpha` and `sigma` (pixels at a height of 240) are the amplitude and the smoothness of
    the elastic distortion. All others are half-widths of uniform distributions around 0: `angle` in radians, `shift`
    in fractions of width and height, `shear` in columns per row, `zoom` as a fraction.
    """

    flip_horizontal: float = 0.5
    flip_vertical: float = 0.5
    alpha: float = 720.0
    sigma: float = 24.0
    angle: float = math.radians(20.0)
    shift: float = 0.10
    shear: float = 0.05
    zoom: float = 0.10


TABLE_1 = Ranges()


class Parameters(NamedTuple):
    """What is done to each image of a batch; units and directions as in `augmentation`.

    `flip_*` are [batch] bool; `angle` (radians), `shear` and `zoom` [batch] float32; `shift` [batch, 2] float32, (x,
    y); `displacement` [batch, rows, columns, 2] float32, (x, y) in pixels, on a lattice that spans the image from the
    first to the last pixel's centre and may be coarser than the pixels.
    """

    flip_horizontal: tf.Tensor
    flip_vertical: tf.Tensor
    displacement: tf.Tensor
    angle: tf.Tensor
    shift: tf.Tensor
    shear: tf.Tensor
    zoom: tf.Tensor


def identity(batch: int | tf.Tensor, height: int, width: int) -> Parameters:
    """Returns the parameters that change nothing.

    Args:
      batch: number of images.
      height, width: of the images, which is here that of the displacement's lattice too.
    """
    no, zero = tf.zeros([batch], tf.bool), tf.zeros([batch])
    return Parameters(
        no, no, tf.zeros([batch, height, width, 2]), angle=zero, shift=tf.zeros([batch, 2]), shear=zero, zoom=zero
    )


def draw(seed: tf.Tensor, batch: int | tf.Tensor, *, height: int, width: int, ranges: Ranges = TABLE_1) -> Parameters:
    """Draws the parameters of a batch; the same seed gives the same ones, on every device.

    Args:
      seed: [2] integers.
      batch: number of images.
      height, width: of the images, in pixels.
      ranges: how far each technique goes.

    Returns:
      Parameters, independent between images.

    Reference: the paper, Table 1.
    """
    # An int32 seed and the same one in int64, as `enumerate` counts, would split differently.
    seeds = tf.random.split(tf.cast(seed, tf.int64), 2, alg="philox")
    uniform = tf.random.stateless_uniform([batch, 7], seeds[0], alg="philox")
    signed = 2.0 * uniform - 1.0
    rows, columns = lattice_size(height, width, ranges)
    # One noise map for each axis.
    noise = tf.random.stateless_uniform([batch, 2, rows, columns], seeds[1], -1.0, alg="philox")
    return Parameters(
        flip_horizontal=uniform[:, 0] < ranges.flip_horizontal,
        flip_vertical=uniform[:, 1] < ranges.flip_vertical,
        displacement=elastic(noise, height, width, ranges=ranges),
        angle=ranges.angle * signed[:, 2],
        shift=ranges.shift * signed[:, 3:5],
        shear=ranges.shear * signed[:, 5],
        zoom=ranges.zoom * signed[:, 6],
    )


def lattice_size(height: int, width: int, ranges: Ranges = TABLE_1) -> tuple[int, int]:
    """Returns the rows and columns of the displacement's lattice: 41 x 41 for square images and Table 1's sigma."""
    if ranges.alpha == 0.0:
        return 2, 2
    spacing = max(1.0, ranges.sigma * height / ELASTIC_HEIGHT / POINTS_PER_SIGMA)  # pixels
    return math.ceil((height - 1) / spacing) + 1, math.ceil((width - 1) / spacing) + 1


def elastic(noise: tf.Tensor, height: int, width: int, *, ranges: Ranges = TABLE_1) -> tf.Tensor:
    """Smooths noise into a field of displacements: `alpha * gaussian_filter(noise, sigma, mode="constant")`.

    With one noise value a pixel this is exactly scipy's filter. Fewer values stand for the sums of their pixels' noise,
    so the field has the same covariance. `sigma` grows in proportion to the image's height and `alpha` with its
    square, since the field's standard deviation is that of the noise times alpha / (2 sqrt(pi) sigma): an image of any
    size is thus deformed alike (4.9 pixels far from the edges at 240x240).

    Args:
      noise: [batch, 2, rows, columns] float32, uniform in [-1, 1), for x and for y.
      height, width: of the images, in pixels; at least 2.
      ranges: gives alpha and sigma.

    Returns:
      [batch, rows, columns, 2] float32 displacements in pixels, (x, y).

    Reference: the paper, Table 1; Simard et al., "Best practices for convolutional neural networks", ICDAR 2003.
    """
    rows, columns = noise.shape[2:]
    if ranges.alpha == 0.0:
        return tf.zeros([tf.shape(noise)[0], rows, columns, 2])
    scale = height / ELASTIC_HEIGHT

    def smoothing(length, count):
        points, cells = warps.grid_points(length, count), warps.cell_centres(length, count)
        # The sum of n independent pixels deviates sqrt(n) times as much as one.
        return math.sqrt(length / count) * warps.smoothing_matrix(points, cells, ranges.sigma * scale)

    vertical = tf.constant(ranges.alpha * scale**2 * smoothing(height, rows), tf.float32)
    horizontal = tf.constant(smoothing(width, columns), tf.float32)
    smooth = tf.matmul(tf.matmul(vertical, noise), horizontal, transpose_b=True)  # [batch, 2, rows, columns]
    return tf.transpose(smooth, [0, 2, 3, 1])
