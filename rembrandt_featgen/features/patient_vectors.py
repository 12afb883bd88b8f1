"""A vector for each patient, of the tumour that the U-Net predicts: pooled taps, or numbers of shape and intensity.

True masks have no part in it: patients whose mask nobody drew get the same vectors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data import pipelines
from rembrandt_featgen.data.preparation import Geometry, content_box, restore_volume
from rembrandt_featgen.data.truth import Truth, truths
from rembrandt_featgen.features import mask_numbers
from rembrandt_featgen.features.mask_pooling import pool_over_mask, pooled_names, weighted_by_area
from rembrandt_featgen.segmentation import postprocessing
from rembrandt_featgen.segmentation.unet import block_output

VECTORS = ("taps", "numbers", "both")
Runner = Callable[[tf.Tensor], "tuple[tf.Tensor, list[tf.Tensor]]"]
Changes = Callable[[int, int, np.ndarray], Iterable[np.ndarray]]
# As graphs: of small volumes most of the time goes into starting operations.
_content_box = tf.function(content_box, reduce_retracing=True)
_pool_over_mask = tf.function(pool_over_mask, reduce_retracing=True)


class PatientVector(NamedTuple):
    """What is known of a patient.

    Attributes:
      patient: id.
      label: index of the class.
      numbers: name of a column to value, NaN where missing.
      empty: whether no tumour is predicted.
    """

    patient: str
    label: int
    numbers: dict[str, float]
    empty: bool


@dataclasses.dataclass(frozen=True)
class Settings:
    """How vectors are made.

    Attributes:
      vectors: one of VECTORS.
      taps: blocks of the U-Net that are pooled.
      modalities: names of the slices' first channels, of which intensities are taken.
      in_mm: whether the spacing is real; else lengths are in voxels.
      mirrors, largest_component: of the U-Net's inference, see `postprocessing`.
      batch: slices that are computed at a time.
    """

    vectors: str
    taps: tuple[str, ...]
    modalities: tuple[str, ...]
    in_mm: bool
    mirrors: str = "none"
    largest_component: bool = False
    batch: int = 16


def patient_vectors(
    run: Runner, slices: Path, split: str, *, settings: Settings, start: int = 0, changes: Changes | None = None
) -> Iterator[PatientVector]:
    """The patients of a split, in the order of the store.

    Args:
      run: of `runner`.
      slices: folder of the stage prepare_slices.
      split: train, validation or test.
      settings: how vectors are made.
      start: patients that are left out at the beginning.
      changes: from a patient's place in the store, label and slices [n, size, size, inputs] to versions of the slices,
        each of which gives a vector; None for the slices as they are.
    """
    geometries = list(truths(slices, split))
    first = sum(len(truth.mask) for truth in geometries[:start])
    records = pipelines.slices(slices, split, settings.batch, start=first)
    for place, (truth, images, label) in enumerate(_by_patient(records, geometries[start:]), start):
        for version in [images] if changes is None else changes(place, label, images):
            numbers, empty = _numbers(run, truth, version, settings=settings)
            yield PatientVector(truth.patient, label, numbers, empty=empty)


def _by_patient(records: tf.data.Dataset, geometries: Sequence[Truth]) -> Iterator[tuple[Truth, np.ndarray, int]]:
    """Each patient with all slices and the label; ValueError where slices and patients do not fit each other."""
    images: list[np.ndarray] = []
    batches = iter(records.as_numpy_iterator())
    labels: list[int] = []
    for truth in geometries:
        count = len(truth.mask)
        while len(images) < count:
            batch = next(batches, None)
            if batch is None:
                raise ValueError("slices and true masks are not of the same volumes")
            images.extend(batch["image"])
            labels.extend(batch["label"].tolist())
        yield truth, np.stack(images[:count]), labels[0]
        images, labels = images[count:], labels[count:]


def runner(unet: tf.keras.Model, settings: Settings, kernels: Sequence[np.ndarray] = ()) -> Runner:
    """The trained U-Net as one graph: from slices to the tumour's probability and the maps of all taps, float32.

    Args:
      unet: of the run.
      settings: how vectors are made.
      kernels: of each tap, a `cross_fitting.channel_map`; none for channels as they are.
    """
    taps = settings.taps if settings.vectors != "numbers" else ()
    mirrored = postprocessing.mirrored(lambda one: unet(one, training=False), settings.mirrors)
    network = tf.keras.Model(unet.input, [unet.output, *(block_output(unet, tap) for tap in taps)])

    @tf.function(reduce_retracing=True)
    def run(images):
        outputs = network(images, training=False)
        probability, *maps = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        if settings.mirrors != "none":
            probability = mirrored(images)
        maps = [tf.cast(one, tf.float32) for one in maps]
        for number, kernel in enumerate(kernels):
            weights = tf.constant(kernel, tf.float32)
            maps[number] = tf.nn.relu(tf.tensordot(maps[number], weights[:-1], 1) + weights[-1])
        return probability, maps

    return run


def _numbers(run: Runner, truth: Truth, images: np.ndarray, *, settings: Settings) -> tuple[dict[str, float], bool]:
    """The columns, and whether no tumour is predicted."""
    outputs = [run(tf.constant(images[n : n + settings.batch])) for n in range(0, len(images), settings.batch)]
    return numbers_of(outputs, truth, images, settings=settings)


def numbers_of(
    outputs: Sequence[tuple[tf.Tensor, list[tf.Tensor]]], truth: Truth, images: np.ndarray, *, settings: Settings
) -> tuple[dict[str, float], bool]:
    """The columns of a patient, and whether no tumour is predicted.

    Args:
      outputs: of a `Runner`, for all slices in their order.
      truth: of the patient; of its mask only the shape is used.
      images: [n, size, size, inputs], the prepared slices.
      settings: how vectors are made.
    """
    probability = tf.concat([one for one, _ in outputs], 0)
    mask = postprocessing.mask_of(probability.numpy()[..., 0], settings.largest_component)
    numbers: dict[str, float] = {}
    if settings.vectors != "taps":
        numbers |= _described(truth, images, mask, probability=probability, settings=settings)
    if settings.vectors != "numbers":
        for number, tap in enumerate(settings.taps):
            batches = [maps[number] for _, maps in outputs]
            starts = np.cumsum([0, *map(len, batches)])
            pooled = [
                _pool_over_mask(maps, tf.constant(mask[start : start + len(maps), ..., np.newaxis]))
                for start, maps in zip(starts, batches)
            ]
            vector = weighted_by_area(np.concatenate(pooled), mask.sum((1, 2)))
            numbers |= dict(zip(pooled_names(tap, batches[0].shape[-1]), vector.tolist()))
    return numbers, not mask.any()


def _described(
    truth: Truth, images: np.ndarray, mask: np.ndarray, *, probability: tf.Tensor, settings: Settings
) -> dict[str, float]:
    """Shape on the volume's own grid; intensities and place on that of the prepared slices."""
    geometry = Geometry(*(tf.constant(part, tf.int32) for part in (truth.mask.shape[1:], truth.box, truth.scaled)))
    restored = restore_volume(probability, geometry).numpy()[..., 0]
    on_volume = postprocessing.mask_of(restored, settings.largest_component)
    parts: dict[str, Mapping[str, float]] = {
        "shape": mask_numbers.shape_numbers(on_volume, truth.spacing if settings.in_mm else np.ones(3)),
        "location": mask_numbers.location_numbers(mask, _content_box(tf.constant(images)).numpy()),
    }
    for channel, modality in enumerate(settings.modalities):
        parts[modality] = mask_numbers.intensity_numbers(images[..., channel], mask)
    return {f"{part}_{name}": value for part, numbers in parts.items() for name, value in numbers.items()}
