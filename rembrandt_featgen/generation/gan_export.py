"""Trained generators from a run's folder, and the SavedModel that is exported of one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.generation.gan import GAN, Stabilisers, build_gan
from rembrandt_featgen.nn import saved_models, weights


def restore_gan(folder: Path, shape: tuple[int, int, int], config: Mapping, precision: str) -> GAN:
    """A generator of the train_acgan stage.

    Args:
      folder: run_dir/acgan, or that of another kind.
      shape: (height, width, channels) of a feature, or of a slice where the kind is of these.
      config: its stage.json's config.
      precision: in which it computes from now on.
    """
    for flag in ("gan_ema_decay", "gan_networks"):
        if flag not in config:
            raise InputError(f"{folder} was made by a version without --{flag}; delete it to redo it")
    scale, lowest = np.load(folder / "scale.npy"), folder / "lowest.npy"
    network = build_gan(
        *(config["generators"][0], shape, scale, config["ngf"], config["ndf"], config["gan_latent"]),
        codes=config["infogan_codes"],
        precision=precision,
        stabilisers=Stabilisers(config["gan_ema_decay"], config["gan_flip"], config["gan_minibatch_stddev"]),
        lowest=np.load(lowest) if lowest.exists() else 0.0,
        networks=config["gan_networks"],
    )
    weights.load(network, folder / "best.npz")
    return network


def generator(gan, grades) -> tuple[tf.Module, dict]:
    """The generator of features, a `gans.GAN` or an `image_gans.EncodedGAN`.

    Signature `generate`: noise [n, latent] float32, label [n] int32 -> feature [n, h, w, filters] float32 in the
    U-Net's own units, confirmed [n] bool (whether the discriminator sees the wanted grade; absent where it has no
    opinion), grades [2] string by label. Noise is N(0, 1); an InfoGAN's codes are its last entries, in (-1, 1).
    Signature `sample`: count int32, label int32, seed [2] int64 -> the same for `count` draws of noise.
    """
    names = tf.constant(list(grades))

    def generate(noise, label):
        feature, confirmed = gan.draw(noise, label)
        return {"feature": feature, **({"confirmed": confirmed} if gan.confirms else {}), "grades": names}

    def sample(count, label, seed):
        return generate(gan.noise(count, seed), tf.fill([count], label))

    noise = tf.TensorSpec([None, gan.latent], tf.float32, name="noise")
    label = tf.TensorSpec([None], tf.int32, name="label")
    one = [tf.TensorSpec([], tf.int32, name=name) for name in ("count", "label")]
    return saved_models.module_and_signatures(
        gan.weights,
        generate=tf.function(generate, [noise, label]),
        sample=tf.function(sample, [*one, tf.TensorSpec([2], tf.int64, name="seed")]),
    )
