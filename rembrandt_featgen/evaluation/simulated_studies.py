"""Studies of simulated cohorts whose truth is known, with real plans, trainings, choices and words; many at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.classification import classifier_kinds, tuning
from rembrandt_featgen.classification.training_problems import Problem
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.evaluation import contrasts, plans, predictions
from rembrandt_featgen.evaluation.plans import Task
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.features import vector_preparation
from rembrandt_featgen.features.tables import FeatureTable, table_of_arrays
from rembrandt_featgen.generation import sampling_method, training_set
from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.generation.sampling_method import Fitted
from rembrandt_featgen.measures import classification

CLASSES = Classes.of(("common", "minority"))
# What the second arm of a world does; the first is real samples alone.
AGAIN, PLANTED = "again", "planted"
STRENGTHS = {"ridge": 0.1, "mlp": 10.0}  # of classifiers whose names say none


@dataclasses.dataclass(frozen=True)
class World:
    """Where cohorts come from, and what is compared in a study of one.

    Attributes:
      patients: of the common and of the minority class.
      numbers: of a patient, independent and normal.
      shift: of the first three numbers in the minority class, in deviations; 0 where numbers tell nothing.
      arm: `AGAIN`, real samples alone with other seeds; `PLANTED`, with `planted` new real patients of the minority
        class, which is what a perfect generator would add; or a method of `METHODS`, which brings the classes up to
        equal numbers.
      planted: patients.
      plan: "k-fold", five folds, or "hold-out", tested on `tested` new patients of each class.
      tested: of a hold-out.
      trainings: divisions of a k-fold, seeds of a hold-out.
      classifiers: of `STRENGTHS`, or with a strength of their own, such as "mlp@0.001"; none is tuned.
      fresh: patients of each class on whom the truth is measured.
    """

    patients: tuple[int, int] = (40, 20)
    numbers: int = 10
    shift: float = 0.6
    arm: str = AGAIN
    planted: int = 0
    plan: str = "k-fold"
    tested: int = 100
    trainings: int = 5
    classifiers: tuple[str, ...] = ("ridge", "mlp")
    fresh: int = 500


class Simulated(NamedTuple):
    """A study of a cohort.

    Attributes:
      predictions: of the test patients, by both arms and all classifiers.
      fresh: the same of new patients, whose measures are the truth of what was trained: of a k-fold by the first
        division.
    """

    predictions: PredictionsTable
    fresh: PredictionsTable


class _Trained(NamedTuple):
    """A problem of a task, and what is done with its model."""

    cohort: int
    task: Task
    arm: str
    problem: Problem
    prepared: vector_preparation.VectorPreparation
    shares: np.ndarray


def simulate(world: World, cohorts: Sequence[int]) -> list[Simulated]:
    """A study of each of some cohorts, trained together.

    Args:
      world: where they come from.
      cohorts: numbers from 0 on, the seeds of the cohorts.
    """
    tables, jobs = [], []
    for place, number in enumerate(cohorts):
        random = np.random.default_rng([number, 1])
        table, tasks = _cohort(world, random)
        tables.append((table, tasks, _table(world, random, (world.fresh,) * 2)))
        preparations = [vector_preparation.fit(table.values[task.train]) for task in tasks]
        fits = _fits(world, table, tasks, preparations=preparations)
        for task, prepared, fitted in zip(tasks, preparations, fits):
            for arm in ("none", world.arm):
                problem = _problem(world, table, task, arm=arm, prepared=prepared, fitted=fitted)
                shares = np.bincount(table.labels[task.train], minlength=2) / len(task.train)
                jobs.append(_Trained(place, task, arm, problem=problem, prepared=prepared, shares=shares))
    parts: list[list[PredictionsTable]] = [[] for _ in tables]
    fresh: list[list[PredictionsTable]] = [[] for _ in tables]
    for classifier in world.classifiers:
        models = classifier_kinds.train(
            [job.problem for job in jobs],
            classifier_kinds.kind_of(classifier).settings(),
            strength=[_strength(classifier)] * len(jobs),
        )
        for job, model in zip(jobs, models):
            table, tasks, new = tables[job.cohort]
            loss = _loss(table, job, model)
            parts[job.cohort].append(_predict(table.take(job.task.test), job, model, classifier=classifier, loss=loss))
            if job.task.draw == tasks[0].draw:
                # every fold predicts all new patients: to gather them, each fold counts as a training
                rows = _predict(new, job, model, classifier=classifier, loss=loss)
                fresh[job.cohort].append(rows.replace(draw=job.task.number, fold="fresh"))
    return [Simulated(predictions.join(one), predictions.join(other)) for one, other in zip(parts, fresh)]


def truth(study: Simulated) -> tuple[float, float]:
    """AUROC of new patients by the best pipelines of a study: without generation, and by how much more with it."""
    without, with_ = (
        float(
            np.mean(
                [
                    classification.measures(run.labels, run.probabilities)["auroc"]
                    for run in contrasts.runs_of(contrasts.choose(study.fresh, generative))
                ]
            )
        )
        for generative in (False, True)
    )
    return without, with_ - without


def _cohort(world: World, random) -> tuple[FeatureTable, list[Task]]:
    division = int(random.integers(2**31))
    if world.plan == "k-fold":
        table = _table(world, random, world.patients)
        tasks = plans.k_fold(
            table, folds=5, repeats=world.trainings, seeds=[division], validation=0.25, division=division
        )
        return table, tasks
    known, new = _table(world, random, world.patients), _table(world, random, (world.tested,) * 2, prefix="T")
    held_out = np.arange(len(known)) % 4 == 0  # patients are sorted by class
    parts = {"train": known.take(~held_out), "validation": known.take(held_out), "test": new}
    return plans.given(parts, [division + number for number in range(world.trainings)])


def _table(world: World, random, patients: Sequence[int], *, prefix: str = "P") -> FeatureTable:
    labels = np.repeat([0, 1], patients)
    values = random.normal(size=(len(labels), world.numbers))
    values[:, :3] += world.shift * labels[:, None]
    names = np.array([f"{prefix}{number}" for number in range(len(labels))])
    columns = [f"x{number}" for number in range(world.numbers)]
    return table_of_arrays(
        values.astype(np.float32), labels, patients=names, sites=None, names=columns, classes=CLASSES
    )


def _fits(world: World, table: FeatureTable, tasks: Sequence[Task], *, preparations) -> list[Fitted | None]:
    """The method of a world's arm, fitted to the training samples of each task; None of an arm without one."""
    if world.arm in (AGAIN, PLANTED):
        return [None] * len(tasks)
    reals = [
        sampling_method.real_samples(
            prepared.apply(table.values[task.train]),
            table.labels[task.train],
            table.groups[task.train],
            num_classes=2,
            signed=True,
            seed=task.training_seed,
        )
        for task, prepared in zip(tasks, preparations)
    ]
    return list(METHODS[world.arm].fit_many(reals))


def _problem(world: World, table: FeatureTable, task: Task, *, arm: str, prepared, fitted: Fitted | None) -> Problem:
    values, labels = prepared.apply(table.values[task.train]), table.labels[task.train]
    seed = task.training_seed
    if arm == AGAIN:
        seed = (seed + 2**29) % 2**30
    elif arm == PLANTED:
        new = _table(world, np.random.default_rng([seed, 2]), (0, world.planted)).values
        values, labels = np.concatenate([values, prepared.apply(new)]), np.append(labels, [1] * world.planted)
    elif arm != "none" and fitted is not None:
        drawn = fitted.draw_all(training_set.counts(labels, 0.0, 2), seed)
        values, labels = np.concatenate([values, drawn.features]), np.concatenate([labels, drawn.labels])
    # all arms take the steps that real samples alone take, as those of studies do
    return Problem(values, labels.astype(np.int64), 2, seed=seed, epoch=len(task.train))


def _strength(classifier: str) -> float:
    """Of the regularisation, which is fixed."""
    return STRENGTHS[classifier] if classifier in STRENGTHS else classifier_kinds.kind_of(classifier).strengths[0]


def _odds(job: _Trained, table: FeatureTable, model) -> np.ndarray:
    """Probabilities at the class frequencies of the real training samples, as in `Trial.real_odds`."""
    odds = tuning.balanced(model.probabilities(job.prepared.apply(table.values)), job.problem) * job.shares
    return odds / odds.sum(1, keepdims=True)


def _loss(table: FeatureTable, job: _Trained, model) -> float:
    held_out = table.take(job.task.validation)
    return classification.patient_log_loss(held_out.patients, held_out.labels, _odds(job, held_out, model))


def _predict(table: FeatureTable, job: _Trained, model, *, classifier: str, loss: float) -> PredictionsTable:
    task = job.task
    return predictions.rows(
        predictions.Samples(table.patients, table.samples, table.labels),
        _odds(job, table, model),
        classes=CLASSES,
        arm=job.arm,
        kind="none" if job.arm == "none" else "generative",
        classifier=classifier,
        validation_loss=loss,
        plan=task.plan,
        draw=task.draw,
        fold=task.fold,
        seed=task.seed,
    )
