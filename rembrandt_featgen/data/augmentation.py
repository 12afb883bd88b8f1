"""The seven augmentations of the paper's Table 1, composed into one resampling of image and mask.

Positions are measured from the image's centre, x to the right and y down as displayed. The techniques act on the
content in the order of Table 1, which is that of the TensorLayer original:

    1. flip horizontally   x -> -x
    2. flip vertically     y -> -y
    3. elastic distortion  the content at (x, y) + displacement(x, y) comes to (x, y)
    4. rotation by a       (x, y) -> (x cos a + y sin a, y cos a - x sin a): anticlockwise as displayed for a > 0
    5. shift               (x, y) -> (x, y) + shift * (width, height): to the right and down for shift > 0
    6. shear               x -> x + shear * y: every row moves horizontally, by its distance from the middle row
    7. zoom                (x, y) -> (1 + zoom) (x, y): larger for zoom > 0

Unlike the original, whose quirks `augment_origin` keeps, nothing that one technique moves out of the image is lost to
the next, the image is interpolated only once, the mask stays binary, and every image of a batch has parameters of its
own.
"""

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
    """What is done to each image of a batch; units and directions as in the module's docstring.

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
    return Parameters(no, no, tf.zeros([batch, height, width, 2]), zero, tf.zeros([batch, 2]), zero, zero)


def draw(seed: tf.Tensor, batch: int | tf.Tensor, height: int, width: int, ranges: Ranges = TABLE_1) -> Parameters:
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
        displacement=elastic(noise, height, width, ranges),
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


def elastic(noise: tf.Tensor, height: int, width: int, ranges: Ranges = TABLE_1) -> tf.Tensor:
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


def apply(images: tf.Tensor, masks: tf.Tensor, parameters: Parameters) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies given parameters to images (bilinear) and masks (nearest), in one read.

    Args:
      images: [batch, height, width, channels] floats; the batch may be unknown while a graph is built, the rest not.
      masks: [batch, height, width, 1] in {0, 1}, of any type.
      parameters: of that many images.

    Returns:
      Images and masks of the same shapes and types. Where no content comes to, the image holds the least value of each
      of its channels (the background) and the mask 0.

    Raises:
      ValueError: if images and masks do not fit each other, or their size is unknown.

    Reference: the paper, Table 1.
    """
    images, masks = checked(images, masks)
    return _apply(images, masks, parameters)


def augment(
    images: tf.Tensor, masks: tf.Tensor, seed: tf.Tensor, ranges: Ranges = TABLE_1
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws parameters and applies them: `dataset.enumerate().map(lambda i, batch: augment(*batch, [seed, i]))`.

    Args:
      images: [batch, height, width, channels] floats.
      masks: [batch, height, width, 1] in {0, 1}, of any type.
      seed: [2] integers, different for every batch.
      ranges: how far each technique goes.

    Returns:
      Images and masks of the same shapes and types.

    Raises:
      ValueError: if images and masks do not fit each other, or their size is unknown.

    Reference: the paper, Table 1.
    """
    images, masks = checked(images, masks)
    return apply(images, masks, draw(seed, tf.shape(images)[0], *images.shape[1:3], ranges))


def checked(images: tf.Tensor, masks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Images and masks as tensors; ValueError where they do not fit each other or a size is unknown."""
    images, masks = tf.convert_to_tensor(images), tf.convert_to_tensor(masks)
    if not images.dtype.is_floating or images.shape.rank != 4 or None in images.shape[1:]:
        raise ValueError(
            "images must be floats of shape [batch, height, width, channels], only the batch unknown; "
            f"received {images.dtype.name} {images.shape}"
        )
    if masks.shape.rank != 4 or masks.shape[1:] != [*images.shape[1:3], 1]:
        raise ValueError(f"masks must be [batch, height, width, 1] like images {images.shape}; received {masks.shape}")
    return images, masks


def _apply(images, masks, parameters):
    values = tf.cast(images, tf.float32)
    background = tf.reduce_min(values, [1, 2], keepdims=True)
    x, y = _sources(parameters, *images.shape[1:3])
    values, labels = _read(values - background, background, masks, x, y)
    return tf.cast(values, images.dtype), labels


# XLA makes a few loops of many operations. It is given the two parts apart, and no background to take off: one loop of
# all would compute the positions and the differences anew for each of the pixels that are read. And it reads slice by
# slice: what it needs of one stays in the cache.
@tf.function(jit_compile=True)
def _read(values, background, masks, x, y):
    def read_one(parts):
        return tuple(found[0] for found in warps.read_with_mask(*(part[tf.newaxis] for part in parts)))

    values, labels = tf.map_fn(read_one, (values, masks, x, y), fn_output_signature=(tf.float32, masks.dtype))
    return values + background, labels


@tf.function(jit_compile=True)
def _sources(parameters, height, width):
    """Returns where each pixel of the output reads its input: x and y, [batch, height, width] in pixels."""
    rows, columns = parameters.displacement.shape[1:3]
    half_width, half_height = (width - 1) / 2, (height - 1) / 2
    # The map is computed on the lattice only, last technique first, and then interpolated: linear parts stay exact.
    x = tf.constant(warps.grid_points(width, columns) - half_width, tf.float32)[None, None, :]
    y = tf.constant(warps.grid_points(height, rows) - half_height, tf.float32)[None, :, None]
    each = {name: value[:, None, None] for name, value in parameters._asdict().items()}  # [batch, 1, 1, ...]
    x, y = x / (1.0 + each["zoom"]), y / (1.0 + each["zoom"])
    x = x - each["shear"] * y  # [batch, rows, columns] from here on
    x, y = x - each["shift"][..., 0] * width, y - each["shift"][..., 1] * height
    cos, sin = tf.cos(each["angle"]), tf.sin(each["angle"])
    x, y = x * cos - y * sin, x * sin + y * cos
    # Beyond the image the displacement goes on as it is at the edge.
    column = tf.clip_by_value((x + half_width) * ((columns - 1) / (width - 1)), 0.0, columns - 1.0)
    row = tf.clip_by_value((y + half_height) * ((rows - 1) / (height - 1)), 0.0, rows - 1.0)
    displacement = warps.read_bilinear(parameters.displacement, column, row)
    x, y = x + displacement[..., 0], y + displacement[..., 1]
    x = tf.where(each["flip_horizontal"], -x, x) + half_width
    y = tf.where(each["flip_vertical"], -y, y) + half_height
    return tuple(warps.interpolate(each, height, width) for each in (x, y))
