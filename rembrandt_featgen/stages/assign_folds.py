"""Divides the patients of a study into the folds of its cross-validation, and writes down who is where."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable

from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import fresh_patients, split_files, splits
from rembrandt_featgen.cohort.groups import unit
from rembrandt_featgen.cohort.patients import Cohort
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.stages import pseudonym_flags, shared_flags

GROUPINGS = ("patient", "site")
FRESH = "fresh"  # of a fold that tests patients who are there for tests alone


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
    validation_fraction: float = shared_flags.validation_fraction()
    seed: int = shared_flags.seed()
    cv_folds: int = shared_flags.cv_folds()
    cv_repeats: int = shared_flags.cv_repeats()
    cv_seeds: int = shared_flags.cv_seeds()
    cv_grouping: str = cli.flag(
        "patient",
        "What a fold tests: a share of the patients (of their groups, where several are one), or all those of one "
        "site, by --site_column or --site_pattern.",
        choices=GROUPINGS,
    )


def run(config: Config) -> None:
    """Writes run_dir/folds: <fold>.json for each fold, and in stage.json the folds' names, seeds and sites."""
    cohort = shared_flags.find_cohort(config)
    fresh = shared_flags.fresh_patients(config)
    listed = repr(sorted((p.id, p.label, p.group, p.site) for p in cohort.patients))
    listed = hashlib.sha256(listed.encode()).hexdigest()
    with rundir.open_stage(
        config, "assign_folds", digests={"patients": listed}, classes=cohort.classes.record
    ) as stage:
        if stage.done:
            return
        records = []
        tested: set[str] = set()
        for repeat in range(config.cv_repeats):
            parts = divide(config, fresh_patients.without(cohort, fresh), repeat)
            if fresh:
                parts = {part: fresh_patients.tested(assignment, fresh) for part, assignment in parts.items()}
            names = _file_names(parts)
            for seed in range(config.cv_seeds):
                for number, (part, assignment) in enumerate(parts.items()):
                    tested |= {name for name, split in assignment.items() if split == "test"}
                    # with fresh patients each part left out is a repeat, as no patient is tested twice in one
                    repeated, fold = (repeat * len(parts) + number, FRESH) if fresh else (repeat, part)
                    name = f"repeat{repeated}_seed{seed}_{FRESH if fresh else names[part]}"
                    split_files.write_split(stage.path / f"{name}.json", assignment, cohort)
                    records.append({"name": name, "repeat": repeated, "seed": config.seed + seed, "fold": fold})
        sites = {patient.id: patient.site for patient in cohort.patients}
        labels = [patient.label for patient in cohort.patients if patient.id in tested]
        stage.complete(
            folds=records,
            sites=sites if any(sites.values()) else {},
            fresh_patients=len(fresh),
            tested={name: labels.count(name) for name in cohort.classes.names},
        )
        count = len({patient.group for patient in cohort.patients})
        logging.info("folds: %d, of %d %s", len(records), count, unit(cohort, count))


def divide(config: Config, cohort: Cohort, repeat: int) -> dict[str, dict[str, str]]:
    """Name of each fold of a repeat to its assignment."""
    if config.cv_grouping == "site":
        return splits.site_folds(
            cohort, validation_fraction=config.validation_fraction, seed=config.seed, repeat=repeat
        )
    parts = splits.fold_patients(
        cohort, config.cv_folds, validation_fraction=config.validation_fraction, seed=config.seed, repeat=repeat
    )
    return {f"fold{number}": assignment for number, assignment in enumerate(parts)}


def _file_names(parts: Iterable[str]) -> dict[str, str]:
    """Folds, which may be named by sites as people write them, to what can be part of a file's name, each once."""
    names: dict[str, str] = {}
    for part in parts:
        name = re.sub(r"[^A-Za-z0-9.+-]", "_", part)[:100]  # a file's name has 255 at most
        taken = {other.casefold() for other in names.values()}
        names[part] = name if name.casefold() not in taken else f"{name}_{len(names)}"
    return names


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
