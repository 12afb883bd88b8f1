"""Reads a study's cohort once and writes its slices, which the folds share; each fold says which of them are whose."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import split_files
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.data import shared_slices
from rembrandt_featgen.stages import pseudonym_flags, shared_flags, slice_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    cohort: str = shared_flags.cohort()
    layout: str = shared_flags.layout()
    classes: tuple[str, ...] = shared_flags.classes()
    modalities: tuple[str, ...] = shared_flags.modalities()
    labels_table: str = shared_flags.labels_table()
    label_column: str = shared_flags.label_column()
    patient_column: str = shared_flags.patient_column()
    group_column: str = shared_flags.group_column()
    group_pattern: str = shared_flags.group_pattern()
    site_column: str = shared_flags.site_column()
    site_pattern: str = shared_flags.site_pattern()
    incomplete: str = shared_flags.incomplete()
    pseudonymise: bool = pseudonym_flags.pseudonymise()
    pseudonym_key: str = pseudonym_flags.pseudonym_key()
    image_size: int = slice_flags.image_size()
    normalise: str = slice_flags.normalise()
    crop: str = slice_flags.crop()
    fit: str = slice_flags.fit()
    slices_in: int = slice_flags.slices_in()
    geometry: str = slice_flags.geometry()
    slice_axis: str = slice_flags.slice_axis()
    spacing: tuple[str, ...] = slice_flags.spacing()


def run(config: Config) -> None:
    """Writes run_dir/shared_slices: for each preparation that a fold chooses, a store of all patients."""
    slice_flags.check(config.image_size, config.slices_in)
    request = slice_flags.request(config, normalise=config.normalise, slices_in=config.slices_in)
    cohort = shared_flags.find_cohort(config)
    trainings = _trainings(config.run_dir)
    digest = shared_slices.content_digest(cohort)
    digests = {"cohort": digest, "trainings": hashlib.sha256(repr(trainings).encode()).hexdigest()}
    with rundir.open_stage(config, "share_slices", digests=digests, classes=cohort.classes.record) as stage:
        if stage.done:
            return
        stores = shared_slices.write_shared(stage.path, cohort, request, digest=digest, trainings=trainings)
        stage.complete(
            stores={name: dataclasses.asdict(preparation) for name, preparation in stores.items()},
            labels={patient.id: patient.label for patient in cohort.patients},
        )
        for preparation in stores.values():
            logging.info("folds share slices of %d x %d pixels", preparation.size, preparation.size)


def _trainings(run_dir: str) -> list[list[str]]:
    """Ids of the training patients of each fold, each set once."""
    found = rundir.find(run_dir, "assign_folds")
    trainings = set()
    for fold in found.record["figures"]["folds"]:
        assignment = split_files.read_split(Path(found.folder) / f"{fold['name']}.json")
        trainings.add(tuple(sorted(patient for patient, split in assignment.items() if split == "train")))
    return [list(training) for training in sorted(trainings)]


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
