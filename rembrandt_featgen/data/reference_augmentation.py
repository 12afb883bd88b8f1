"""The augmentations of Table 1 as the reference implementation (TensorLayer) computes them, to measure the difference.

Order and ranges are those of `augmentation`. What differs, and changes results:

    1. Each technique resamples the result of the one before: up to five interpolations blur the image, and what one
       technique moves out of the image is lost to the next. (`augmentation`: one interpolation of the composed map.)
    2. What comes from beyond the edge is 0, which in normalised slices is the mean intensity, brighter than the
       background; and pixels within one step beyond the edge are 0 outright. (`augmentation`: each channel's
       background.)
    3. The mask is interpolated bilinearly, too: soft edges, which the loss takes as they are. (`augmentation`:
       nearest.)
    4. The elastic distortion has one noise map for both axes: everything moves along one diagonal.
    5. That noise is seeded by the clock's second, and a batch is augmented by threads within it: here, all images of a
       batch get the same field. (`augmentation`: a field for each image.)
    6. Shear by an angle s in radians moves columns, not rows: (x, y) is read at (x cos s, y - x sin s), which is a
       vertical shear with a little zoom, where Table 1 says "horizontally".
    7. Zoom draws height and width apart, so that shapes are stretched by up to 22%, and reads at (1 + zoom) times the
       position: content is 1 / (1 + zoom) as large.

Left out, as they change nothing that one could measure: rotation and shift turn and move the other way (both are
drawn evenly around 0), and TensorLayer 1's centre of rotation is off by one pixel, which 2.2.5 has fixed.
`zoom_multi` is taken as in TensorLayer 1, with which the reference implementation ran; that of 2.2.5 fails.
"""

from __future__ import annotations

import tensorflow as tf

from rembrandt_featgen.data import augmentation_parameters, warps
from rembrandt_featgen.data.augmentation import checked
from rembrandt_featgen.data.augmentation_parameters import TABLE_1, Parameters, Ranges

RANGES = TABLE_1  # of `augment`


def draw(seed: tf.Tensor, batch: int | tf.Tensor, *, height: int, width: int, ranges: Ranges = TABLE_1) -> Parameters:
    """Draws the parameters of a batch; the same seed gives the same ones, on every device.

    Args:
      seed, batch, height, width, ranges: as for `augmentation_parameters.draw`.

    Returns:
      Parameters in the reference implementation's terms: the displacement is the same for all images and both axes,
      and `zoom` is [batch, 2], (x, y).

    Reference: the paper, Table 1; TensorLayer, `prepro`.
    """
    drawn = augmentation_parameters.draw(seed, batch, height=height, width=width, ranges=ranges)
    field = drawn.displacement[:1, ..., :1]
    other = tf.random.experimental.stateless_fold_in(tf.cast(seed, tf.int64), 1)
    zoom = ranges.zoom * tf.random.stateless_uniform([batch, 2], other, -1.0, 1.0, alg="philox")
    return drawn._replace(displacement=tf.tile(field, [batch, 1, 1, 2]), zoom=zoom)


def apply(images: tf.Tensor, masks: tf.Tensor, parameters: Parameters) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies given parameters to images and masks alike, one technique after the other, all bilinear.

    Args:
      images: [batch, height, width, channels] floats; the batch may be unknown while a graph is built, the rest not.
      masks: [batch, height, width, 1] in {0, 1}, of any type.
      parameters: of `draw`.

    Returns:
      Images of the same shape and type, and masks [batch, height, width, 1] float32 in [0, 1].

    Raises:
      ValueError: if images and masks do not fit each other, or their size is unknown.

    Reference: the paper, Table 1; TensorLayer, `prepro`.
    """
    images, masks = checked(images, masks)
    return _apply(images, masks, parameters)


def augment(
    images: tf.Tensor, masks: tf.Tensor, seed: tf.Tensor, *, ranges: Ranges = TABLE_1
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws parameters and applies them; args and returns as for `draw` and `apply`."""
    images, masks = checked(images, masks)
    _, height, width, _ = images.shape
    return apply(images, masks, draw(seed, tf.shape(images)[0], height=height, width=width, ranges=ranges))


@tf.function(jit_compile=True)
def _apply(images, masks, parameters):
    height, width = images.shape[1:3]
    values = tf.concat([tf.cast(images, tf.float32), tf.cast(masks, tf.float32)], -1)
    each = {name: value[:, None, None] for name, value in parameters._asdict().items()}  # [batch, 1, 1, ...]
    values = tf.where(each["flip_horizontal"][..., None], values[:, :, ::-1], values)
    values = tf.where(each["flip_vertical"][..., None], values[:, ::-1], values)
    x = tf.range(width, dtype=tf.float32)[None, None, :] - (width - 1) / 2
    y = tf.range(height, dtype=tf.float32)[None, :, None] - (height - 1) / 2
    shift_x, shift_y = (warps.interpolate(parameters.displacement[..., axis], height, width) for axis in (0, 1))
    values = _read(values, x + shift_x, y + shift_y)
    cos, sin = tf.cos(each["angle"]), tf.sin(each["angle"])
    values = _read(values, x * cos + y * sin, y * cos - x * sin)
    values = _read(values, x + each["shift"][..., 0] * width, y + each["shift"][..., 1] * height)
    values = _read(values, x * tf.cos(each["shear"]), y - x * tf.sin(each["shear"]))
    zoom = 1.0 + each["zoom"]
    values = _read(values, x * zoom[..., 0], y * zoom[..., 1])
    return tf.cast(values[..., :-1], images.dtype), values[..., -1:]


def _read(values, x, y):
    """Reads at positions from the centre as scipy does in mode "constant": 0 from the last pixel's centre on."""
    height, width = values.shape[1:3]
    half_width, half_height = (width - 1) / 2, (height - 1) / 2
    batch = tf.shape(values)[0]
    x, y = (tf.broadcast_to(place, [batch, height, width]) for place in (x, y))
    inside = (tf.abs(x) <= half_width) & (tf.abs(y) <= half_height)
    return tf.where(inside[..., None], warps.read_bilinear(values, x + half_width, y + half_height), 0.0)
