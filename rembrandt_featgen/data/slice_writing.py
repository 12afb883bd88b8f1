"""Writes the slices of a cohort once, with the truth on the volumes' own grids, and what each split takes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from rembrandt_featgen.cohort import duplicates
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.cohort.reading_choice import AS_STORED, Reading
from rembrandt_featgen.data.patient_volumes import PatientVolume, read_patient
from rembrandt_featgen.data.preparation import (
    Preparation,
    describe,
    kept_share,
    prepare_mask,
    prepare_volume,
    restore_volume,
)
from rembrandt_featgen.data.slicing import Part, part_of
from rembrandt_featgen.data.store_index import Normalisation, write_reference
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.data.truth import Truth, TruthWriter, write_part
from rembrandt_featgen.data.volume_measures import Measured, write_measured


def write_volumes(
    folder: Path,
    name: str,
    cohort: Cohort,
    *,
    modalities: Sequence[str],
    preparation: Preparation,
    reading: Reading = AS_STORED,
) -> None:
    """Writes the slices of all patients as one store, which splits then refer to, with its truth and measures.

    Args:
      folder: of the stage.
      name: of the store; the others are `truth-<name>.npz` and, last, `measured-<name>.npz`.
      cohort: patients, in the order in which they are written, and the classes that give the labels.
      modalities: in the order of the channels.
      preparation: what is done to each volume; the mean and deviation of training slices are left to the splits.
      reading: how volumes are read.

    Raises:
      InputError: as `patient_volumes.read_patient`.
    """
    preparation = preparation.without_cohort
    size, channels = preparation.size, len(modalities) * preparation.slices_in
    tensors = {"image": ((size, size, channels), "float32"), "mask": ((size, size, 1), "uint8")}
    truths, measured = TruthWriter(), {}
    with Writer(folder, name, tensors) as writer:
        for patient in tqdm(cohort.patients, "slices", unit="patient"):
            read = read_patient(patient, modalities, reading=reading)
            images, masks, measured[patient.id], truth = _prepared(read, patient.id, preparation)
            truths.add(truth)
            for index, (image, mask) in enumerate(zip(images, masks)):
                writer.write(
                    {"image": image, "mask": mask},
                    patient.id,
                    slice_index=index,
                    label=cohort.classes.label(patient.label),
                )
    truths.write(folder, name)
    write_measured(folder, name, measured)


def write_split(
    folder: Path, split: str, members: Sequence[Patient], *, store: tuple[Path, str], preparation: Preparation
) -> None:
    """Writes the index of a split's slices in the store of all, and its `truth-<split>.npz`.

    Args:
      folder: of the stage.
      split: its name.
      members: its patients, in the order of their slices.
      store: folder and name that `write_volumes` was given.
      preparation: the same, with the mean and deviation by which images are normalised as they are read.

    Raises:
      InputError: a file of the store is missing or damaged.
    """
    patients = [patient.id for patient in members]
    normalise = {}
    if preparation.normalise == "cohort":
        shift, scale = (values * preparation.slices_in for values in preparation.shift_and_scale)
        normalise["image"] = Normalisation(shift, scale)
    write_reference(folder, split, store=store, patients=patients, normalise=normalise)
    write_part(folder, split, source=store, patients=patients)


def counts(cohort: Cohort, members: Mapping[str, Sequence[Patient]], measured: Mapping[str, Measured]) -> dict:
    """The counts that the report shows, and who has an empty mask or loses tumour.

    Args:
      cohort: patients and classes.
      members: patients of each split.
      measured: of each patient.
    """
    splitwise = {
        split: {
            "patients": _by_class(cohort, Counter(patient.label for patient in patients)),
            "slices": _slices(cohort, patients, measured),
            "empty_masks": sum(measured[patient.id].empty_slices for patient in patients),
        }
        for split, patients in members.items()
    }
    ordered = [(patient.id, measured[patient.id]) for patients in members.values() for patient in patients]
    return {
        "patients": _by_class(cohort, Counter(patient.label for patient in cohort.patients)),
        "slices": _slices(cohort, cohort.patients, measured),
        "split": splitwise,
        "empty_mask_patients": [patient for patient, one in ordered if not one.has_tumour],
        "tumour_cut_off": [f"{patient} ({one.cut} voxels)" for patient, one in ordered if one.cut],
    }


def _slices(cohort: Cohort, patients: Sequence[Patient], measured: Mapping[str, Measured]) -> dict[str, int]:
    """Number of slices of each class."""
    counts: Counter[str] = Counter()
    for patient in patients:
        counts[patient.label] += measured[patient.id].slices
    return _by_class(cohort, counts)


def _by_class(cohort: Cohort, counts: Mapping[str, int]) -> dict[str, int]:
    """Counts of each class, the positive one first, as tables show them."""
    return {name: counts.get(name, 0) for name in cohort.classes.positive_first}


def _prepared(read: PatientVolume, patient: str, preparation: Preparation):
    volume = tf.constant(read.image)
    images, geometry = prepare_volume(volume, preparation)
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
    measured = Measured(
        slices=len(images),
        empty_slices=int((areas == 0).sum()),
        has_tumour=bool(read.mask.any()),
        tumour=int(areas.sum()),
        pixels=masks.size,
        cut=int((read.mask.astype(bool) & ~kept).sum()),
        mask_voxels=int(read.mask.sum(dtype=np.int64)),
        content_cut=1.0 - float(kept_share(volume, geometry, preparation)),
        fingerprint=duplicates.fingerprint(np.moveaxis(images[..., 0], 0, 2)),
        description=describe(volume, preparation).numpy(),
        shape=read.mask.shape,
        spacing=read.spacing,
        file_spacing=read.file_spacing,
        file_shape=read.file_shape,
        plane=read.plane,
        unoriented=read.unoriented,
        moved=read.moved,
        **_part(images, geometry, preparation)._asdict(),
    )
    return images, masks, measured, truth


def _part(images, geometry, preparation) -> Part:
    """The volume's part of the moments of training slices, where there will be any."""
    channels = len(preparation.mean)
    if preparation.normalise != "cohort":
        return Part(0, np.zeros(channels), np.zeros(channels))
    slices = images[..., :channels]  # without neighbours
    if preparation.fit == "resize":  # the paper's padding, with "crop", counts; here it would depend on the size alone
        slices = tf.image.resize_with_crop_or_pad(slices, geometry.scaled[0], geometry.scaled[1]).numpy()
    return part_of(slices)
