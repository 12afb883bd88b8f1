"""What is shipped: functions with named signatures over plain variables, which TensorFlow alone can load and run."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def _module(weights, **functions) -> tuple[tf.Module, dict]:
    """A module that tracks `weights`, which `functions` use, and the signatures to save with it."""
    module = tf.Module()
    module.weights = list(weights)
    for name, function in functions.items():
        setattr(module, name, function)
    signatures = dict(functions)
    signatures["serving_default"] = next(iter(functions.values()))
    return module, signatures


def segmenter(
    unet: tf.keras.Model, tap: tf.keras.Model, mean, deviation, size: int, modalities
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
    mean, deviation = (
        tf.constant(mean, tf.float32),
        tf.constant(np.where(np.asarray(deviation) > 0, deviation, 1.0), tf.float32),
    )
    names = tf.constant(list(modalities))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, unet.input_shape[-1]], tf.float32, name="image")])
    def segment(image):
        height, width = tf.shape(image)[1], tf.shape(image)[2]
        centre = tf.image.resize_with_crop_or_pad(image, size, size)
        probability, feature = both((centre - mean) / deviation, training=False)
        probability = tf.image.resize_with_crop_or_pad(probability, height, width)
        mask = tf.cast(probability > 0.5, tf.uint8)
        return {"mask": mask, "probability": probability, "feature": feature, "modalities": names}

    return _module(both.weights, segment=segment)


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
    return _module(
        gan.weights,
        generate=tf.function(generate, [noise, label]),
        sample=tf.function(sample, [*one, tf.TensorSpec([2], tf.int64, name="seed")]),
    )


def classifier(network: tf.keras.Model, grades) -> tuple[tf.Module, dict]:
    """The classifier of features.

    Signature `classify`: feature [n, h, w, filters] float32 -> probability_hgg [n] float32, grades [2] string by label.
    """
    names = tf.constant(list(grades))

    @tf.function(input_signature=[tf.TensorSpec(network.input_shape, tf.float32, name="feature")])
    def classify(feature):
        return {"probability_hgg": network(feature, training=False)[:, 0], "grades": names}

    return _module(network.weights, classify=classify)
