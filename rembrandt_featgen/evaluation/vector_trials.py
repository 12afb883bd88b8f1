"""A task of vectors: every arm, amount and classifier is tuned on training samples, and predicts the test samples."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.classification import classifier_kinds, tuning
from rembrandt_featgen.classification.classifier_kinds import CLASSIFIER_KINDS, Model
from rembrandt_featgen.classification.training_problems import Problem
from rembrandt_featgen.evaluation import predictions, vector_arms
from rembrandt_featgen.evaluation.engine import Outcome
from rembrandt_featgen.evaluation.plans import Task
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.evaluation.vector_arms import VECTOR_ARMS, TrainingSamples
from rembrandt_featgen.evaluation.vector_pipelines import Pipeline, Settings, pipelines
from rembrandt_featgen.features import vector_preparation
from rembrandt_featgen.features.covariates import INPUTS, with_inputs
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.features.vector_preparation import VectorPreparation
from rembrandt_featgen.generation.sample_pool import SamplePool
from rembrandt_featgen.measures import classification, decisions


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
    tables: list[PredictionsTable] = []
    choices: dict[str, dict] = {}
    prepared: dict[str, dict] = {}
    for inputs in INPUTS:
        arms = tuple(name for name in settings.arms if VECTOR_ARMS[name].inputs == inputs)
        if not arms:
            continue
        trial = Trial.of(with_inputs(table, inputs), task, dataclasses.replace(settings, arms=arms))
        prepared[inputs] = {
            "imputed": trial.outer.preparation.imputed,
            "constant": trial.outer.preparation.constant,
            "numbers": trial.outer.preparation.size,
        }
        for classifier in settings.classifiers:
            predicted, chosen = _predict(trial, classifier)
            tables += predicted
            choices |= chosen
    return Outcome(predictions.join(tables), {"preparation": prepared, "pipelines": choices})


class Part(NamedTuple):
    """Samples that are trained on, and what they say of how vectors are prepared. All pipelines share the arrays."""

    preparation: VectorPreparation
    samples: TrainingSamples
    pool: SamplePool | None

    @classmethod
    def of(cls, table: FeatureTable, rows: np.ndarray, settings: Settings) -> Part:
        """Those of some rows of a table."""
        preparation = vector_preparation.fit(table.values[rows], components=settings.components)
        samples = TrainingSamples(preparation.apply(table.values[rows]), table.labels[rows], table.groups[rows])
        pool = settings.synthetic if vector_arms.SYNTHETIC in settings.arms else None
        if pool is not None:
            pool = SamplePool(preparation.apply(pool.features), pool.labels)
        return cls(preparation, samples, pool)


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """What the classifiers of a task share.

    Attributes:
      table, task, settings: as of `run`.
      outer: the training samples.
      inner: of each inner fold, by its training rows.
    """

    table: FeatureTable
    task: Task
    settings: Settings
    outer: Part
    inner: dict[bytes, Part]

    @property
    def shares(self) -> np.ndarray:
        """[classes] of the training samples, with one more of each class, as `Problem.shares` has them."""
        counts = np.bincount(self.table.labels[self.task.train], minlength=self.table.classes.count) + 1.0
        return counts / counts.sum()

    @classmethod
    def of(cls, table: FeatureTable, task: Task, settings: Settings) -> Trial:
        """A trial of a task; all arms of the settings learn from the columns of the table."""
        labels, groups = table.labels[task.train], table.groups[task.train]
        folds = tuning.inner_folds(labels, groups, settings.inner_folds, seed=task.training_seed)

        inner = {rows.tobytes(): Part.of(table, task.train[rows], settings) for rows, _ in folds}
        return cls(table, task, settings, outer=Part.of(table, task.train, settings), inner=inner)

    def problem(self, one: Pipeline, part: Part) -> Problem:
        """What a pipeline trains a classifier on, of some of the samples."""
        return vector_arms.problem(
            VECTOR_ARMS[one.arm],
            part.samples,
            amount=one.amount,
            num_classes=self.table.classes.count,
            seed=self.task.training_seed,
            pool=part.pool,
        )

    def real_odds(self, probabilities: np.ndarray, problem: Problem) -> np.ndarray:
        """Probabilities as they would be of a training in which classes are as frequent as among the real samples.

        Arms differ in how far they balance the classes, which moves all of their probabilities. Without that, folds
        of unlike cohorts are pooled alike for all, and log loss and calibration compare what arms have learned.
        """
        corrected = tuning.balanced(probabilities, problem) * self.shares
        return corrected / corrected.sum(1, keepdims=True)

    def test_samples(self) -> predictions.Samples:
        """Whose the test samples are."""
        table, rows = self.table, self.task.test
        return predictions.Samples(
            table.patients[rows],
            table.samples[rows],
            table.labels[rows],
            groups=table.groups[rows],
            sites=None if table.sites is None else table.sites[rows],
        )


def _predict(trial, classifier) -> tuple[list[PredictionsTable], dict[str, dict]]:
    """Predictions of the test samples by each pipeline of a classifier; and what each chose."""
    table, task = trial.table, trial.task
    test, held_out = (trial.outer.preparation.apply(table.values[rows]) for rows in (task.test, task.validation))
    competing, tuned = pipelines(trial.settings), tune(trial, classifier)
    problems = [trial.problem(one, trial.outer) for one in competing]
    models = _train(problems, classifier, [tuned[one].strength for one in competing])
    samples, thresholds, losses = trial.test_samples(), {}, {}
    for one, problem, model in zip(competing, problems, models):
        p = trial.real_odds(model.probabilities(held_out), problem) if len(held_out) else None
        thresholds[one] = _thresholds(trial, one.arm, p)
        losses[one] = tuned[one].loss if p is None else _loss(table, task.validation, p)
    tables: list[PredictionsTable] = []
    choices: dict[str, dict] = {}
    for one, problem, model in zip(competing, problems, models):
        chosen = one is min((other for other in competing if other.arm == one.arm), key=lambda other: losses[other])
        predicted = predictions.rows(
            samples,
            trial.real_odds(model.probabilities(test), problem),
            classes=table.classes,
            arm=one.arm,
            kind=VECTOR_ARMS[one.arm].kind,
            classifier=classifier,
            amount=one.shown,
            chosen=chosen,
            thresholds=thresholds[one],
            plan=task.plan,
            draw=task.draw,
            fold=task.fold,
            seed=task.seed,
        )
        tables.append(predicted)
        choices["/".join(filter(None, (classifier, one.arm, one.shown)))] = {
            "strength": tuned[one].strength,
            "inner_loss": tuned[one].loss,
            "loss": losses[one],
            "thresholds": list(map(float, thresholds[one])),
            "samples": np.bincount(problem.labels, minlength=table.classes.count).tolist(),
            "chosen": chosen,
        }
    return tables, choices


class Tuned(NamedTuple):
    """Strength of regularisation, and the inner folds' log loss at it; NaN where nothing was tuned."""

    strength: float
    loss: float


def tune(trial: Trial, classifier: str) -> dict[Pipeline, Tuned]:
    """The strength of each pipeline of a trial: all trainings of all inner folds in one call."""
    table, train = trial.table, trial.task.train

    def make(one):
        def problem_and_judged(rows, judged):
            part = trial.inner[rows.tobytes()]
            return trial.problem(one, part), part.preparation.apply(table.values[train[judged]])

        return problem_and_judged

    strengths = CLASSIFIER_KINDS[classifier].strengths
    tuned = {one: Tuned(strengths[0], math.nan) for one in pipelines(trial.settings)}
    competing = [one for one in tuned if VECTOR_ARMS[one.arm].tuned]
    choices = tuning.tune(
        [
            tuning.Task(table.labels[train], table.groups[train], make(one), seed=trial.task.training_seed)
            for one in competing
        ],
        CLASSIFIER_KINDS[classifier].settings(),
        folds=trial.settings.inner_folds,
    )
    for one, choice in zip(competing, choices):
        losses = choice.losses[choice.strengths.index(choice.strength)]
        tuned[one] = Tuned(choice.strength, float(losses.mean()) if len(losses) else math.nan)
    return tuned


def _train(problems, classifier, strengths) -> list[Model]:
    return classifier_kinds.train(problems, CLASSIFIER_KINDS[classifier].settings(), strength=strengths)


def _loss(table, rows, probabilities) -> float:
    return classification.patient_log_loss(table.patients[rows], table.labels[rows], probabilities)


def _thresholds(trial, arm, validation_probabilities):
    """[classes] by which a pipeline of an arm decides."""
    table, rows = trial.table, trial.task.validation
    if not VECTOR_ARMS[arm].threshold:
        return decisions.even(table.classes.count)
    if validation_probabilities is None:
        return trial.shares
    _, labels, p = classification.by_patient(table.patients[rows], table.labels[rows], validation_probabilities)
    return decisions.choose_thresholds(labels, p, trial.shares)
