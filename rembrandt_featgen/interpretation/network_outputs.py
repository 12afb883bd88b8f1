"""What the networks of a run make of some of its slices, and slices that generators make."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from rembrandt_featgen.generation import gan_export
from rembrandt_featgen.interpretation.artifacts import Artifacts
from rembrandt_featgen.segmentation import initial, losses, tensorlayer_files, unet

GENERATED = 5  # slices of each class


class Segmentations(NamedTuple):
    """Segmentations of the same slices by several U-Nets.

    Attributes:
      images, masks: [n, height, width].
      predictions: name of a U-Net ("pre-trained") to its probabilities, [n, height, width].
      titles: for each U-Net, n lines: patient, class, dice.
      note: on where the first U-Net comes from.
    """

    images: np.ndarray
    masks: np.ndarray
    predictions: dict[str, np.ndarray]
    titles: list[list[str]]
    note: str


def segment_before_and_after(run: Artifacts) -> Segmentations:
    """Test slices as segmented by the initial or pre-trained U-Net and by the fine-tuned one."""
    slices, record, prepared = run.slices("test"), run.records["train_unet"], run.records["prepare_slices"]["figures"]
    path, networks = record["config"]["unet_weights"], {}
    note = "No --unet_weights was given: the initial weights are random."
    if not path:
        networks["initial"] = initial.unet(record["config"], prepared)
    elif not Path(path).is_file():
        note = f"The pre-trained weights are not shown, for {path} is not there any more."
        logging.warning("figure_07: %s", note)
    else:
        checkpoint = tensorlayer_files.read(Path(path))
        networks["pre-trained"] = initial.unet(record["config"], prepared, checkpoint.arrays)
        changed = checkpoint.digest != record["inputs"]["unet_weights"]
        note = f"Pre-trained weights: {path}" + (", which has changed since." if changed else ".")
    names = [run.classes.names[label] for label in slices.labels]
    predictions, titles = {}, []
    for network_name, network in {**networks, "fine-tuned": run.unet}.items():
        probability = network.predict(slices.images, batch_size=4, verbose=0)
        dice = losses.hard_dice(tf.cast(slices.masks[..., None], tf.float32), tf.constant(probability)).numpy()
        titles.append(
            [f"{patient}, {name}\ndice {value:.2f}" for patient, name, value in zip(slices.patients, names, dice)]
        )
        predictions[network_name] = probability[..., 0]
    return Segmentations(
        images=slices.images[..., 0], masks=slices.masks, predictions=predictions, titles=titles, note=note
    )


def block_features(run: Artifacts) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A test slice [height, width], and its features [height, width, filters] at each block of the U-Net."""
    image = run.slices("test", 1).images[:1]
    taps = tf.keras.Model(run.unet.input, [unet.block_output(run.unet, tap) for tap in unet.TAPS])
    maps = dict(zip(unet.TAPS, (features[0] for features in taps.predict(image, verbose=0))))
    return image[0, ..., 0], maps


def generate_slices(run: Artifacts, folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Slices of each class by a generator of slices, and real ones.

    Args:
      run: the run.
      folder: of the generator.

    Returns:
      Name of a row to its slices [n, height, width], and whether each was accepted, [n] bool; None for real ones.
    """
    gan = gan_export.restore_gan(folder)
    real = run.slices("train")
    rows: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
    for name in run.classes.positive_first:
        label = run.classes.label(name)
        noise, labels = gan.noise(GENERATED, [run.seed, label]), tf.fill([GENERATED], label)
        generated, accepted = (part.numpy() for part in gan.draw(noise, labels))
        rows[f"real {name}"] = real.images[real.labels == label][..., 0], None
        rows[f"synthetic {name}"] = generated[..., 0], accepted
    return rows
