"""The seven augmentations of the paper's Table 1, composed into one resampling of image and mask.

Positions are measured from the image's centre, x to the right and y down as displayed. The techniques act on the
content in the order of Table 1, which is that of the reference implementation in TensorLayer:

    1. flip horizontally   x -> -x
    2. flip vertically     y -> -y
    3. elastic distortion  the content at (x, y) + displacement(x, y) comes to (x, y)
    4. rotation by a       (x, y) -> (x cos a + y sin a, y cos a - x sin a): anticlockwise as displayed for a > 0
    5. shift               (x, y) -> (x, y) + shift * (width, height): to the right and down for shift > 0
    6. shear               x -> x + shear * y: every row moves horizontally, by its distance from the middle row
    7. zoom                (x, y) -> (1 + zoom) (x, y): larger for zoom > 0

The reference implementation has quirks, which `reference_augmentation` keeps. Here nothing that one technique moves out
of the image is lost to the next, the image is interpolated only once, the mask stays binary, and every image of a batch
has its own parameters.
"""

from __future__ import annotations

import tensorflow as tf

from rembrandt_featgen.data import warps
from rembrandt_featgen.data.augmentation_parameters import TABLE_1, Parameters, Ranges, draw

RANGES = TABLE_1  # of `augment`


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
    images: tf.Tensor, masks: tf.Tensor, seed: tf.Tensor, *, ranges: Ranges = TABLE_1
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
    _, height, width, _ = images.shape
    return apply(images, masks, draw(seed, tf.shape(images)[0], height=height, width=width, ranges=ranges))


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
    x, y = _sources(parameters, images.shape[1], images.shape[2])
    values, labels = _read(values - background, background, masks, x=x, y=y)
    return tf.cast(values, images.dtype), labels


# XLA makes a few loops of many operations. It is given the two parts apart, and no background to take off: one loop of
# all would compute the positions and the differences anew for each of the pixels that are read. And it reads slice by
# slice: what it needs of one stays in the cache.
@tf.function(jit_compile=True)
def _read(values, background, masks, x, y):
    def read_one(parts):
        image, mask, its_x, its_y = (part[tf.newaxis] for part in parts)
        return tuple(read[0] for read in warps.read_with_mask(image, mask, x=its_x, y=its_y))

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
    # Beyond the image the displacement is that of the edge.
    column = tf.clip_by_value((x + half_width) * ((columns - 1) / (width - 1)), 0.0, columns - 1.0)
    row = tf.clip_by_value((y + half_height) * ((rows - 1) / (height - 1)), 0.0, rows - 1.0)
    displacement = warps.read_bilinear(parameters.displacement, column, row)
    x, y = x + displacement[..., 0], y + displacement[..., 1]
    x = tf.where(each["flip_horizontal"], -x, x) + half_width
    y = tf.where(each["flip_vertical"], -y, y) + half_height
    return tuple(warps.interpolate(each, height, width) for each in (x, y))
