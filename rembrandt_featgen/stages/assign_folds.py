"""Divides the patients of a study into the folds of its cross-validation, and writes down who is where."""

from __future__ import annotations

import dataclasses
import hashlib

from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import layouts, split_files, splits
from rembrandt_featgen.cohort.patients import Cohort
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.stages import shared_flags

GROUPINGS = ("patient", "site")


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    cohort: str = shared_flags.cohort()
    layout: str = shared_flags.layout()
    classes: tuple[str, ...] = shared_flags.classes()
    modalities: tuple[str, ...] = shared_flags.modalities()
    validation_fraction: float = shared_flags.validation_fraction()
    seed: int = shared_flags.seed()
    cv_folds: int = shared_flags.cv_folds()
    cv_repeats: int = shared_flags.cv_repeats()
    cv_seeds: int = shared_flags.cv_seeds()
    cv_grouping: str = cli.flag(
        "patient", "What a fold tests: a share of the patients, or all those of one site.", choices=GROUPINGS
    )
    site_pattern: str = cli.flag(
        "", "Regular expression whose first group finds the site in a patient's id, such as TCGA_([A-Z]+)_."
    )


def run(config: Config) -> None:
    """Writes run_dir/folds: <fold>.json for each fold, and in stage.json the folds' names, seeds and sites."""
    if config.cv_grouping == "site" and not config.site_pattern:
        raise InputError("--cv_grouping=site needs --site_pattern, such as --site_pattern='TCGA_([A-Z]+)_'")
    path = shared_flags.cohort_path(config.cohort, config.run_dir)
    cohort = layouts.find_cohort(path, config.layout, config.modalities, names=config.classes)
    listed = hashlib.sha256(repr(sorted((p.id, p.label) for p in cohort.patients)).encode()).hexdigest()
    with rundir.open_stage(
        config, "assign_folds", digests={"patients": listed}, classes=cohort.classes.record
    ) as stage:
        if stage.done:
            return
        records = []
        for repeat in range(config.cv_repeats):
            parts = _divide(config, cohort, repeat)
            for seed in range(config.cv_seeds):
                for part, assignment in parts.items():
                    name = f"repeat{repeat}_seed{seed}_{part}"
                    split_files.write_split(stage.path / f"{name}.json", assignment, cohort)
                    records.append({"name": name, "repeat": repeat, "seed": config.seed + seed, "fold": part})
        sites = {patient.id: splits.site_of(patient.id, config.site_pattern) for patient in cohort.patients}
        stage.complete(folds=records, sites=sites if any(sites.values()) else {})
        logging.info("folds: %d, of %d patients", len(records), len(cohort.patients))


def _divide(config: Config, cohort: Cohort, repeat: int) -> dict[str, dict[str, str]]:
    """Name of each fold of a repeat to its assignment."""
    if config.cv_grouping == "site":
        return splits.site_folds(
            cohort,
            config.site_pattern,
            validation_fraction=config.validation_fraction,
            seed=config.seed,
            repeat=repeat,
        )
    parts = splits.fold_patients(
        cohort, config.cv_folds, validation_fraction=config.validation_fraction, seed=config.seed, repeat=repeat
    )
    return {f"fold{number}": assignment for number, assignment in enumerate(parts)}


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
