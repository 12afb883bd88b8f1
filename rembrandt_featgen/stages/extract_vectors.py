"""Makes a vector for each patient, of the tumour that the trained U-Net predicts.

taps: the mean and the maximum of each channel over the tumour, slices weighted by their area of tumour. numbers: shape,
intensities and place of the tumour. The features are of all patients; true masks have no part in them. Where the U-Net
was trained with --cross_fit, vectors of training patients come from the U-Nets that never saw them
(features/cross_fitting.py).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import splits
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import cli, json_files, rundir
from rembrandt_featgen.data import truth
from rembrandt_featgen.features import augmented_vectors, part_features, patient_vectors, run_tables, stored_tables
from rembrandt_featgen.features.tables import table_of_arrays
from rembrandt_featgen.nn import tensorboard
from rembrandt_featgen.segmentation import unet_export, unet_parts
from rembrandt_featgen.segmentation.unet import TAPS
from rembrandt_featgen.stages import shared_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    precision: str = shared_flags.precision()
    device: str = shared_flags.device()
    tf32: bool = shared_flags.tf32()
    jit: bool = shared_flags.jit()
    deterministic: bool = shared_flags.deterministic()
    vectors: str = cli.flag(
        "both",
        "What a patient's vector holds: pooled taps, numbers of the mask, or both.",
        choices=patient_vectors.VECTORS,
    )
    vector_taps: tuple[str, ...] = cli.flag(
        ("conv3", "conv4", "conv5"), f"Blocks that are pooled over the predicted tumour, of {', '.join(TAPS)}."
    )
    vector_batch: int = cli.flag(16, "Slices in a batch.", minimum=1)
    vector_augmentations: int = cli.flag(
        0,
        "Times that each training patient of the largest class is augmented, as --augmentation says, all slices alike; "
        "others as often as brings their class to as many: what the arm image_augmentation of vectors "
        "draws from.",
        minimum=0,
    )
    augmentation: str = shared_flags.augmentation()
    seed: int = shared_flags.seed()


def run(config: Config) -> None:
    """Writes run_dir/vectors: <split>.parquet, a row for each patient, with group, and site where it is known.

    With --vector_augmentations there is augmented.parquet, too, of training patients, by the U-Net that saw them all.
    """
    shared_flags.use_device(config)
    taps = cli.some_of("vector_taps", config.vector_taps, TAPS)
    found = rundir.find_inputs(config.run_dir, "extract_vectors")
    prepared, trained = found["prepare_slices"], found["train_unet"]
    with rundir.open_stage(config, "extract_vectors", list(found.values())) as stage:
        if stage.done:
            return
        figures, trained_with = prepared.record["figures"], trained.record["config"]
        unet = unet_export.restore_unet(
            trained.folder, config=trained_with, slices=prepared.record, precision=config.precision
        )
        settings = patient_vectors.Settings(
            vectors=config.vectors,
            taps=taps,
            modalities=tuple(figures["modalities"]),
            in_mm=figures["spacing"]["real"],
            mirrors=trained_with["mirrored_inference"],
            largest_component=trained_with["largest_component"],
            batch=config.vector_batch,
        )
        classes = Classes.of_record(prepared.record["classes"])
        parts = unet_parts.restore_parts(
            trained.folder, record=trained.record, slices=prepared.record, precision=config.precision
        )
        network = patient_vectors.runner(unet, settings)
        counts, columns, empty = {}, 0, 0
        for split in splits.SPLITS:
            rows = _rows(network, prepared.folder, split, settings=settings, journal=stage.path / f"{split}.jsonl")
            if not rows:  # the run of a final model has no test patients
                counts[split] = 0
                continue
            if split == "train" and parts.networks:
                of_parts = [
                    _rows(one, prepared.folder, split, settings=settings, journal=stage.path / f"part{number}.jsonl")
                    for number, one in enumerate(_runners(parts, settings, unet=unet, slices=prepared.folder))
                ]
                rows = part_features.cross_fitted_rows(rows, of_parts, part_of=parts.part_of, taps=settings.taps)
            columns = _write(rows, split, folder=stage.path, classes=classes, slices=prepared.folder)
            counts[split], empty = len(rows), empty + sum(row["empty"] for row in rows)
        if config.vector_augmentations:
            make = functools.partial(
                augmented_vectors.augmented_vectors,
                network,
                prepared.folder,
                settings=settings,
                augmentation=config.augmentation,
                copies=config.vector_augmentations,
                seed=config.seed,
            )
            rows = _resumed(
                lambda start: make(start=start),
                total=sum(augmented_vectors.times_of_patients(prepared.folder, config.vector_augmentations)),
                name=f"{augmented_vectors.SPLIT} volumes",
                journal=stage.path / f"{augmented_vectors.SPLIT}.jsonl",
            )
            _write(rows, augmented_vectors.SPLIT, folder=stage.path, classes=classes, slices=prepared.folder)
        for journal in stage.path.glob("*.jsonl"):
            journal.unlink()
        unit = "mm" if settings.in_mm else "voxels"
        tensorboard.complete(stage, columns=columns, patients=counts, without_predicted_tumour=empty, unit=unit)
        logging.info("vectors: %d columns, %s; lengths in %s", columns, counts, unit)
        if empty:
            logging.warning("vectors: no tumour is predicted in %d patients", empty)


def _write(rows: list[dict], split: str, *, folder: Path, classes: Classes, slices: Path) -> int:
    """Writes <split>.parquet, and returns its number of columns."""
    names = list(rows[0]["numbers"])
    table = table_of_arrays(
        [[row["numbers"][name] for name in names] for row in rows],
        [row["label"] for row in rows],
        classes=classes,
        patients=[row["patient"] for row in rows],
        names=names,
    )
    table = run_tables.with_patients(table, slices)
    stored_tables.write_table(folder / f"{split}.parquet", table, np.full(len(table), split))
    return len(names)


def _runners(
    parts: unet_parts.UnetParts, settings: patient_vectors.Settings, *, unet: tf.keras.Model, slices: Path
) -> list[patient_vectors.Runner]:
    """The U-Nets that were trained without a part, with their channels mapped onto those of `unet`."""
    taps = settings.taps if settings.vectors != "numbers" else ()
    kernels = part_features.channel_maps(unet, parts, taps, slices=slices, batch=settings.batch, seed=0)
    return [patient_vectors.runner(network, settings, of_taps) for network, of_taps in zip(parts.networks, kernels)]


def _rows(network, slices: Path, split: str, *, settings: patient_vectors.Settings, journal: Path) -> list[dict]:
    """What is known of each patient of a split."""
    return _resumed(
        lambda start: patient_vectors.patient_vectors(network, slices, split, settings=settings, start=start),
        total=sum(1 for _ in truth.truths(slices, split)),
        name=split,
        journal=journal,
    )


def _resumed(
    make: Callable[[int], Iterator[patient_vectors.PatientVector]], *, total: int, name: str, journal: Path
) -> list[dict]:
    """Vectors as rows, written line by line, from which a stage that was killed resumes.

    Args:
      make: from the number of vectors that are there already to the others.
      total: how many there will be.
      name: of what they are, for messages.
      journal: file that keeps the rows.
    """
    rows = json_files.resume_journal(journal)
    if rows:
        logging.info("vectors of %s: resumed after %d of %d", name, len(rows), total)
    with (
        journal.open("a", encoding="utf-8") as file,
        tqdm(total=total, initial=len(rows), desc=f"vectors of {name}", unit="patient") as bar,
    ):
        for vector in make(len(rows)):
            rows.append(vector._asdict())
            json_files.append_row(file, rows[-1])
            bar.update()
    return rows


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
