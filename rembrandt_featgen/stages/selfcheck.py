"""Checks that a study can be trusted: random labels give chance, a planted leak is caught, a planted signal is found.

Four more checks try the words and intervals of verdicts on simulated cohorts whose truth is known.

The findings are stored in run_dir/selfcheck/selfcheck.json, where the report of a study in the same run_dir reads them.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import duplicates, fresh_patients, manifest, phantom, split_files, splits, volumes
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.patients import Cohort
from rembrandt_featgen.core import cli, folders, json_files, registry
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import error_rates, generator_checks, self_checks
from rembrandt_featgen.evaluation.self_checks import Finding
from rembrandt_featgen.features import tables
from rembrandt_featgen.stages import (
    crossvalidate,
    make_phantom,
    prepare_slices,
    shared_flags,
    write_study_report,
)

# Of a cohort that has a manifest of this program, which says all that is known.
_USUAL_COLUMNS = {
    **{f"{name}_column": name for name in (manifest.LABEL, manifest.PATIENT, manifest.GROUP, manifest.SITE)},
    **{"labels_table": "", "group_pattern": "", "pseudonymise": False},
}
ON_COHORT = ("random_labels", "planted_leak", "planted_signal")
SIMULATED = (*self_checks.WORLDS, generator_checks.CHECK)
CHECKS = (*ON_COHORT, *SIMULATED)
_OWN = [
    (
        "checks",
        tuple[str, ...],
        cli.flag(
            ON_COHORT,
            f"Which, of {', '.join(ON_COHORT)} of the study that the other flags describe, and of "
            f"{', '.join(SIMULATED)}, which try the verdict's words and intervals on simulated cohorts.",
        ),
    ),
    (
        "simulated_studies",
        int,
        cli.flag(
            1000,
            f"Studies of each simulated world, a tenth of them of the worlds of {generator_checks.CHECK} in which "
            f"generators help; some 15 minutes on one quiet core. With fewer than {error_rates.ENOUGH}, "
            f"of {generator_checks.CHECK} {generator_checks.NEEDED}, they are too few to say whether words are right.",
            minimum=20,
        ),
    ),
    (
        "simulated_generators",
        tuple[str, ...],
        cli.flag(
            generator_checks.GENERATORS,
            f"Whose worlds {generator_checks.CHECK} simulates, some 10 to 30 minutes for each, a network or "
            f"not, with 1000 studies; of {', '.join(generator_checks.GENERATORS)}.",
        ),
    ),
    (
        "signal_patients",
        tuple[str, ...],
        cli.flag(("20", "40", "80"), "Sizes of the phantom cohorts in which the planted signal is sought."),
    ),
    (
        "signal_tests",
        int,
        cli.flag(500, "Fresh phantom patients on whom each of these is tested, half of each class.", minimum=20),
    ),
]
Config = dataclasses.make_dataclass("Config", [*stages.all_fields([crossvalidate]), *_OWN], frozen=True)


def run(config) -> list[Finding]:
    """Writes run_dir/selfcheck/selfcheck.json, prints a line for each check, and returns the findings."""
    for name in config.checks:
        if name not in CHECKS:
            raise InputError(f"--checks: {name!r} is not known; take some of {', '.join(CHECKS)}")
    cli.some_of("simulated_generators", config.simulated_generators, generator_checks.GENERATORS)
    if generator_checks.CHECK in config.checks and config.simulated_studies < generator_checks.NEEDED:
        logging.warning(
            "--simulated_studies=%d are too few for %s to say whether words are right: take %d or more",
            config.simulated_studies,
            generator_checks.CHECK,
            generator_checks.NEEDED,
        )
    home = Path(config.run_dir) / "selfcheck"
    folders.make_folder(home, "--run_dir")
    findings: list[Finding] = []
    power: list[dict] = []
    if {"random_labels", "planted_leak"} & set(config.checks):  # both are of this study
        _random_study(config, home / "random_labels")
    if "random_labels" in config.checks:
        findings.append(self_checks.random_labels(_report(home / "random_labels")))
    if "planted_leak" in config.checks:
        findings.append(planted_leak(config, home))
    if "planted_signal" in config.checks:
        finding, power = planted_signal(config, home)
        findings.append(finding)
    for check, world in self_checks.WORLDS.items():
        if check in config.checks:
            kept = home / "simulated" / check
            findings.append(self_checks.simulated(check, error_rates.measure(world, config.simulated_studies, kept)))
    if generator_checks.CHECK in config.checks:
        kept = home / "simulated" / generator_checks.CHECK
        measured = generator_checks.measure(config.simulated_generators, config.simulated_studies, kept)
        findings.append(generator_checks.finding(measured))
    path = Path(config.run_dir) / write_study_report.SELF_CHECKS
    before = json_files.read_json(path) if path.exists() else {"self_checks": [], "power": []}
    checks = {entry["check"]: entry for entry in before["self_checks"]}
    checks |= {finding.check: dataclasses.asdict(finding) for finding in findings}
    json_files.write_json(path, {"self_checks": list(checks.values()), "power": power or before["power"]})
    for finding in findings:
        print(f"{finding.outcome}: {finding.check}: {finding.finding}")
    return findings


def _random_study(config, folder: Path) -> None:
    """A study of the cohort whose labels were shuffled among its patients.

    Whatever an arm then seems to know would come from a leak or from luck.
    """
    make_phantom.run(stages.share(make_phantom, config))
    cohort = _cohort(config)
    patients, classes = cohort.patients, cohort.classes
    labels = np.random.default_rng(config.seed).permutation([patient.label for patient in patients])
    folder.mkdir(parents=True, exist_ok=True)
    changed = [dataclasses.replace(patient, label=str(label)) for patient, label in zip(patients, labels)]
    path = manifest.write_manifest(folder / "cohort.csv", changed)
    changes = {"run_dir": str(folder), **_of_manifest(path, classes)}
    crossvalidate.run(dataclasses.replace(_study(config), **changes))


def planted_leak(config, home: Path) -> Finding:
    """Plants leaks in volumes, in a split, and in features and a generator of the study of random labels."""
    folder = home / "planted_leak"
    folder.mkdir(parents=True, exist_ok=True)
    first_fold = sorted((home / "random_labels" / registry.FOLD_RUNS).iterdir())[0]
    caught = {
        "a patient under two names": _two_names(config, folder),
        "a patient in two splits": _two_splits(folder),
        **self_checks.leaks_of_features(
            tables.joined([self_checks.vectors_of_run(first_fold, split) for split in splits.SPLITS])
        ),
        "a generator that gives back its training samples": self_checks.copies_are_caught(first_fold),
    }
    return self_checks.planted_leaks(caught)


def _two_names(config, folder: Path) -> str:
    """Adds a patient's volume again, brighter and under another name; returns how prepare_slices caught it."""
    cohort = _cohort(config)
    patients, classes = cohort.patients, cohort.classes
    victim, images = patients[0], {}
    for modality, path in patients[0].images.items():
        volume = volumes.read_volume(path)
        images[modality] = folder / f"alias_{modality}.nii.gz"
        volumes.write_like(images[modality], (1.5 * volume.voxels + 10).astype(np.float32), volume)
    name = f"{victim.id}_ALIAS"
    alias = dataclasses.replace(victim, id=name, group=name, images=images)
    path = manifest.write_manifest(folder / "cohort.csv", [*patients, alias])
    changes = {"run_dir": str(folder / "run"), **_of_manifest(path, classes)}
    settings = stages.share(prepare_slices, config, **changes, test_fraction=0.2, look_alikes=duplicates.REFUSE)
    try:
        prepare_slices.run(settings)
    except InputError as error:
        return "caught" if victim.id in str(error) and alias.id in str(error) else ""
    return ""


def _cohort(config) -> Cohort:
    """The patients of --cohort but for fresh ones, who are there for the tests of studies."""
    return fresh_patients.without(shared_flags.find_cohort(config), shared_flags.fresh_patients(config))


def _two_splits(folder: Path) -> str:
    """Writes a split with a patient in training and test; returns how the reader caught it."""
    groups = {name: {"b": ["VICTIM", name], "a": [f"{name}_2"]} for name in ("train", "test")}
    path = folder / "split.json"
    path.write_text(json.dumps({**groups, "validation": {"b": [], "a": []}}), encoding="utf-8")
    try:
        split_files.read_split(path)
    except InputError as error:
        return "caught" if "VICTIM" in str(error) else ""
    return ""


def planted_signal(config, home: Path) -> tuple[Finding, list[dict]]:
    """Seeks the phantom's known difference between the classes in cohorts of several sizes."""
    rows = []
    try:
        sizes = sorted({int(text) for text in config.signal_patients})
    except ValueError as error:
        raise InputError(f"--signal_patients={','.join(config.signal_patients)}: write it as 20,40,80") from error
    if not sizes:
        raise InputError("--signal_patients names no size; write it as 20,40,80")
    for n in sizes:
        folder = home / f"planted_signal_{n}"
        positives = round(0.6 * n)
        crossvalidate.run(
            dataclasses.replace(
                _study(config),
                run_dir=str(folder),
                cohort=phantom.COHORT,
                layout="auto",
                modalities=("flair",),
                classes=(),
                phantom_counts=(f"LGG:{n - positives}", f"HGG:{positives}"),
                phantom_test_counts=(f"LGG:{config.signal_tests // 2}", f"HGG:{config.signal_tests // 2}"),
                arms=("none",),
                cv_grouping="patient",
                covariates=(),
                site_pattern="",
                **_USUAL_COLUMNS,
            )
        )
        row = next(row for row in _report(folder)["arms"] if row["unit"] == "patient")
        rows.append({"patients": n, "power": row.get("power"), "auroc": row["auroc"], "ci95": row["ci95"]["auroc"]})
    return self_checks.planted_signal(rows, config.phantom_difficulty), [
        row for row in rows if row["power"] is not None
    ]


def _report(folder: Path) -> dict:
    """report.json of the study in a folder."""
    return json_files.read_json(folder / registry.folder("write_study_report") / "report.json")


def _of_manifest(path: Path, classes: Classes) -> dict:
    """Flags of a cohort that `manifest.write_manifest` wrote."""
    return {"cohort": str(path), "layout": "manifest", "classes": classes.names, **_USUAL_COLUMNS}


def _study(config):
    """The share of `config` that a study takes."""
    return stages.share(crossvalidate, config)


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
