"""The trained U-Net from a run's folder, and the SavedModel that is exported of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.nn import saved_models, weights
from rembrandt_featgen.segmentation.unet import build_unet


def restore_unet(folder: Path, *, config: Mapping, slices: Mapping, precision: str) -> tf.keras.Model:
    """The U-Net of the stage train_unet.

    Args:
      folder: run_dir/unet.
      config: of that stage, from its stage.json.
      slices: stage.json of the stage prepare_slices.
      precision: in which it computes from now on.
    """
    network = build_unet(len(slices["figures"]["channels"]), config["unet_width"], precision=precision)
    weights.load(network, folder / "best.npz")
    return network


def segmenter(
    unet: tf.keras.Model,
    tap: tf.keras.Model,
    *,
    mean: Sequence[float] | np.ndarray,
    deviation: Sequence[float] | np.ndarray,
    size: int,
    modalities: Sequence[str],
) -> tuple[tf.Module, dict]:
    """U-Net with everything around it: raw slices of any size in, mask and features out.

    Signature `segment`: image [n, height, width, channels] float32, raw intensities -> mask [n, height, width, 1]
    uint8, probability of the same shape float32 (both 0 outside the centre crop), feature [n, h, w, filters] float32
    at the tap, modalities [channels] string.

    Args:
      unet: from normalised slices to probabilities, computing in float32.
      tap: the part of it that computes features.
      mean, deviation: [channels] of the training patients.
      size: side of the slices that it was trained on, pixels.
      modalities: names of the channels.
    """
    both = tf.keras.Model(unet.input, [unet.output, tap.output])
    shift = tf.constant(mean, tf.float32)
    divisor = tf.constant(np.where(np.asarray(deviation) > 0, deviation, 1.0), tf.float32)
    names = tf.constant(list(modalities))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, unet.input_shape[-1]], tf.float32, name="image")])
    def segment(image):
        height, width = tf.shape(image)[1], tf.shape(image)[2]
        centre = tf.image.resize_with_crop_or_pad(image, size, size)
        probability, feature = both((centre - shift) / divisor, training=False)
        probability = tf.image.resize_with_crop_or_pad(probability, height, width)
        mask = tf.cast(probability > 0.5, tf.uint8)
        return {"mask": mask, "probability": probability, "feature": feature, "modalities": names}

    return saved_models.module_and_signatures(both.weights, segment=segment)
