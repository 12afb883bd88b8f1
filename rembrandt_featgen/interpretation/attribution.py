"""Grad-CAM, saliency and activation maximisation, by tf-keras-vis, which no other file imports."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it imports from a namespace that scipy has renamed
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.activation_maximization.regularizers import TotalVariation2D
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.scores import BinaryScore, CategoricalScore

from rembrandt_featgen.generation.gan_networks import CLASS_HEAD

_FEATURES = "features"  # the layer whose activations Grad-CAM weighs
_NOISY_COPIES, _NOISE = 8, 0.1  # of SmoothGrad; noise as a share of the input's range
_SLICE_ROUGHNESS, _FEATURE_ROUGHNESS = 20.0, 20.0  # weights of total variation, without which noise wins


def of_slices(encoder: tf.keras.Model, classifier: tf.keras.Model) -> tf.keras.Model:
    """What makes features and the classifier behind it as one model, so that a gradient reaches the slice.

    Args:
      encoder: from slices to features, such as `unet.tap_model`; its last layer is named "features".
      classifier: of `build_classifier`.

    Returns:
      Model from slices [batch, height, width, channels] to the logit of the positive class of two, [batch, 1], or to
      the logits of more, [batch, classes]; weights are shared.
    """
    return tf.keras.Model(encoder.input, _logit(classifier)(encoder.output), name="slice_to_logit")


def of_features(classifier: tf.keras.Model) -> tf.keras.Model:
    """The classifier in the form of `of_slices`, from features [batch, height, width, channels] to the logit."""
    feature = tf.keras.Input(classifier.input_shape[1:])
    named = tf.keras.layers.Activation("linear", name=_FEATURES)(feature)
    return tf.keras.Model(feature, _logit(classifier)(named), name="feature_to_logit")


def _logit(classifier: tf.keras.Model) -> tf.keras.Model:
    """The classifier without its sigmoid or softmax, which flattens the gradient of decisions that are sure."""
    return tf.keras.Model(classifier.input, classifier.get_layer("logit").output)


def heat_maps(model: tf.keras.Model, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the evidence for the predicted class is.

    Args:
      model: of `of_slices` or `of_features`.
      inputs: [n, height, width, channels].

    Returns:
      Grad-CAM (Selvaraju et al. 2017) and saliency (SmoothGrad, Smilkov et al. 2017; the channel with the steepest
      gradient counts), both [n, height, width] >= 0.
    """
    logits = model.predict(inputs, verbose=0)
    of_two = logits.shape[1] == 1
    predicted = BinaryScore((logits[:, 0] > 0).tolist()) if of_two else CategoricalScore(logits.argmax(1).tolist())
    cam = Gradcam(model)(
        predicted,
        inputs,
        penultimate_layer=_FEATURES,
        seek_penultimate_conv_layer=False,  # it knows Keras' own convolutions only
        expand_cam=False,
        normalize_cam=False,
    )
    # Cell i of a block covers the pixels from i * stride on: tf.image knows that, tf-keras-vis' zoom pins corners.
    expanded = tf.image.resize(np.asarray(cam)[..., None], inputs.shape[1:3])[..., 0].numpy()
    saliency = Saliency(model)(
        predicted, inputs, smooth_samples=_NOISY_COPIES, smooth_noise=_NOISE, normalize_map=False
    )
    return expanded, np.asarray(saliency)


def maximise_channel(
    encoder: tf.keras.Model,
    channels: Sequence[int],
    start: np.ndarray,
    *,
    bounds: tuple[float, float],
    steps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Slices that maximise the mean of single channels of a block.

    Args:
      encoder: as for `of_slices`.
      channels: one for each slice.
      start: [n, height, width, channels], where the search starts; where a channel is silent, it has no gradient.
      bounds: range of pixels, in the units of the normalised slices.
      steps: of gradient ascent.

    Returns:
      [n, height, width, channels] within `bounds`, and the means of the channels in them, [n].
    """

    def means(features):
        return tf.gather(tf.reduce_mean(features, (1, 2)), of_slice, axis=1, batch_dims=1)

    of_slice = tf.constant(channels)[:, tf.newaxis]
    before = tf.maximum(means(encoder(start, training=False)), 1e-6)
    # in units of where it starts, so that one weight of roughness suits all channels
    maximised = _maximise(
        encoder,
        lambda features: means(features) / before,
        start,
        bounds=bounds,
        steps=steps,
        roughness=_SLICE_ROUGHNESS,
    )
    return maximised, means(encoder(maximised, training=False)).numpy()[:, 0]


def class_head(discriminator: tf.keras.Model) -> tf.keras.Model | None:
    """From scaled features [batch, h, w, channels] to logits [batch, classes]; None for a D without that head."""
    if CLASS_HEAD not in [layer.name for layer in discriminator.layers]:
        return None
    return tf.keras.Model(discriminator.input, discriminator.get_layer(CLASS_HEAD).output, name="class_head")


def log_odds(head: tf.keras.Model, features: np.ndarray, label: int) -> np.ndarray:
    """[n] log-odds of a class against all others by `class_head`, for scaled features [n, h, w, channels]."""
    return _log_odds(tf.constant(head.predict(features, verbose=0)), label).numpy()


def _log_odds(logits: tf.Tensor, label: int) -> tf.Tensor:
    others = tf.concat([logits[:, :label], logits[:, label + 1 :]], axis=1)
    return logits[:, label] - tf.reduce_logsumexp(others, axis=1)


def maximise_class(
    head: tf.keras.Model, label: int, start: np.ndarray, *, bounds: tuple[float, float], steps: int
) -> np.ndarray:
    """The scaled feature that maximises the log-odds of a class against all others.

    Args:
      head: of `class_head`.
      label: of the class.
      start: [h, w, channels], where the search starts.
      bounds: lowest and highest of its values.
      steps: of gradient ascent.

    Returns:
      [h, w, channels].
    """
    return _maximise(
        head,
        lambda logits: _log_odds(logits, label),
        start[None],
        bounds=bounds,
        steps=steps,
        roughness=_FEATURE_ROUGHNESS,
    )[0]


def _maximise(
    model: tf.keras.Model,
    score: Callable[[tf.Tensor], tf.Tensor],
    start: np.ndarray,
    *,
    bounds: tuple[float, float],
    steps: int,
    roughness: float,
) -> np.ndarray:
    """Gradient ascent within bounds, with a step of a fiftieth of their width; `roughness` weighs total variation."""

    def keep_within(values):  # tf-keras-vis would only cut what it returns
        return tf.clip_by_value(values, *bounds)

    maximised = ActivationMaximization(model)(
        score,
        seed_input=tf.constant(start, tf.float32),
        input_range=bounds,
        input_modifiers=[keep_within],
        regularizers=[TotalVariation2D(roughness)],
        steps=steps,
        optimizer=tf.keras.optimizers.Adam((bounds[1] - bounds[0]) / 50),
    )
    return np.asarray(maximised)
