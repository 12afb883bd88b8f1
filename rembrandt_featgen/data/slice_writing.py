"""Writes the prepared slices of a split, with the truth on the volumes' own grids."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from rembrandt_featgen.cohort import duplicates
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.data.patient_volumes import PatientVolume, read_patient
from rembrandt_featgen.data.preparation import Preparation, describe, prepare_mask, prepare_volume, restore_volume
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.data.truth import Truth, TruthWriter


@dataclasses.dataclass(frozen=True, eq=False)
class Written:
    """What was written of one patient.

    Attributes:
      slices, empty_slices: how many, and how many of them have no tumour.
      has_tumour: whether the mask of the volume has any, on its own grid.
      tumour, pixels: of the prepared slices.
      cut: voxels of tumour outside the prepared slices.
      fingerprint: of `duplicates`.
      description: of `preparation.describe`.
      shape: slices, height and width of the volume.
      spacing: [3] mm.
    """

    slices: int
    empty_slices: int
    has_tumour: bool
    tumour: int
    pixels: int
    cut: int
    fingerprint: np.ndarray
    description: np.ndarray
    shape: tuple[int, ...]
    spacing: np.ndarray


def write_split(
    folder: Path,
    split: str,
    members: Sequence[Patient],
    *,
    modalities: Sequence[str],
    preparation: Preparation,
    classes: Classes,
) -> dict[str, Written]:
    """Writes the shards of a split and its `truth-<split>.npz`.

    Args:
      folder: of the stage.
      split: its name.
      members: its patients, in the order in which they are written.
      modalities: in the order of the channels.
      preparation: what is done to each volume.
      classes: give the labels.

    Returns:
      Patient id to what was written.

    Raises:
      InputError: as `patient_volumes.read_patient`.
    """
    size, channels = preparation.size, len(modalities) * preparation.slices_in
    tensors = {"image": ((size, size, channels), "float32"), "mask": ((size, size, 1), "uint8")}
    truths, written = TruthWriter(), {}
    with Writer(folder, split, tensors) as writer:
        for patient in tqdm(members, f"slices of {split}", unit="patient"):
            read = read_patient(patient, modalities, compare=True)
            images, masks, written[patient.id], truth = _prepared(read, patient.id, preparation)
            truths.add(truth)
            for index, (image, mask) in enumerate(zip(images, masks)):
                writer.write(
                    {"image": image, "mask": mask},
                    patient.id,
                    slice_index=index,
                    label=classes.label(patient.label),
                )
    truths.write(folder, split)
    return written


def counts(
    cohort: Cohort, members: Mapping[str, Sequence[Patient]], written: Mapping[str, Mapping[str, Written]]
) -> dict:
    """The counts that the report shows, and who has an empty mask or loses tumour.

    Args:
      cohort: patients and classes.
      members: patients of each split.
      written: of each split, what `write_split` returned.
    """
    everybody = {patient: one for part in written.values() for patient, one in part.items()}
    splitwise = {
        split: {
            "patients": _by_class(cohort, Counter(patient.label for patient in patients)),
            "slices": _slices(cohort, patients, written[split]),
            "empty_masks": sum(one.empty_slices for one in written[split].values()),
        }
        for split, patients in members.items()
    }
    return {
        "patients": _by_class(cohort, Counter(patient.label for patient in cohort.patients)),
        "slices": _slices(cohort, cohort.patients, everybody),
        "split": splitwise,
        "empty_mask_patients": [patient for patient, one in everybody.items() if not one.has_tumour],
        "tumour_cut_off": [f"{patient} ({one.cut} voxels)" for patient, one in everybody.items() if one.cut],
    }


def _slices(cohort: Cohort, patients: Sequence[Patient], written: Mapping[str, Written]) -> dict[str, int]:
    """Number of slices of each class."""
    counts: Counter[str] = Counter()
    for patient in patients:
        counts[patient.label] += written[patient.id].slices
    return _by_class(cohort, counts)


def _by_class(cohort: Cohort, counts: Mapping[str, int]) -> dict[str, int]:
    """Counts of each class, the positive one first, as tables show them."""
    return {name: counts.get(name, 0) for name in cohort.classes.positive_first}


def _prepared(read: PatientVolume, patient: str, preparation: Preparation):
    images, geometry = prepare_volume(tf.constant(read.image), preparation)
    masks = prepare_mask(tf.constant(read.mask[..., np.newaxis]), geometry, preparation).numpy()
    kept = restore_volume(tf.ones([1, preparation.size, preparation.size, 1]), geometry).numpy()[..., 0] > 0.5
    images, areas = images.numpy(), masks.sum((1, 2, 3), dtype=np.int64)
    truth = Truth(
        patient=patient,
        mask=read.mask.astype(bool),
        box=geometry.box.numpy(),
        scaled=geometry.scaled.numpy(),
        spacing=read.spacing,
        areas=areas,
    )
    written = Written(
        slices=len(images),
        empty_slices=int((areas == 0).sum()),
        has_tumour=bool(read.mask.any()),
        tumour=int(areas.sum()),
        pixels=masks.size,
        cut=int((read.mask.astype(bool) & ~kept).sum()),
        fingerprint=duplicates.fingerprint(np.moveaxis(images[..., 0], 0, 2)),
        description=describe(tf.constant(read.image), preparation).numpy(),
        shape=read.mask.shape,
        spacing=read.spacing,
    )
    return images, masks, written, truth
