"""Trained generators from a run's folder, and the SavedModel that is exported of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.generation import gan_spec
from rembrandt_featgen.generation.encoded_gan import EncodedGAN
from rembrandt_featgen.generation.gan import GAN, build_gan
from rembrandt_featgen.generation.gan_spec import GanSpec
from rembrandt_featgen.nn import saved_models, weights


def restore_gan(folder: Path, record: Mapping, precision: str = "float32") -> GAN:
    """A generator of the stage train_generators.

    Args:
      folder: of a kind of generator in a run.
      record: its stage.json.
      precision: in which it computes from now on.

    Raises:
      InputError: an earlier version trained it, or its weights are damaged.
    """
    for flag in gan_spec.FIELDS:
        if flag not in record["config"]:
            raise InputError(f"{folder} was made by a version without --{flag}; delete it to redo it")
    num_classes = Classes.of_record(record["classes"]).count
    spec = GanSpec.of_config(record["config"], record["figures"]["shape"], num_classes)
    scale, lowest = np.load(folder / "scale.npy"), folder / "lowest.npy"
    gan = build_gan(dataclasses.replace(spec, precision=precision), scale, np.load(lowest) if lowest.exists() else 0.0)
    weights.load(gan, folder / "best.npz")
    return gan


def generator(gan: GAN | EncodedGAN, classes: Classes) -> tuple[tf.Module, dict]:
    """The generator of features as it is exported.

    Signature `generate`: noise [n, latent] float32, label [n] int32 -> feature [n, h, w, filters] float32 in the
    U-Net's own units, accepted [n] bool (whether the discriminator predicts the class that was asked for; absent where
    it does not classify), classes [classes] string by label. Noise is N(0, 1); an InfoGAN's codes are its last entries,
    in (-1, 1).
    Signature `sample`: count int32, label int32, seed [2] int64 -> the same for `count` draws of noise.
    """
    names = tf.constant(list(classes.names))

    def generate(noise, label):
        feature, accepted = gan.draw(noise, label)
        judged = {"accepted": accepted} if gan.has_auxiliary_classifier else {}
        return {"feature": feature, **judged, "classes": names}

    def sample(count, label, seed):
        return generate(gan.noise(count, seed), tf.fill([count], label))

    noise = tf.TensorSpec([None, gan.latent], tf.float32, name="noise")
    labels = tf.TensorSpec([None], tf.int32, name="label")
    count, label = (tf.TensorSpec([], tf.int32, name=name) for name in ("count", "label"))
    seed = tf.TensorSpec([2], tf.int64, name="seed")
    return saved_models.module_and_signatures(
        gan.weights,
        generate=tf.function(generate, [noise, labels]),
        sample=tf.function(sample, [count, label, seed]),
    )
