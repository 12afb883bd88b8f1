"""The trained U-Net from a run's folder, and the SavedModel that is exported of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf

from rembrandt_featgen.data.preparation import (
    Geometry,
    Preparation,
    describe,
    kept_share,
    prepare_volume,
    restore_volume,
)
from rembrandt_featgen.nn import saved_models, weights
from rembrandt_featgen.segmentation.postprocessing import MIRRORS, THRESHOLD
from rembrandt_featgen.segmentation.unet import block_output, build_unet

TAP = "tap_"  # before the name of a block, of outputs of `segment_slices`
_BATCH = 8  # slices that run at a time


def restore_unet(folder: Path, *, config: Mapping, slices: Mapping, precision: str) -> tf.keras.Model:
    """The U-Net of the stage train_unet.

    Args:
      folder: run_dir/unet.
      config: of that stage, from its stage.json.
      slices: stage.json of the stage prepare_slices.
      precision: in which it computes from now on.
    """
    network = build_unet(
        len(slices["figures"]["channels"]),
        config["unet_width"],
        precision=precision,
        norm=config.get("unet_norm", "none"),  # which records of before lack
    )
    weights.load(network, folder / "best.npz")
    return network


def segmenter(
    unet: tf.keras.Model,
    tap: tf.keras.Model,
    *,
    preparation: Preparation,
    modalities: Sequence[str],
    mirrors: str = "none",
    settings: Mapping | None = None,
    taps: Sequence[str] = (),
) -> tuple[tf.Module, dict]:
    """U-Net with everything around it: the raw slices of one whole volume in, mask and features out.

    Signature `segment`: image [n, height, width, channels] float32, raw intensities of all slices of a volume -> mask
    [n, height, width, 1] uint8, probability of the same shape float32 (both 0 outside what was kept), feature [n, h, w,
    filters] float32 at the tap, modalities [channels] string. The mask is the probability above 0.5; `predict` and the
    report keep its largest part only, where --largest_component says so, which is left to the caller here.

    The same in three steps, so that a caller can show its progress: `prepare`: image -> slices [n, size, size, inputs],
    full, box, scaled (`preparation.Geometry`), description and kept (`preparation.describe`, `preparation.kept_share`),
    settings (JSON). `segment_slices`: slices, some of those -> probability on their grid, feature. `restore`:
    probability, full, box, scaled -> probability on the volume's grid.

    Args:
      unet: from prepared slices to probabilities, computing in float32.
      tap: the part of it that computes features.
      preparation: of the slices that it was trained on.
      modalities: names of the channels.
      mirrors: of `postprocessing.mirrored`, for probabilities; features are of slices as they are.
      settings: what `predict` wants to know of the training, as JSON can hold it.
      taps: blocks whose maps [n, h, w, filters] `segment_slices` gives, too, as tap_<name>.
    """
    network = tf.keras.Model(unet.input, [unet.output, tap.output, *(block_output(unet, name) for name in taps)])
    names, text = tf.constant(list(modalities)), tf.constant(json.dumps(settings or {}))
    channels, inputs = len(modalities), unet.input_shape[-1]

    def run(slices):
        probability, *features = network(slices, training=False)
        others = [tf.reverse(unet(tf.reverse(slices, axes), training=False), axes) for axes in MIRRORS[mirrors][1:]]
        return tf.add_n([probability, *others]) / (1 + len(others)), *features

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, channels], tf.float32, name="image")])
    def segment(image):
        slices, geometry = prepare_volume(image, preparation)
        probability, feature = _in_batches(lambda some: run(some)[:2], slices)
        probability = restore_volume(probability, geometry)
        mask = tf.cast(probability > THRESHOLD, tf.uint8)
        return {"mask": mask, "probability": probability, "feature": feature, "modalities": names}

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, channels], tf.float32, name="image")])
    def prepare(image):
        slices, geometry = prepare_volume(image, preparation)
        return {
            "slices": slices,
            **geometry._asdict(),
            "description": describe(image, preparation),
            "kept": kept_share(image, geometry, preparation),
            "settings": text,
        }

    size = preparation.size

    @tf.function(input_signature=[tf.TensorSpec([None, size, size, inputs], tf.float32, name="slices")])
    def segment_slices(slices):
        probability, feature, *maps = run(slices)
        return {"probability": probability, "feature": feature, **{f"{TAP}{k}": one for k, one in zip(taps, maps)}}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, size, size, 1], tf.float32, name="probability"),
            tf.TensorSpec([2], tf.int32, name="full"),
            tf.TensorSpec([4], tf.int32, name="box"),
            tf.TensorSpec([2], tf.int32, name="scaled"),
        ]
    )
    def restore(probability, full, box, scaled):
        return {"probability": restore_volume(probability, Geometry(full, box, scaled))}

    return saved_models.module_and_signatures(
        network.weights, segment=segment, prepare=prepare, segment_slices=segment_slices, restore=restore
    )


def _in_batches(run, slices):
    """Both outputs of `run` for all slices, `_BATCH` at a time; the last batch is filled up with copies of a slice."""
    count = tf.shape(slices)[0]
    batches = -(-count // _BATCH)
    numbers = tf.minimum(tf.range(batches * _BATCH), count - 1)
    outputs = tf.map_fn(
        lambda batch: run(tf.gather(slices, batch)),
        tf.reshape(numbers, [batches, _BATCH]),
        fn_output_signature=(tf.float32, tf.float32),
    )
    return tuple(tf.reshape(output, tf.concat([[-1], tf.shape(output)[2:]], 0))[:count] for output in outputs)
