"""--estimate_only: what a run or a study will take, stage by stage, and what it could find, from a trial of it.

Nothing is written into --run_dir. What would not fit is refused in one line, after the table.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import fresh_patients, splits
from rembrandt_featgen.cohort.classes import Classes, infer, parse_counts
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.core import memory, registry, rundir, temporary_folders
from rembrandt_featgen.evaluation import few_shots, run_features, sweep_sharing, verdicts
from rembrandt_featgen.evaluation.run_features import Studied
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.measures import power
from rembrandt_featgen.stages import (
    assign_folds,
    extrapolation,
    limits,
    prepare_slices,
    run_sweep,
    shared_flags,
    study_trials,
    trial_runs,
)
from rembrandt_featgen.stages.extrapolation import Row, Whole
from rembrandt_featgen.stages.trial_runs import Trial

_OF_STUDY, _SWEEP = "evaluate_features", "run_sweep"
_NOT_TRIED = (_OF_STUDY, _SWEEP)
_DRAWS_OF_GANS = 2


def of_run(config, names: Sequence[str]) -> None:
    """Prints what a run takes.

    Args:
      config: of the pipeline.
      names: of its stages.

    Raises:
      InputError: it does not fit.
    """
    with _folder() as folder:
        there = limits.room(config.run_dir)
        cohort, fresh = _cohort(config, folder)
        assignment = prepare_slices.assignment_of(
            stages.share(prepare_slices, config, run_dir=str(folder)), cohort, fresh
        )
        patients = _counts(cohort, assignment)
        trial = trial_runs.run(config, cohort, [name for name in names if name not in _NOT_TRIED], folder=folder)
        whole = _whole(config, patients, trial)
        rows = {name: extrapolation.row(name, trial, whole) for name in trial.stages}
        if _OF_STUDY in names:
            rows[_OF_STUDY] = _study(config, whole, trial, classes=cohort.classes)
        if _SWEEP in names:
            rows[_SWEEP] = _sweep(config, trial, rows)
    ordered = [rows[name] for name in names if name in rows and rows[name].seconds.any()]
    done = _done(config, names)
    for number, row in enumerate(ordered):
        if row.name in done:
            ordered[number] = Row(row.name, f"{row.samples} (done before)", np.zeros(2), memory=0, disk=0)
    _print(ordered, patients["test"], config, there=there)


def of_study(config, names: Sequence[str], generators: Sequence[str]) -> None:
    """Prints what a study takes.

    Args:
      config: of crossvalidate.
      names: of the stages of each fold.
      generators: that arms draw from.

    Raises:
      InputError: it does not fit.
    """
    with _folder() as folder:
        there = limits.room(config.run_dir)
        cohort, fresh = _cohort(config, folder)
        divided = assign_folds.divide(stages.share(assign_folds, config), fresh_patients.without(cohort, fresh), 0)
        assignments = [
            fresh_patients.tested(assignment, fresh) if fresh else assignment for assignment in divided.values()
        ]
        folds = len(assignments) * config.cv_repeats * config.cv_seeds
        tested = {name for one in assignments for name, split in one.items() if split == "test"}
        before = ["make_phantom", *["report_cohort"] * config.cohort_report]
        tried = [*before, *(name for name in names if name not in _NOT_TRIED)]
        trial = trial_runs.run(dataclasses.replace(config, generators=tuple(generators)), cohort, tried, folder=folder)
        whole = _whole(config, _counts(cohort, assignments[0]), trial)
        rows = {name: extrapolation.row(name, trial, whole) for name in trial.stages}
        shared = rows["prepare_slices"]
        shared.name = "share_slices"
        if _OF_STUDY in names:
            rows[_OF_STUDY] = _study(config, whole, trial, classes=cohort.classes)
    for name in names:
        if name != "prepare_slices" and name in rows:
            row = rows[name]
            row.times, row.seconds, row.disk = folds, row.seconds * folds, row.disk * folds
            row.memory *= min(config.cv_workers, folds)
    patients = {
        name: sum(patient.label == name and patient.id in tested for patient in cohort.patients)
        for name in cohort.classes.names
    }
    _print([row for row in rows.values() if row.seconds.any()], patients, config, there=there)


def of_features(config, studied: Sequence[Studied]) -> None:
    """Prints what a study of a table takes.

    Args:
      config: of evaluate_features.
      studied: its features, and all tasks.

    Raises:
      InputError: it does not fit.
    """
    with _folder() as folder:
        there = limits.room(config.run_dir)
        row = study_trials.row(config, studied, folder)
    table = studied[0].table
    tested = np.unique(np.concatenate([task.test for task in studied[0].tasks]))
    _print([row], table.take(tested).patient_counts, config, there=there)


def of_few_shots(config, table: FeatureTable, *, trains: bool) -> None:
    """Prints what a study of few patients takes.

    Args:
      config: of fewshot.
      table: its features.
      trains: whether each draw trains GANs.

    Raises:
      InputError: it does not fit.
    """
    draws = min(_DRAWS_OF_GANS if trains else few_shots.TOGETHER, config.draws)
    module = stages.modules(["fewshot"])["fewshot"]
    with _folder() as folder:
        there = limits.room(config.run_dir)
        few = dataclasses.replace(config, run_dir=str(folder), draws=draws)
        found = trial_runs.measured("fewshot", folder, functools.partial(module.run, few))
    tasks = found.clocks["tasks"]  # the draws of a stretch share what costs time
    more = config.draws / draws
    seconds = found.seconds + (more - 1.0) * tasks.spent
    samples = f"{config.draws * len(config.shots)} draws of {len(table)} {table.kind}"
    row = Row(
        "fewshot", samples, seconds, memory=found.memory, disk=round(found.disk * more), work=round(found.work * more)
    )
    _print([row], table.patient_counts, config, there=there)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    kept_within = memory.at_most(limits.room(tempfile.gettempdir()).memory)
    with kept_within, temporary_folders.folder() as path:
        yield path


def _cohort(config, folder: Path) -> tuple[Cohort, frozenset[str]]:
    """The whole cohort, and the fresh patients of it; of phantoms, which are not there yet, names alone."""
    if config.cohort != shared_flags.PHANTOM:
        found = shared_flags.find_cohort(stages.share(prepare_slices, config, run_dir=str(folder)))
        return found, frozenset()
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


def _study(config, whole: Whole, trial: Trial, *, classes: Classes) -> Row:
    """The study of a run's features."""
    columns = trial.figures.get("extract_vectors", {}).get("columns", 0)
    shape: tuple[int, ...] = ()
    if run_features.of_maps(config.classifiers, True):
        shape = tuple(trial.figures["extract_features"]["shape"])
        limits.check_maps(config.run_dir, shape, whole.count(of_slices=True))
    like = study_trials.like_a_run(config, whole, classes=classes, columns=columns, shape=shape)
    return study_trials.row(config, like, trial.run_dir / "study")


def _sweep(config, trial: Trial, rows: Mapping[str, Row]) -> Row:
    """The points of a sweep, by what their stages take in the run, and how much larger their maps and networks are."""
    found = Row(_SWEEP, "0 points", np.zeros(2), memory=0, disk=0)
    own = stages.share(run_sweep, config, run_dir=str(trial.run_dir))
    axes = (own.sweep_reference, own.sweep_taps, own.sweep_generators, own.sweep_filters, own.sweep_added)
    if not (own.sweep_from_scratch or any(axes)):
        return found
    base = run_sweep.find_base(str(trial.run_dir))
    points = run_sweep.find_points(own, base)
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


def _done(config, names: Sequence[str]) -> set[str]:
    """Stages that the run will skip: they have its settings, and so have those that they read."""
    done: set[str] = set()
    for name in names:
        stage, module = registry.STAGES[name], stages.modules([name])[name]
        own = stages.share(module, config)
        kinds = config.generators if stage.has_kinds else ("",)
        if done.issuperset({*stage.inputs} & {*names}) and all(rundir.is_done_by(own, name, kind) for kind in kinds):
            done.add(name)
    return done


def _print(rows: Sequence[Row], tested: Mapping[str, int], config, *, there: limits.Room) -> None:
    """The table, what could be found, and InputError where it does not fit."""
    print("\n" + "\n".join(table(rows)))
    print(
        f"\ndisk: {memory.shown(there.disk)} free in {there.where}; memory: {memory.shown(there.memory)} for this run"
    )
    trainings = getattr(config, "trainings", 0) or config.draws  # of few shots each draw is a training
    print(f"\n{verdicts.expectation(tested, config.margin, trainings)}")
    print(
        f"This supposes that both pipelines have an AUROC of {power.AUROC:g}, and estimates that correlate by "
        f"{power.CORRELATION:g} over cohorts, or by {power.ALIKE:g} where they rank patients alike."
    )
    limits.check_room([limits.Need(row.name, row.memory, disk=row.disk, work=row.work) for row in rows], there)


def table(rows: Sequence[Row]) -> list[str]:
    """Lines of the table."""
    cells = [("stage", "samples", "time", "CPU time", "memory", "disk")]
    for row in rows:
        times = f", {row.times} times" if row.times > 1 else ""
        cells.append(
            (row.name, row.samples + times, *_times(row.seconds), memory.shown(row.memory), memory.shown(row.disk))
        )
    total = np.sum([row.seconds for row in rows], axis=0)
    most, disk = max(row.memory for row in rows), sum(row.disk for row in rows)
    cells.append(("all", "", *_times(total), memory.shown(most), memory.shown(disk)))
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in cells]


def _times(seconds: np.ndarray) -> tuple[str, str]:
    return _time(float(seconds[0])), _time(float(seconds[1]))


def _time(seconds: float) -> str:
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"
