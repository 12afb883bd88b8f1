"""`--estimate_only` of a run or a study of volumes: what it will take, stage by stage, from a trial of it.

Nothing is written into --run_dir. What would not fit is refused in one line, after the table.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rembrandt_featgen.cohort import phantom, splits
from rembrandt_featgen.cohort.classes import Classes, infer, parse_counts
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.core import registry, rundir
from rembrandt_featgen.estimates import estimate_table, extrapolation, limits, study_trials, trial_runs
from rembrandt_featgen.estimates.extrapolation import Row, Whole
from rembrandt_featgen.estimates.stage_calls import StageCalls
from rembrandt_featgen.estimates.trial_runs import Trial
from rembrandt_featgen.evaluation import run_features, sweep_sharing

_OF_STUDY, _SWEEP = "evaluate_features", "run_sweep"
_NOT_TRIED = (_OF_STUDY, _SWEEP)


def of_run(config, names: Sequence[str], calls: StageCalls) -> None:
    """Prints what a run takes.

    Args:
      config: of the pipeline.
      names: of its stages.
      calls: of the stages.

    Raises:
      InputError: it does not fit.
    """
    start, there = estimate_table.start_up(), limits.room(config.run_dir)
    with trial_runs.temporary_folder() as folder:
        cohort, fresh = _cohort(config, folder, calls)
        patients = _counts(cohort, calls.split(config, cohort, fresh))
        tried = [name for name in names if name not in _NOT_TRIED]
        trial = trial_runs.run(config, cohort, tried, folder=folder, calls=calls)
        whole = _whole(config, patients, trial)
        rows = {name: extrapolation.row(name, trial, whole) for name in trial.stages}
        if _OF_STUDY in names:
            rows[_OF_STUDY] = _study(config, whole, trial, classes=cohort.classes, calls=calls)
        if _SWEEP in names:
            rows[_SWEEP] = _sweep(config, trial, rows, calls=calls)
    ordered = [rows[name] for name in names if name in rows and rows[name].seconds.any()]
    done = _done(config, names, calls)
    for number, row in enumerate(ordered):
        if row.name in done:
            ordered[number] = Row(row.name, f"{row.samples} (done before)", np.zeros(2), memory=0, disk=0)
    estimate_table.show([start, *ordered], patients["test"], config, there=there)


def of_study(config, names: Sequence[str], generators: Sequence[str], *, calls: StageCalls) -> None:
    """Prints what a study takes.

    Args:
      config: of crossvalidate.
      names: of the stages of each fold.
      generators: that arms draw from.
      calls: of the stages.

    Raises:
      InputError: it does not fit.
    """
    start, there = estimate_table.start_up(1 + config.cv_workers), limits.room(config.run_dir)
    with trial_runs.temporary_folder() as folder:
        cohort, fresh = _cohort(config, folder, calls)
        assignments = calls.folds(config, cohort, fresh)
        folds = len(assignments) * config.cv_repeats * config.cv_seeds
        tested = {name for one in assignments for name, split in one.items() if split == "test"}
        before = ["make_phantom", *["report_cohort"] * config.cohort_report]
        tried = [*before, *(name for name in names if name not in _NOT_TRIED)]
        drawing = dataclasses.replace(config, generators=tuple(generators))
        trial = trial_runs.run(drawing, cohort, tried, folder=folder, calls=calls)
        whole = _whole(config, _counts(cohort, assignments[0]), trial)
        rows = {name: extrapolation.row(name, trial, whole) for name in trial.stages}
        shared = rows["prepare_slices"]
        shared.name = "share_slices"
        if _OF_STUDY in names:
            rows[_OF_STUDY] = _study(config, whole, trial, classes=cohort.classes, calls=calls)
    for name in names:
        if name != "prepare_slices" and name in rows:
            row = rows[name]
            row.times, row.seconds, row.disk = folds, row.seconds * folds, row.disk * folds
            row.memory *= min(config.cv_workers, folds)
    patients = {
        name: sum(patient.label == name and patient.id in tested for patient in cohort.patients)
        for name in cohort.classes.names
    }
    done = [start, *(row for row in rows.values() if row.seconds.any())]
    estimate_table.show(done, patients, config, there=there)


def _cohort(config, folder: Path, calls: StageCalls) -> tuple[Cohort, frozenset[str]]:
    """The whole cohort, and the fresh patients of it; of phantoms, which are not there yet, names alone."""
    if config.cohort != phantom.COHORT:
        return calls.cohort(config, str(folder)), frozenset()
    counts = parse_counts(config.phantom_counts, "--phantom_counts")
    fresh = parse_counts(config.phantom_test_counts, "--phantom_test_counts")
    classes = infer(config.classes, counts, f"--phantom_counts={','.join(config.phantom_counts)}")
    patients = [
        Patient(f"{name} {kind} {number}", classes.match(name), images={}, mask=Path())
        for kind, several in (("", counts), ("fresh", fresh))
        for name, count in several.items()
        for number in range(count)
    ]
    cohort = Cohort(sorted(patients, key=lambda patient: patient.id), classes)
    return cohort, frozenset(patient.id for patient in patients if " fresh " in patient.id)


def _counts(cohort: Cohort, assignment: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Split to class to patients."""
    return {
        split: {
            name: sum(patient.label == name and assignment.get(patient.id) == split for patient in cohort.patients)
            for name in cohort.classes.names
        }
        for split in splits.SPLITS
    }


def _whole(config, patients: Mapping[str, Mapping[str, int]], trial: Trial) -> Whole:
    """With as many slices of each patient as those of the trial have, by class."""
    of_trial = {"patients": trial.patients, "slices": trial.slices}
    totals = {
        what: {name: sum(own.get(name, 0) for own in numbers.values()) for name in patients["train"]}
        for what, numbers in of_trial.items()
    }
    each = {name: totals["slices"][name] / max(totals["patients"][name], 1) for name in patients["train"]}
    slices = {
        split: {name: round(count * each[name]) for name, count in own.items()} for split, own in patients.items()
    }
    return Whole(config, patients, slices)


def _study(config, whole: Whole, trial: Trial, *, classes: Classes, calls: StageCalls) -> Row:
    """The study of a run's features."""
    columns = trial.figures.get("extract_vectors", {}).get("columns", 0)
    shape: tuple[int, ...] = ()
    if run_features.of_maps(config.classifiers, True):
        shape = tuple(trial.figures["extract_features"]["shape"])
        limits.check_maps(config.run_dir, shape, whole.count(of_slices=True))
    like = study_trials.like_a_run(config, whole, classes=classes, columns=columns, shape=shape)
    return study_trials.row(config, like, trial.run_dir / "study", study=calls.study)


def _sweep(config, trial: Trial, rows: Mapping[str, Row], *, calls: StageCalls) -> Row:
    """The points of a sweep, by what their stages take in the run, and how much larger their maps and networks are."""
    found = Row(_SWEEP, "0 points", np.zeros(2), memory=0, disk=0)
    base, points = calls.points(config, str(trial.run_dir))
    if not points:
        return found
    learnt = 0
    for point in points:
        names = sweep_sharing.stages_to_learn(base, point)
        learnt += bool(names)
        for name in names:
            larger = _larger(name, config, point.changes)
            found.seconds = found.seconds + rows[name].seconds * larger
            found.disk += round(rows[name].disk * larger)
            found.memory = max(found.memory, round(rows[name].memory * max(larger, 1.0) ** 0.5))
    found.samples = f"{learnt} points (by arithmetic, not measured)"
    return found


def _larger(name: str, config, changes: Mapping[str, Any]) -> float:
    """How much more a stage has to do at a point: by the numbers of a map, and by the filters of its networks."""
    if "tap" in changes and name != "train_unet":
        own = math.prod(limits.map_shape(config))
        return math.prod(limits.map_shape(_Changed(config, changes))) / own
    if {"ndf", "ngf"} & set(changes) and name in ("train_generators", "generate_synthetic"):
        return (changes.get("ndf", config.ndf) / config.ndf) ** 2
    return 1.0


class _Changed:
    """A config with other values."""

    def __init__(self, config, changes: Mapping[str, Any]):
        self._config, self._changes = config, changes

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._changes[name] if name in self._changes else getattr(self._config, name)


def _done(config, names: Sequence[str], calls: StageCalls) -> set[str]:
    """Stages that the run will skip: they have its settings, and so have those that they read."""
    done: set[str] = set()
    for name in names:
        stage, own = registry.STAGES[name], calls.config(name, config)
        kinds = config.generators if stage.has_kinds else ("",)
        if done.issuperset({*stage.inputs} & {*names}) and all(rundir.is_done_by(own, name, kind) for kind in kinds):
            done.add(name)
    return done
