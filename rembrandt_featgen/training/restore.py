"""Trained networks from the folders of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen import rundir
from rembrandt_featgen.errors import InputError
from rembrandt_featgen.models import classifier as classifiers
from rembrandt_featgen.models import crops, gans
from rembrandt_featgen.models import unet as unets
from rembrandt_featgen.training import weights


def unet(folder: Path, config: Mapping, slices: Mapping, precision: str) -> tf.keras.Model:
    """The U-Net of the finetune stage.

    Args:
      folder: run_dir/unet.
      config: its stage.json's config.
      slices: the stage.json of the slices.
      precision: in which it computes from now on.
    """
    network = unets.build_unet(len(slices["figures"]["modalities"]), config["unet_width"], precision=precision)
    weights.load(network, folder / "best.npz")
    return network


def encoder(unet: tf.keras.Model, folder: Path) -> tf.keras.Model:
    """What makes features of slices, sharing its weights with `unet`.

    Args:
      unet: the U-Net of the finetune stage.
      folder: run_dir/features, finished.

    Returns:
      Model from normalised slices [batch, height, width, channels] to features, float32; of crops by the CNN that saw
      all training patients.
    """
    record = rundir.read_json(folder / rundir.RECORD)
    tap, config = record["figures"]["tap"], record["config"]
    if tap != crops.TAP:
        return unets.tap_model(unet, tap)
    cnn = crops.build_cnn(config["crop_size"], unet.input_shape[-1], config["crop_filters"])
    weights.load(cnn, folder / "cnn" / "best.npz")
    return crops.encoder(unet, cnn)


def encoder_of_run(run_dir: Path, precision: str) -> tf.keras.Model:
    """`encoder` of a run whose extract stage is done, with a U-Net of its own.

    Args:
      run_dir: of the run.
      precision: in which it computes from now on.
    """
    slices, config = (rundir.read_json(run_dir / name / rundir.RECORD) for name in ("slices", "unet"))
    return encoder(unet(run_dir / "unet", config["config"], slices, precision), run_dir / "features")


def gan(folder: Path, shape: tuple[int, int, int], config: Mapping, precision: str) -> gans.GAN:
    """A generator of the train_acgan stage.

    Args:
      folder: run_dir/acgan, or that of another kind.
      shape: (height, width, channels) of a feature, or of a slice where the kind is of these.
      config: its stage.json's config.
      precision: in which it computes from now on.
    """
    for flag in ("gan_average", "gan_networks"):
        if flag not in config:
            raise InputError(f"{folder} was made by a version without --{flag}; delete it to redo it")
    scale, lowest = np.load(folder / "scale.npy"), folder / "lowest.npy"
    network = gans.build_gan(
        *(config["gans"][0], shape, scale, config["ngf"], config["ndf"], config["acgan_latent"]),
        codes=config["infogan_codes"],
        precision=precision,
        stabilisers=gans.Stabilisers(config["gan_average"], config["gan_flip"], config["gan_batch_deviation"]),
        lowest=np.load(lowest) if lowest.exists() else 0.0,
        networks=config["gan_networks"],
    )
    weights.load(network, folder / "best.npz")
    return network


def classifier(folder: Path, name: str, shape: tuple[int, int, int], config: Mapping) -> tf.keras.Model:
    """A classifier of the classify stage, computing in float32.

    Args:
      folder: run_dir/classifier.
      name: arm and kind, such as "baseline_cnn".
      shape: (height, width, channels) of a feature.
      config: its stage.json's config.
    """
    kind, scale = name.rpartition("_")[2], np.load(folder / "scale.npy")
    network = classifiers.build_classifier(kind, shape, scale, config["classifier_filters"], config["classifier_units"])
    weights.load(network, folder / name / "best.npz")
    return network
