"""Whom a file of weights was trained on: a record beside it, by which a run notices that it starts from its own test.

`best.npz` has `best.patients.npz` beside it: ids and fingerprints of the patients whom it learnt from, and of those who
chose its epoch, whatever it started from included. A copy of the weights needs a copy of the record.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from rembrandt_featgen.cohort import duplicates
from rembrandt_featgen.cohort.splits import SPLITS
from rembrandt_featgen.core import array_files
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import pipelines, truth
from rembrandt_featgen.data.preparation import Geometry, restore_volume
from rembrandt_featgen.segmentation import unet_parts

_NAMED = 5  # patients in a message
# Who may not be who, by the split of then and of now: validation patients chose an epoch, and so are no test patients.
_REFUSED = {("train", "validation"), ("train", "test"), ("validation", "test")}


@dataclasses.dataclass(frozen=True, eq=False)
class SeenPatients:
    """Patients and what a training did with them.

    Attributes:
      patients: [n] ids.
      splits: [n], "train", "validation" or "test".
      fingerprints: [n, d] float32 of `duplicates.fingerprint`, of the first modality.
      modalities: [n] its name.
      complete: whether these are all that the weights have seen.
    """

    patients: np.ndarray
    splits: np.ndarray
    fingerprints: np.ndarray
    modalities: np.ndarray
    complete: bool = True

    def take(self, chosen: np.ndarray) -> SeenPatients:
        """Those of a mask [n]."""
        columns = {name: value[chosen] for name, value in vars(self).items() if name != "complete"}
        return SeenPatients(**columns, complete=self.complete)


def patients_of(slices: Path, modality: str, splits: tuple[str, ...]) -> SeenPatients:
    """The patients of prepared slices.

    Fingerprints are of volumes on their own grid, so that size and crop of the slices hardly matter.

    Args:
      slices: folder of the stage prepare_slices.
      modality: name of the slices' first channel.
      splits: whose patients.
    """
    rows: list[tuple[str, str, np.ndarray]] = []
    for split in splits:
        records = iter(pipelines.slices(slices, split, 1).unbatch().as_numpy_iterator())
        for one in truth.truths(slices, split):
            images = np.stack([next(records)["image"][..., :1] for _ in range(len(one.mask))])
            geometry = Geometry(*(tf.constant(part, tf.int32) for part in (one.mask.shape[1:], one.box, one.scaled)))
            volume = restore_volume(tf.constant(images - images.min()), geometry).numpy()[..., 0]
            rows.append((one.patient, split, duplicates.fingerprint(np.moveaxis(volume, 0, 2))))
    patients, of_split, fingerprints = zip(*rows)
    return SeenPatients(
        patients=np.array(patients, str),
        splits=np.array(of_split, str),
        fingerprints=np.array(fingerprints, np.float32),
        modalities=np.full(len(rows), modality),
    )


def seen_patients(slices: Path, modality: str, *, weights: str, cross_fit: bool) -> SeenPatients:
    """Whom the weights of a run will have seen.

    Args:
      slices, modality: as for `patients_of`.
      weights: --unet_weights, "" for random ones.
      cross_fit: whether training patients judge, too.

    Raises:
      InputError: as by `check_start`.
    """
    everybody, before = patients_of(slices, modality, SPLITS), None
    if weights:
        before = read_record(Path(weights))
        check_start(weights, before, everybody, cross_fit=cross_fit)
    return joined(everybody.take(everybody.splits != "test"), before, from_random=not weights)


def joined(now: SeenPatients, before: SeenPatients | None, *, from_random: bool) -> SeenPatients:
    """Those of a training, and those of the weights that it started from: `before`, None where nobody knows."""
    if before is None:
        return dataclasses.replace(now, complete=from_random)
    names = [field.name for field in dataclasses.fields(SeenPatients)][:-1]
    columns = {name: np.concatenate([getattr(now, name), getattr(before, name)]) for name in names}
    return SeenPatients(**columns, complete=now.complete and before.complete)


def path_of(weights: Path) -> Path:
    """The record of a file of weights."""
    return weights.with_suffix(".patients.npz")


def write_records(folder: Path, seen: SeenPatients, part_of: Mapping[str, int]) -> None:
    """Writes the records of best.npz, and of those that were trained without a part of the training patients.

    Args:
      folder: run_dir/unet.
      seen: by the network of all.
      part_of: training patient to part, of `unet_parts`.
    """
    write_record(folder / "best.npz", seen)
    for part, name in enumerate(unet_parts.names(part_of)):
        kept = np.array([part_of.get(patient) != part for patient in seen.patients])
        write_record(folder / name / "best.npz", seen.take(kept))


def write_record(weights: Path, seen: SeenPatients) -> None:
    """Writes the record beside the weights."""
    columns = {name: value for name, value in vars(seen).items() if name != "fingerprints"}
    np.savez_compressed(path_of(weights), **columns, fingerprints=seen.fingerprints.astype(np.float16))


def read_record(weights: Path) -> SeenPatients | None:
    """The record beside the weights; None where there is none, InputError where it is damaged."""
    path = path_of(weights)
    if not path.exists():
        return None
    try:
        arrays = array_files.read_npz(path)
        columns = {field.name: arrays[field.name] for field in dataclasses.fields(SeenPatients)}
        fingerprints, texts = columns["fingerprints"], [columns[name] for name in ("patients", "splits", "modalities")]
        if fingerprints.ndim != 2 or fingerprints.dtype.kind != "f" or columns["complete"].shape:
            raise ValueError("an array has another shape")
        if any(one.shape != fingerprints.shape[:1] or one.dtype.kind != "U" for one in texts):
            raise ValueError("its columns differ in length")
    except (ValueError, KeyError) as error:
        raise InputError(
            f"{path}, the record of the patients whom --unet_weights has seen, is damaged; copy it again from the run "
            "that made it, or delete it"
        ) from error
    patients, splits, modalities = texts
    return SeenPatients(
        patients, splits, fingerprints.astype(np.float32), modalities=modalities, complete=bool(columns["complete"])
    )


def check_start(weights: str, before: SeenPatients | None, now: SeenPatients, *, cross_fit: bool) -> None:
    """Says whether weights have seen those who judge what is made of them.

    Args:
      weights: --unet_weights, for messages.
      before: its record.
      now: all patients of the run that is to start from it.
      cross_fit: whether training patients judge, too.

    Raises:
      InputError: they have seen validation or test patients, or with --cross_fit training patients.
    """
    if before is None or not before.complete:
        logging.warning(
            "--unet_weights=%s: there is no record of %s patients it was trained on: should validation or test "
            "patients of this run be among them, every result is too good",
            weights,
            "the" if before is None else "all",
        )
    if before is None:
        return
    refused = _REFUSED | ({("train", "train")} if cross_fit else set())
    same_name = before.patients[:, None] == now.patients
    comparable = before.modalities[:, None] == now.modalities
    if before.fingerprints.shape[1] != now.fingerprints.shape[1]:
        raise InputError(
            f"--unet_weights={weights}: the record of the patients whom these weights have seen is damaged, or of "
            "another version of this program; copy it again from the run that made it, or delete it"
        )
    same_volume = comparable & (before.fingerprints @ now.fingerprints.T > duplicates.THRESHOLD)
    same = same_volume | (same_name & ~comparable)
    bad = {
        (str(now.patients[j]), str(now.splits[j]))
        for i, j in np.argwhere(same)
        if (str(before.splits[i]), str(now.splits[j])) in refused
    }
    if bad:
        raise InputError(
            f"--unet_weights={weights} was trained on patients of this run who judge it: {_named(bad)}; take weights "
            "of other patients, or a --split_file by which these patients are training patients"
            + (" and --cross_fit=0" if cross_fit else "")
        )
    others = {(str(now.patients[j]), str(now.splits[j])) for _, j in np.argwhere(same_name & ~same)}
    if others:
        logging.warning(
            "--unet_weights=%s was trained on other volumes of patients of the same names: %s; if they are the same "
            "people, results are too good",
            weights,
            _named(others),
        )


def _named(patients: set[tuple[str, str]]) -> str:
    names = [f"{patient} ({split})" for patient, split in sorted(patients)]
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if names[_NAMED:] else "")
