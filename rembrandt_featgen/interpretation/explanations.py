"""What moved the classifier's decisions; what maximises channels of the features, and classes for the discriminator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rembrandt_featgen.features import crops
from rembrandt_featgen.interpretation import attribution, feature_points, samples
from rembrandt_featgen.interpretation.artifacts import SYNTHETIC, Artifacts


class Explanation(NamedTuple):
    """A decision of the classifier and what moved it.

    Attributes:
      title: of the slice or feature, and the probability of the positive class.
      image: [height, width]: a slice, or the mean of a feature's channels.
      cam, saliency: [height, width] >= 0.
      mask: of the tumour, [height, width]; None for a feature.
    """

    title: str
    image: np.ndarray
    cam: np.ndarray
    saliency: np.ndarray
    mask: np.ndarray | None = None


class ChannelMaximum(NamedTuple):
    """What maximises a channel of the features, all [height, width].

    Attributes:
      channel: name of block and channel.
      name: of the class in which the channel fires more.
      maximised: the slice that maximises it.
      real: the training slice in which it fires most, and its map there.
      synthetic: its map in the synthetic feature in which it fires most; None where there is none.
      means: of the channel in each of them.
    """

    channel: str
    name: str
    maximised: np.ndarray
    real: tuple[np.ndarray, np.ndarray]
    synthetic: np.ndarray | None
    means: Sequence[float]


class ClassMaximum(NamedTuple):
    """What the discriminator's class head takes for a class.

    Attributes:
      name: of the class.
      features: maximised, real and synthetic, [height, width, channels] each.
      log_odds: of the class by the head, for each.
    """

    name: str
    features: Sequence[np.ndarray] | np.ndarray
    log_odds: Sequence[float] | np.ndarray


def explain_decisions(run: Artifacts) -> list[Explanation]:
    """Decisions of the exported classifier on test slices, and on a typical synthetic feature of each class."""
    classifier, slices = run.classifier(), run.slices("test", 2)
    names = [f"{patient}, {run.classes.names[label]}" for patient, label in zip(slices.patients, slices.labels)]
    encoder, images, masks = run.encoder_inputs(slices)
    model = attribution.of_slices(encoder, classifier)
    examples = _explained(
        model, images, titles=_titles(run, model, images, names=names), images=images[..., 0], masks=masks
    )
    synthetic = {}
    for name in run.classes.positive_first:
        feature = run.typical(SYNTHETIC, name)
        if feature is not None:
            synthetic[f"synthetic {name}"] = feature
    if synthetic:
        features, model = np.stack(list(synthetic.values())), attribution.of_features(classifier)
        titles, blank = _titles(run, model, features, names=list(synthetic)), [None] * len(synthetic)
        examples += _explained(model, features, titles=titles, images=features.mean(-1), masks=blank)
    return examples


def _titles(run: Artifacts, model: tf.keras.Model, inputs: np.ndarray, names: Sequence[str]) -> list[str]:
    """Names and probabilities by a model of `attribution`."""
    logits = model.predict(inputs, verbose=0)
    if logits.shape[1] == 1:
        probabilities = tf.sigmoid(logits[:, 0]).numpy()
        return [f"{name}\np({run.classes.positive}) {value:.2f}" for name, value in zip(names, probabilities)]
    shown = tf.nn.softmax(logits).numpy()
    return [f"{name}\np({run.classes.names[p.argmax()]}) {p.max():.2f}" for name, p in zip(names, shown)]


def _explained(model: tf.keras.Model, inputs: np.ndarray, *, titles, images, masks) -> list[Explanation]:
    """Heat maps of a model of `attribution`, each with its title, image and mask."""
    cams, saliencies = attribution.heat_maps(model, inputs)
    return [
        Explanation(title=title, image=image, cam=cam, saliency=saliency, mask=mask)
        for title, image, cam, saliency, mask in zip(titles, images, cams, saliencies, masks)
    ]


def maximise_channels(run: Artifacts, steps: int) -> list[ChannelMaximum]:
    """For each class the channel of the features that fires more in it, and what maximises that channel.

    Args:
      run: the run.
      steps: of gradient ascent.
    """
    names, by_label = run.classes.positive_first, feature_points.channels_by_class(run.points)
    channels = [by_label[run.classes.label(name)] for name in names]
    numbers = [feature_points.strongest(run.points, "train", channel) for channel in channels]
    slices = samples.read_slices(run.folders["prepare_slices"], "train", [n for n in numbers if n is not None])
    encoder, real, _ = run.encoder_inputs(slices)
    bounds = float(real.min()), float(np.percentile(real, 99.9))
    maximised, means = attribution.maximise_channel(encoder, channels, real, bounds=bounds, steps=steps)
    features = encoder.predict(real, verbose=0)  # those stored of crops are by other networks, each of a fold
    source = "CNN of crops," if run.tap == crops.TAP else f"U-Net {run.tap}"
    maxima = []
    for i, (name, channel) in enumerate(zip(names, channels)):
        in_real, number = features[i, ..., channel], feature_points.strongest(run.points, SYNTHETIC, channel)
        in_synthetic = None if number is None else run.feature(SYNTHETIC, number)[..., channel]
        maxima.append(
            ChannelMaximum(
                channel=f"{source} channel {channel}",
                name=name,
                maximised=maximised[i, ..., 0],
                real=(real[i, ..., 0], in_real),
                synthetic=in_synthetic,
                means=[means[i]] + [each.mean() for each in (in_real, in_synthetic) if each is not None],
            )
        )
    return maxima


def maximise_classes(run: Artifacts, steps: int) -> list[ClassMaximum]:
    """For each class the feature that maximises it by the discriminator's class head, if it has one.

    Args:
      run: the run.
      steps: of gradient ascent.
    """
    head, maxima = run.class_head(), []
    for name in run.classes.positive_first if head is not None else ():
        label, real, synthetic = run.classes.label(name), run.typical("train", name), run.typical(SYNTHETIC, name)
        if real is None or synthetic is None:
            continue
        silent, scaled, scaled_synthetic = (run.scaled(one) for one in (np.zeros_like(real), real, synthetic))
        start = silent + np.abs(np.random.default_rng(run.seed).normal(0.0, 0.1, real.shape))
        bounds = float(silent.min()), float(scaled.max())
        best = attribution.maximise_class(head, label, start, bounds=bounds, steps=steps)
        features = np.stack([best, scaled, scaled_synthetic])
        maxima.append(ClassMaximum(name, features - silent, attribution.log_odds(head, features, label)))
    return maxima
