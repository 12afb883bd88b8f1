"""Trained generators from a run's folder, and the SavedModel that is exported of one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import array_files, json_files
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.generation.encoded_gan import EncodedGAN
from rembrandt_featgen.generation.gan import GAN, build_gan
from rembrandt_featgen.generation.gan_spec import GanSpec
from rembrandt_featgen.nn import saved_models, weights

# Files of a trained generator.
SETTINGS, SCALE, LOWEST, WEIGHTS = "gan.json", "scale.npy", "lowest.npy", "best.npz"


def save_settings(folder: Path, spec: GanSpec, *, scale: np.ndarray, lowest: np.ndarray | float) -> None:
    """Writes all that `restore_gan` needs beside the weights: settings, and `scale` and `lowest` of a `GAN`."""
    json_files.write_json(folder / SETTINGS, spec.record)
    np.save(folder / SCALE, scale)
    if np.any(lowest):
        np.save(folder / LOWEST, lowest)


def restore_gan(folder: Path, precision: str = "float32") -> GAN:
    """A trained generator.

    Args:
      folder: of a kind of generator in a run, written by the stage train_generators.
      precision: in which it computes from now on.

    Raises:
      InputError: another version trained it, or its weights are damaged.
    """
    try:
        spec = GanSpec.of_record(json_files.read_json(folder / SETTINGS))
    except InputError:  # missing or damaged
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder} was made by another version of this program; delete it to redo it") from error
    lowest = array_files.read_own(folder / LOWEST) if (folder / LOWEST).exists() else 0.0
    gan = build_gan(dataclasses.replace(spec, precision=precision), array_files.read_own(folder / SCALE), lowest)
    weights.load(gan, folder / WEIGHTS)
    return gan


def generator(gan: GAN | EncodedGAN, classes: Classes) -> tuple[tf.Module, dict]:
    """The generator of features as it is exported.

    Signature `generate`: noise [n, latent] float32, label [n] int32 -> feature [n, h, w, filters] float32 in the
    U-Net's own units, accepted [n] bool (whether the discriminator predicts the class that was asked for; absent where
    it refuses none), classes [classes] string by label. Noise is N(0, 1); an InfoGAN's codes are its last entries,
    in (-1, 1).
    Signature `sample`: count int32, label int32, seed [2] int64 -> the same for `count` draws of noise.
    """
    names = tf.constant(list(classes.names))

    def generate(noise, label):
        feature, accepted = gan.draw(noise, label)
        judged = {"accepted": accepted} if gan.can_refuse else {}
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
