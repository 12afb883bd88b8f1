"""From a raw volume to the slices that networks take, and back: one TensorFlow graph for training and `predict` alike.

    raw volume -> clip -> crop -> shrink or cut, pad -> normalise -> slices with their neighbours

Intensities, in one of two ways:

  cohort   minus the mean, divided by the standard deviation of all training slices (paper 3.5). A value must mean the
           same in every volume, as Hounsfield units do.
  volume   each channel of each volume is clipped to percentiles, and z-scored over its foreground. Scaling or shifting
           a volume changes nothing.

The foreground are the voxels above the volume's mean. Air is darker than tissue and takes a large part of a volume, so
that this finds the head in MRI with or without skull, and on inputs that were z-scored before or are negative; it is
TorchIO's `ZNormalization.mean`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data import intensities
from rembrandt_featgen.data.intensities import Intensities

NORMALISATIONS = ("volume", "cohort")
CROPS = ("none", "foreground")
FITS = ("crop", "resize")
MULTIPLE = 16  # of a slice's sides: the U-Net pools four times
DESCRIBED = (0.05, 0.25, 0.5, 0.75, 0.95)  # quantiles of the normalised foreground that describe a volume

_SPARSE = 0.02  # rows with less foreground, as a share of the fullest row's, are not of the head
_MARGIN = 0.02  # of the box, at each side


@dataclasses.dataclass(frozen=True)
class Preparation:
    """What is done to a volume.

    Attributes:
      normalise: one of `NORMALISATIONS`.
      crop: "foreground" crops to the foreground's box in the plane, the same for all slices of a volume, and a margin.
      fit: "crop" cuts or pads around the centre, as the paper does; "resize" shrinks what is larger than `size`,
        keeping proportions, and pads the rest. Nothing is ever enlarged. Padding is the volume's least value; with
        "crop" and "cohort", the paper's way, raw 0.
      size: height and width of the prepared slices, pixels; a multiple of `MULTIPLE`.
      slices_in: 1, or 3 for a slice with the one below and the one above it as further channels.
      mean, deviation: [channels] of the training slices, for "cohort".
    """

    normalise: str
    crop: str
    fit: str
    size: int
    slices_in: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @property
    def shift_and_scale(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """What is taken off and divided by at the end, of each of the volume's channels; 0 and 1 for "volume"."""
        return self.mean, tuple(value if value > 0 else 1.0 for value in self.deviation)

    @property
    def without_cohort(self) -> Preparation:
        """The same without the mean and deviation of training slices: what it has in common with other splits'."""
        return dataclasses.replace(self, mean=(0.0,) * len(self.mean), deviation=(1.0,) * len(self.deviation))

    @classmethod
    def of_record(cls, record: Mapping) -> Preparation:
        """The same from stage.json."""
        return cls(**{**record, "mean": tuple(record["mean"]), "deviation": tuple(record["deviation"])})


class Geometry(NamedTuple):
    """Where the prepared slices lie in their volume: int32 tensors.

    Attributes:
      full: [2] height and width of the volume.
      box: [4] top, left, height and width of the part of the volume that was kept, in its pixels.
      scaled: [2] height and width of that part on the prepared grid, before it was cut or padded to the size.
    """

    full: tf.Tensor
    box: tf.Tensor
    scaled: tf.Tensor


def prepare_volume(volume: tf.Tensor, preparation: Preparation) -> tuple[tf.Tensor, Geometry]:
    """Prepares the slices of one whole volume.

    Args:
      volume: [slices, height, width, channels] float32, raw, as displayed (`slicing.as_displayed`).
      preparation: what is done.

    Returns:
      [slices, size, size, channels * slices_in] float32, the slice's own channels first, then those of the slice below
      and of the slice above (at the ends of the volume, the slice itself); and where they lie in the volume.
    """
    ordered = intensities.sampled(volume)
    threshold = intensities.thresholds(ordered)
    low, high, shift, scale = _intensities(ordered, threshold, preparation)
    geometry = _geometry(volume, threshold, preparation)
    clipped = tf.clip_by_value(volume, low, high)
    pad = 0.0 if (preparation.fit, preparation.normalise) == ("crop", "cohort") else tf.reduce_min(clipped, [0, 1, 2])
    fitted = _fit(clipped, geometry, preparation, pad=pad)
    normalised = (fitted - shift) / scale
    if preparation.slices_in == 3:
        below = tf.concat([normalised[:1], normalised[:-1]], 0)
        above = tf.concat([normalised[1:], normalised[-1:]], 0)
        normalised = tf.concat([normalised, below, above], -1)
    return normalised, geometry


def prepare_mask(mask: tf.Tensor, geometry: Geometry, preparation: Preparation) -> tf.Tensor:
    """The mask [slices, height, width, 1] of any type on the grid of the prepared slices, uint8 in {0, 1}.

    A pixel is tumour where more than half of it is.
    """
    return tf.cast(_fit(tf.cast(mask, tf.float32), geometry, preparation, pad=0.0) > 0.5, tf.uint8)


def restore_volume(probability: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    """Undoes the geometry: [slices, size, size, 1] float32 to [slices, height, width, 1], 0 where nothing was kept."""
    height, width = geometry.scaled[0], geometry.scaled[1]
    inside = tf.image.resize_with_crop_or_pad(probability, height, width)
    inside = tf.cond(
        tf.reduce_all(geometry.scaled == geometry.box[2:]),
        lambda: inside,
        lambda: tf.image.resize(inside, geometry.box[2:]),
    )
    top, left = geometry.box[0], geometry.box[1]
    return tf.image.pad_to_bounding_box(inside, top, left, geometry.full[0], geometry.full[1])


def describe(volume: tf.Tensor, preparation: Preparation) -> tf.Tensor:
    """The shape of a volume's intensities: share of foreground, then `DESCRIBED` quantiles of it after normalisation.

    Args and volume as for `prepare_volume`.

    Returns:
      [channels, 1 + number of quantiles] float32.
    """
    ordered = intensities.sampled(volume)
    threshold = intensities.thresholds(ordered)
    _, _, shift, scale = _intensities(ordered, threshold, preparation)
    rows = []
    for channel, values in enumerate(ordered):
        foreground = intensities.foreground(values, threshold[channel])
        quantiles = [intensities.quantile(foreground, share) for share in DESCRIBED]
        share = tf.cast(tf.size(foreground) / tf.size(values), tf.float32)
        normalised = (tf.stack(quantiles) - shift[channel]) / scale[channel]
        rows.append(tf.concat([[share], normalised], 0))
    return tf.stack(rows)


def place(volume: tf.Tensor, threshold: tf.Tensor, preparation: Preparation) -> Geometry:
    """Where the slices lie that `prepare_volume` would make of a volume, without making them.

    Args:
      volume: as for `prepare_volume`.
      threshold: of its foreground, `intensities.thresholds`.
      preparation: what would be done.
    """
    return _geometry(volume, threshold, preparation)


def kept_share(
    volume: tf.Tensor, geometry: Geometry, preparation: Preparation, *, threshold: tf.Tensor | None = None
) -> tf.Tensor:
    """Share of the foreground's voxels that lie in the prepared slices, float32 scalar; 1 where there are none.

    Args:
      volume: as for `prepare_volume`.
      geometry: that `prepare_volume` returned.
      preparation: what was done.
      threshold: of its foreground, where it is known.
    """
    if threshold is None:
        threshold = intensities.thresholds(intensities.sampled(volume))
    foreground = tf.reduce_sum(tf.cast(tf.reduce_any(volume > threshold, -1), tf.float32), 0)  # [height, width]
    kept = restore_volume(tf.ones([1, preparation.size, preparation.size, 1]), geometry)[0, ..., 0] > 0.5
    total = tf.reduce_sum(foreground)
    return tf.where(total > 0.0, tf.reduce_sum(tf.where(kept, foreground, 0.0)) / tf.maximum(total, 1.0), 1.0)


def content_box(volume: tf.Tensor) -> tf.Tensor:
    """Top, left, height and width of the foreground of a volume [slices, height, width, channels], [4] int32."""
    return _box(tf.reduce_any(volume > intensities.thresholds(intensities.sampled(volume)), -1))


def size_for(boxes: np.ndarray, largest: int) -> int:
    """The least size that holds three quarters of the boxes, at most `largest`: others are shrunk a little more.

    A few large volumes would have all others padded, at several times the work. At least 32, so
    that the U-Net's deepest maps are larger than a pixel.

    Args:
      boxes: [n, 2] heights and widths, pixels.
      largest: pixels, a multiple of `MULTIPLE`.
    """
    wanted = int(np.ceil(np.quantile(np.max(boxes, 1), 0.75)))
    return min(largest, max(-(-wanted // MULTIPLE), 2) * MULTIPLE)


def _intensities(ordered, threshold, preparation) -> Intensities:
    """What is done to the values: by the training slices, or by the volume's own foreground."""
    if preparation.normalise == "volume":
        return intensities.of_foreground(ordered, threshold)
    bound = tf.fill([len(ordered)], float("inf"))
    shift, scale = preparation.shift_and_scale
    return Intensities(
        low=-bound, high=bound, shift=tf.constant(shift, tf.float32), scale=tf.constant(scale, tf.float32)
    )


def _geometry(volume, threshold, preparation) -> Geometry:
    full = tf.shape(volume)[1:3]
    if preparation.crop == "foreground":
        box = _box(tf.reduce_any(volume > threshold, -1))
    else:
        box = tf.concat([[0, 0], full], 0)
    kept = box[2:]
    if preparation.fit == "crop":
        return Geometry(full, box, kept)
    sides = tf.cast(kept, tf.float64)
    scaled = tf.cast(tf.round(sides * tf.minimum(preparation.size / tf.reduce_max(sides), 1.0)), tf.int32)
    return Geometry(full, box, tf.clip_by_value(scaled, 1, preparation.size))


def _box(foreground):
    """Box around the rows and columns of [slices, height, width] bool with more than hardly any foreground."""
    edges = [_extent(tf.reduce_sum(tf.cast(foreground, tf.float32), axes)) for axes in ((0, 2), (0, 1))]
    (top, height), (left, width) = edges
    return tf.stack([top, left, height, width])


def _extent(counts):
    """First and number of the rows from the first to the last that is full enough, with a margin on both sides."""
    length = tf.size(counts)
    full = tf.cast(counts > _SPARSE * tf.reduce_max(counts), tf.int32)
    first = tf.argmax(full, output_type=tf.int32)
    last = length - 1 - tf.argmax(full[::-1], output_type=tf.int32)
    margin = tf.cast(tf.math.ceil(_MARGIN * tf.cast(last - first + 1, tf.float32)), tf.int32)
    first, last = tf.maximum(first - margin, 0), tf.minimum(last + margin, length - 1)
    return tf.cond(tf.reduce_any(full > 0), lambda: (first, last - first + 1), lambda: (0, length))


def _fit(volume, geometry, preparation, *, pad):
    """Crops to the box, and brings it to the size."""
    top, left, height, width = tf.unstack(geometry.box)
    kept = tf.image.crop_to_bounding_box(volume, top, left, height, width)
    if preparation.fit == "resize":
        kept = tf.cond(
            tf.reduce_all(geometry.scaled == geometry.box[2:]),
            lambda: kept,
            lambda: tf.image.resize(kept, geometry.scaled, antialias=True),
        )
    return tf.image.resize_with_crop_or_pad(kept - pad, preparation.size, preparation.size) + pad
