"""A task of vectors: every arm, amount and classifier is tuned on training samples, and predicts the test samples."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.classification import tuning, vector_classifiers
from rembrandt_featgen.classification.vector_classifiers import VECTOR_CLASSIFIERS, Model
from rembrandt_featgen.classification.vector_problems import Problem
from rembrandt_featgen.evaluation import predictions, vector_arms
from rembrandt_featgen.evaluation.engine import Outcome
from rembrandt_featgen.evaluation.plans import Task
from rembrandt_featgen.evaluation.vector_arms import VECTOR_ARMS, TrainingSamples
from rembrandt_featgen.features import vector_preparation
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.features.vector_preparation import VectorPreparation
from rembrandt_featgen.measures import classification, decisions


@dataclasses.dataclass(frozen=True)
class Settings:
    """What competes, and how it is tuned.

    Attributes:
      arms: names of `VECTOR_ARMS`.
      amounts: of extra samples, for arms with a method.
      classifiers: names of `VECTOR_CLASSIFIERS`.
      components: principal components of the training samples; 0 keeps the columns.
      inner_folds: by which training patients tune the regularisation.
    """

    arms: tuple[str, ...]
    amounts: tuple[float, ...]
    classifiers: tuple[str, ...]
    components: int = 0
    inner_folds: int = 3


class Pipeline(NamedTuple):
    """An arm at an amount (None for an arm that takes none)."""

    arm: str
    amount: float | None

    @property
    def shown(self) -> str:
        """The amount as the predictions table has it."""
        return "" if self.amount is None else f"{self.amount:g}"


def pipelines(settings: Settings) -> list[Pipeline]:
    """What competes at each classifier."""
    return [
        Pipeline(name, amount)
        for name in settings.arms
        for amount in (settings.amounts if VECTOR_ARMS[name].method else (None,))
    ]


def run(table: FeatureTable, task: Task, settings: Settings) -> Outcome:
    """Does a task of a table of vectors.

    Args:
      table: vectors of all samples.
      task: which of them train, validate and test.
      settings: what competes.

    Returns:
      Predictions of the test samples by each pipeline and classifier, "chosen" being, of each arm, the amount of the
      lowest log loss of the validation patients (without them, of the inner folds); and its strengths and losses.
    """
    preparation = vector_preparation.fit(table.values[task.train], components=settings.components)
    training = _prepared(table, task.train, preparation)
    inner = _inner_preparations(table, task, settings)
    test, held_out = (preparation.apply(table.values[rows]) for rows in (task.test, task.validation))
    samples = predictions.Samples(
        table.patients[task.test],
        table.samples[task.test],
        table.labels[task.test],
        groups=table.groups[task.test],
        sites=None if table.sites is None else table.sites[task.test],
    )
    tables, choices = [], {}
    for classifier in settings.classifiers:
        tuned = _tune(table, task, inner, classifier=classifier, settings=settings)
        competing = pipelines(settings)
        problems = [_problem(table, training, one, seed=task.seed) for one in competing]
        models = _train(problems, classifier, [tuned[one].strength for one in competing])
        rows: dict[Pipeline, dict] = {}
        for one, problem, model in zip(competing, problems, models):
            p = model.probabilities(held_out) if len(held_out) else None
            loss = tuned[one].loss if p is None else _loss(table, task.validation, p)
            rows[one] = {
                "model": model,
                "thresholds": _thresholds(table, task, problem, arm=one.arm, validation_probabilities=p),
                "loss": loss,
                "inner_loss": tuned[one].loss,
                "strength": tuned[one].strength,
                "samples": np.bincount(problem.labels, minlength=table.classes.count).tolist(),
            }
        for name in settings.arms:
            best = min((one for one in competing if one.arm == name), key=lambda one: rows[one]["loss"])
            for one in (one for one in competing if one.arm == name):
                row = rows[one]
                tables.append(
                    predictions.rows(
                        samples,
                        row.pop("model").probabilities(test),
                        classes=table.classes,
                        arm=name,
                        kind=VECTOR_ARMS[name].kind,
                        classifier=classifier,
                        amount=one.shown,
                        chosen=one is best,
                        thresholds=row["thresholds"],
                        plan=task.plan,
                        draw=task.draw,
                        fold=task.fold,
                        seed=task.seed,
                    )
                )
                key = f"{classifier}/{name}" + (f"/{one.shown}" if one.shown else "")
                choices[key] = {**row, "thresholds": list(map(float, row["thresholds"])), "chosen": one is best}
    about = {"imputed": preparation.imputed, "constant": preparation.constant, "numbers": preparation.size}
    return Outcome(predictions.join(tables), {"preparation": about, "pipelines": choices})


class _Tuned(NamedTuple):
    """Strength of regularisation, and the inner folds' log loss at it; NaN where nothing was tuned."""

    strength: float
    loss: float


def _inner_preparations(table, task, settings) -> dict[bytes, VectorPreparation]:
    """By the training rows of an inner fold, what those rows alone say of how vectors are prepared."""
    labels, groups = table.labels[task.train], table.groups[task.train]
    return {
        rows.tobytes(): vector_preparation.fit(table.values[task.train[rows]], components=settings.components)
        for rows, _ in tuning.inner_folds(labels, groups, settings.inner_folds, seed=task.seed)
    }


def _tune(table, task, inner, *, classifier, settings) -> dict[Pipeline, _Tuned]:
    """The strength of each pipeline: all trainings of all inner folds in one call."""

    def make(one):
        def problem_and_judged(rows, judged):
            preparation = inner[rows.tobytes()]
            samples = _prepared(table, task.train[rows], preparation)
            return _problem(table, samples, one, seed=task.seed), preparation.apply(table.values[task.train[judged]])

        return problem_and_judged

    strengths = VECTOR_CLASSIFIERS[classifier].strengths
    tuned = {one: _Tuned(strengths[0], math.nan) for one in pipelines(settings)}
    competing = [one for one in tuned if VECTOR_ARMS[one.arm].tuned]
    labels, groups = table.labels[task.train], table.groups[task.train]
    choices = tuning.tune(
        [tuning.Task(labels, groups, make(one), seed=task.seed) for one in competing],
        VECTOR_CLASSIFIERS[classifier].settings(),
        folds=settings.inner_folds,
    )
    for one, choice in zip(competing, choices):
        losses = choice.losses[choice.strengths.index(choice.strength)]
        tuned[one] = _Tuned(choice.strength, float(losses.mean()) if len(losses) else math.nan)
    return tuned


def _train(problems, classifier, strengths) -> list[Model]:
    return vector_classifiers.train(problems, VECTOR_CLASSIFIERS[classifier].settings(), strength=strengths)


def _prepared(table, rows, preparation) -> TrainingSamples:
    return TrainingSamples(preparation.apply(table.values[rows]), table.labels[rows], table.groups[rows])


def _problem(table, samples, one, *, seed) -> Problem:
    return vector_arms.problem(
        VECTOR_ARMS[one.arm],
        samples,
        amount=one.amount,
        num_classes=table.classes.count,
        signed=True,  # once standardised
        seed=seed,
    )


def _loss(table, rows, probabilities) -> float:
    return classification.patient_log_loss(table.patients[rows], table.labels[rows], probabilities)


def _thresholds(table, task, problem, *, arm, validation_probabilities):
    """[classes] by which the pipeline decides."""
    count = table.classes.count
    if not VECTOR_ARMS[arm].threshold:
        return decisions.even(count)
    prior = problem.targets().sum(0) / len(problem.labels)
    if validation_probabilities is None:
        return prior
    _, labels, p = classification.by_patient(
        table.patients[task.validation], table.labels[task.validation], validation_probabilities
    )
    return decisions.choose_thresholds(labels, p, prior)
