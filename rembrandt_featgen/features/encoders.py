"""The networks that compute features of slices, from the folders of a run."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from rembrandt_featgen.core import json_files, registry, rundir
from rembrandt_featgen.features import crops
from rembrandt_featgen.nn import weights
from rembrandt_featgen.segmentation import unet_export
from rembrandt_featgen.segmentation.unet import tap_model


def encoder(unet: tf.keras.Model, folder: Path) -> tf.keras.Model:
    """What computes features of slices, sharing its weights with `unet`.

    Args:
      unet: of the stage train_unet.
      folder: run_dir/features, finished.

    Returns:
      Model from normalised slices [batch, height, width, channels] to features, float32; of crops by the CNN that saw
      all training patients.
    """
    record = json_files.read_json(folder / rundir.RECORD)
    tap, config = record["figures"]["tap"], record["config"]
    if tap != crops.TAP:
        return tap_model(unet, tap)
    cnn = crops.build_cnn(config["crop_size"], unet.input_shape[-1], config["crop_filters"])
    weights.load(cnn, folder / "cnn" / "best.npz")
    return crops.encoder(unet, cnn)


def encoder_of_run(run_dir: Path, precision: str) -> tf.keras.Model:
    """`encoder` of a run whose stage extract_features is done, with a U-Net that shares nothing.

    Args:
      run_dir: of the run.
      precision: in which it computes from now on.
    """
    slices, folder = run_dir / registry.folder("prepare_slices"), run_dir / registry.folder("train_unet")
    unet = unet_export.restore_unet(
        folder,
        config=json_files.read_json(folder / rundir.RECORD)["config"],
        slices=json_files.read_json(slices / rundir.RECORD),
        precision=precision,
    )
    return encoder(unet, run_dir / registry.folder("extract_features"))
