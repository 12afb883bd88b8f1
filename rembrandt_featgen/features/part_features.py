"""Taps and masks of training patients by the U-Nets that never saw them (--cross_fit).

A mask is a mask, whichever network predicts it. Channels of a tap differ between networks, though all began with the
same weights: those of each are mapped onto the channels of the network of all patients, see `cross_fitting`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data import pipelines
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.features import cross_fitting
from rembrandt_featgen.segmentation.unet import tap_model
from rembrandt_featgen.segmentation.unet_parts import UnetParts

_POSITIONS = 20_000  # by which a map is fitted, for each network; 80 MB a tap with 1024 channels


def segmenter(unet: tf.keras.Model, parts: UnetParts) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """From slices and their patients to the tumour's probability, of training patients by whoever never saw them.

    Args:
      unet: of all training patients.
      parts: the others; none without --cross_fit.
    """
    folds: list[tuple[tf.keras.Model, np.ndarray | None]] = [(network, None) for network in parts.networks]
    return cross_fitting.Encoders(unet, folds, parts.part_of).runner()


def tap_encoders(
    unet: tf.keras.Model, parts: UnetParts, tap: str, *, slices: Path, batch: int, seed: int
) -> cross_fitting.Encoders:
    """What computes features of slices at a tap.

    Args:
      unet: of all training patients.
      parts: the others; none without --cross_fit.
      tap: one of `unet.TAPS`.
      slices: folder of the stage prepare_slices.
      batch: slices that are computed at a time.
      seed: of the positions by which the maps are fitted.
    """
    kernels = channel_maps(unet, parts, [tap], slices=slices, batch=batch, seed=seed)
    folds: list[tuple[tf.keras.Model, np.ndarray | None]] = [
        (tap_model(network, tap), kernel) for network, (kernel,) in zip(parts.networks, kernels)
    ]
    return cross_fitting.Encoders(tap_model(unet, tap), folds, parts.part_of)


def channel_maps(
    unet: tf.keras.Model, parts: UnetParts, taps: Sequence[str], *, slices: Path, batch: int, seed: int
) -> list[list[np.ndarray]]:
    """Maps from the channels of each network that was trained without a part to those of the network of all.

    They are fitted on positions drawn from all slices of the training patients whom both networks were trained on.

    Args:
      unet, parts, slices, batch, seed: as for `tap_encoders`.
      taps: blocks, some of `unet.TAPS`.

    Returns:
      For each part, of each tap a `cross_fitting.channel_map`.
    """
    if not parts.networks or not taps:
        return [[] for _ in parts.networks]
    run_all, runs = _runner(unet, taps), [_runner(network, taps) for network in parts.networks]
    random, of_slice = np.random.default_rng(seed), math.ceil(_POSITIONS / len(Store(slices, "train")))
    pairs: list[list[list[tuple[np.ndarray, np.ndarray]]]] = [[[] for _ in taps] for _ in runs]
    for records in pipelines.slices(slices, "train", batch):
        images, numbers = records["image"], [parts.part_of[one] for one in pipelines.text(records["patient"].numpy())]
        wanted = run_all(images)
        for part, run in enumerate(runs):
            seen = np.flatnonzero(np.array(numbers) != part)
            for tap, (features, of_all) in enumerate(zip(run(images), wanted)):
                _, height, width, channels = features.shape
                flat = [one.numpy()[seen].reshape(len(seen), height * width, channels) for one in (features, of_all)]
                chosen = random.permutation(height * width)[:of_slice]
                pairs[part][tap].append((flat[0][:, chosen], flat[1][:, chosen]))
    return [
        [cross_fitting.channel_map(*(np.concatenate(column) for column in zip(*of_tap))) for of_tap in of_part]
        for of_part in pairs
    ]


def cross_fitted_rows(
    rows: Sequence[dict], of_parts: Sequence[Sequence[dict]], *, part_of: Mapping[str, int], taps: Sequence[str]
) -> list[dict]:
    """Vectors of training patients, each by the network that never saw the patient.

    Columns of taps are matched to those of the network of all by the patients whom both had seen.

    Args:
      rows: of all training patients by the network of all, `patient_vectors.PatientVector` as dictionaries.
      of_parts: the same by each of the others, whose maps have their channels mapped.
      part_of: patient to part.
      taps: those that are pooled.

    Returns:
      Such rows, in the same order.
    """
    parts = np.array([part_of[row["patient"]] for row in rows])
    pooled = [name for name in rows[0]["numbers"] if name.startswith(tuple(f"{tap}_" for tap in taps))]
    wanted = np.array([[row["numbers"][name] for name in pooled] for row in rows])
    fitted = list(rows)
    for part, others in enumerate(of_parts):
        values = np.array([[row["numbers"][name] for name in pooled] for row in others])
        matched = cross_fitting.matched_columns(values, wanted, parts != part) if pooled else values
        for number in np.flatnonzero(parts == part):
            numbers = others[number]["numbers"] | dict(zip(pooled, matched[number].tolist()))
            fitted[number] = others[number] | {"numbers": numbers}
    return fitted


def _runner(unet: tf.keras.Model, taps: Sequence[str]) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """From slices to the maps of taps, as one graph."""
    networks = [tap_model(unet, tap) for tap in taps]
    return tf.function(lambda images: [network(images, training=False) for network in networks], reduce_retracing=True)
