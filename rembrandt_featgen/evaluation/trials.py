"""A task: every arm, amount and classifier is tuned on training samples, and predicts the test samples."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.classification import classifier_kinds, tuning
from rembrandt_featgen.evaluation import predictions, trial_generators
from rembrandt_featgen.evaluation.arms import ARMS
from rembrandt_featgen.evaluation.competitors import Pipeline, Settings, pipelines
from rembrandt_featgen.evaluation.engine import Outcome
from rembrandt_featgen.evaluation.plans import Task
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.evaluation.trial_samples import Trial
from rembrandt_featgen.features.covariates import INPUTS, with_inputs
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.measures import classification, decisions


class Tuned(NamedTuple):
    """Strength of regularisation, and the inner folds' log loss at it; NaN where nothing was tuned."""

    strength: float
    loss: float


TunedOf = dict[tuple, "dict[Pipeline, list[Tuned]]"]  # by division and classifier


def run(
    table: FeatureTable, task: Task, settings: Settings, *, tuned: TunedOf | None = None, trial: Trial | None = None
) -> Outcome:
    """Does a task of a table.

    Args:
      table: features of all samples: vectors, or maps for classifiers of maps.
      task: which of them train, validate and test.
      settings: what competes.
      tuned: remembers strengths from task to task; None to tune in each. Networks of maps, of which each training takes
        seconds, are tuned once in each division of the samples, whatever the seed, remembered or not.
      trial: of the task, of arms that learn from the features alone, if it is there: see `trial_samples.fitted`.

    Returns:
      Predictions of the test samples by each pipeline and classifier, "chosen" being, of each arm, the amount of the
      lowest log loss of the validation patients (without them, of the inner folds); its strengths and losses; and how
      good the samples of generative arms are. Of arms whose pool has no groups, the inner folds know a little of whom
      they judge: their strengths may be a little weak, and without validation patients their amounts a little large.
    """
    tables: list[PredictionsTable] = []
    choices: dict[str, dict] = {}
    prepared: dict[str, dict] = {}
    generators: dict[str, dict] = {}
    for inputs in INPUTS:
        arms = tuple(name for name in settings.arms if ARMS[name].inputs == inputs)
        if not arms:
            continue
        if trial is None or inputs != "features":
            trial = Trial.of(with_inputs(table, inputs), task, dataclasses.replace(settings, arms=arms))
        prepared["maps" if table.is_map else inputs] = {
            "imputed": trial.outer.preparation.imputed,
            "constant": trial.outer.preparation.constant,
            "numbers": trial.outer.preparation.size,
        }
        for classifier in settings.classifiers:
            strengths = _strengths_of_maps(trial, classifier, tuned) if table.is_map else tune(trial, classifier)
            predicted, chosen = _predict(trial, classifier, strengths)
            tables += predicted
            choices |= chosen
        if settings.measured:
            generators |= trial_generators.measure_generators(trial)
    return Outcome(predictions.join(tables), {"preparation": prepared, "pipelines": choices, "generators": generators})


def _strengths_of_maps(trial, classifier, remembered) -> dict[Pipeline, list[Tuned]]:
    """Tuned once in each division, whatever the seed."""
    task, remembered = trial.task, {} if remembered is None else remembered
    key = (task.draw, task.number, *task.division, classifier)
    if key not in remembered:
        remembered[key] = tune(Trial.of(trial.table, task.of_division, trial.settings), classifier)
    return remembered[key]


class _Predicted(NamedTuple):
    """What a pipeline says of the test samples, and what the validation samples say of it.

    Attributes:
      test: [m, classes] as `Trial.real_odds` has them.
      counts: [classes] of the samples that it was trained on.
      thresholds: [classes].
      loss: by which amounts are chosen.
      tuned: strength that it was trained with.
    """

    test: np.ndarray
    counts: list[int]
    thresholds: np.ndarray
    loss: float
    tuned: Tuned


def _predict(trial, classifier, tuned) -> tuple[list[PredictionsTable], dict[str, dict]]:
    """Predictions of the test samples by each pipeline of a classifier; and what each chose."""
    table, task = trial.table, trial.task
    competing = pipelines(trial.settings)
    predicted = _train_and_predict(trial, classifier, tuned)
    samples = trial.test_samples()
    tables: list[PredictionsTable] = []
    choices: dict[str, dict] = {}
    for one in competing:
        found = predicted[one]
        chosen = one is min(
            (other for other in competing if other.arm == one.arm), key=lambda other: predicted[other].loss
        )
        of_pipeline = predictions.rows(
            samples,
            found.test,
            classes=table.classes,
            arm=one.arm,
            kind=ARMS[one.arm].kind,
            classifier=classifier,
            amount=one.shown,
            chosen=chosen,
            validation_loss=found.loss,
            thresholds=found.thresholds,
            plan=task.plan,
            draw=task.draw,
            fold=task.fold,
            seed=task.seed,
        )
        tables.append(of_pipeline)
        choices["/".join(filter(None, (classifier, one.arm, one.shown)))] = {
            "strength": found.tuned.strength,
            "inner_loss": found.tuned.loss,
            "loss": found.loss,
            "thresholds": list(map(float, found.thresholds)),
            "samples": found.counts,
            "chosen": chosen,
        }
    return tables, choices


def _train_and_predict(trial, classifier, tuned) -> dict[Pipeline, _Predicted]:
    """Trains every pipeline of a classifier: those of vectors in one call, those of maps one after another.

    A pipeline that was tuned several times is trained as often, and that of the lowest loss predicts.
    """
    table, task = trial.table, trial.task
    test, held_out = (trial.outer.preparation.apply(table.values[rows]) for rows in (task.test, task.validation))
    attempts = [(one, attempt) for one in pipelines(trial.settings) for attempt in tuned[one]]
    predicted: dict[Pipeline, _Predicted] = {}
    for together in [[one] for one in attempts] if table.is_map else [attempts]:
        problems = [trial.problem(one, trial.outer) for one, _ in together]
        strengths = [attempt.strength for _, attempt in together]
        models = classifier_kinds.train(problems, trial.settings.of_classifier(classifier), strength=strengths)
        for (one, attempt), problem, model in zip(together, problems, models):
            p = trial.real_odds(model.probabilities(held_out), problem) if len(held_out) else None
            loss = attempt.loss if p is None else _loss(table, task.validation, p)
            if one in predicted and not loss < predicted[one].loss:
                continue
            predicted[one] = _Predicted(
                test=trial.real_odds(model.probabilities(test), problem),
                counts=np.bincount(problem.labels, minlength=table.classes.count).tolist(),
                thresholds=thresholds(trial, one.arm, task.validation, probabilities=p),
                loss=loss,
                tuned=attempt,
            )
    return predicted


def tune(trial: Trial, classifier: str) -> dict[Pipeline, list[Tuned]]:
    """The strength of each pipeline of a trial: all trainings of all inner folds in one call.

    An arm has as many tries as there are amounts. One that takes none is tuned as often, each time among strengths
    between those of the time before, and what validates chooses among them as it does among amounts.

    Of settings that are committed, the arm "none" alone is tuned, once, and its strength is that of all arms.
    """
    if trial.settings.committed:
        return _tune_committed(trial, classifier)
    strengths, amounts = trial.settings.strengths(classifier), max(len(trial.settings.amounts), 1)
    tuned: dict[Pipeline, list[Tuned]] = {
        one: [] if ARMS[one.arm].tuned else [Tuned(strengths[0], math.nan)] for one in pipelines(trial.settings)
    }
    for number in range(amounts):
        again = number > 0 and len(strengths) > 1  # a strength that is fixed leaves nothing to try
        competing = [one for one in tuned if ARMS[one.arm].tuned and (number == 0 or again and one.amount is None)]
        grid = tuning.between(strengths, number / amounts)
        for one, choice in zip(competing, _tune(trial, classifier, competing, strengths=grid)):
            tuned[one].append(_tuned(choice))
    return tuned


def _tune_committed(trial, classifier) -> dict[Pipeline, list[Tuned]]:
    strengths, none = trial.settings.strengths(classifier), Pipeline("none", None)
    (first,) = _tune(trial, classifier, [none], strengths=strengths)
    others = [one for one in pipelines(trial.settings) if ARMS[one.arm].tuned]
    weakest = classifier_kinds.kind_of(classifier).strengths[0]
    tuned = {one: [Tuned(weakest, math.nan)] for one in pipelines(trial.settings)}
    for one, choice in zip(others, _tune(trial, classifier, others, strengths=(first.strength,))):
        tuned[one] = [_tuned(choice)]
    return tuned


def _tuned(choice: tuning.Choice) -> Tuned:
    losses = choice.losses[choice.strengths.index(choice.strength)]
    return Tuned(choice.strength, float(losses.mean()) if len(losses) else math.nan)


def _tune(trial, classifier, competing, *, strengths) -> list[tuning.Choice]:
    """The choice of each of some pipelines among some strengths."""
    table, train = trial.table, trial.task.train

    def make(one):
        def problem_and_judged(rows, judged):
            part = trial.inner[rows.tobytes()]
            return trial.problem(one, part), part.preparation.apply(table.values[train[judged]])

        return problem_and_judged

    return tuning.tune(
        [
            tuning.Task(
                table.labels[train],
                table.groups[train],
                make(one),
                seed=trial.task.training_seed,
                size=trial.outer.samples.features.nbytes,
            )
            for one in competing
        ],
        trial.settings.of_classifier(classifier),
        strengths=strengths,
        folds=trial.settings.inner_folds,
    )


def _loss(table, rows, probabilities) -> float:
    return classification.patient_log_loss(table.patients[rows], table.labels[rows], probabilities)


def thresholds(trial: Trial, arm: str, rows: np.ndarray, *, probabilities: np.ndarray | None) -> np.ndarray:
    """[classes] by which a pipeline of an arm decides.

    Args:
      trial: of the task.
      arm: of the pipeline.
      rows: of the table, by whose patients thresholds are chosen; without any they are the shares of the classes.
      probabilities: [rows, classes] of these; None where there are none.
    """
    table = trial.table
    if not ARMS[arm].threshold:
        return decisions.even(table.classes.count)
    if probabilities is None or not len(rows):
        return trial.shares
    _, labels, p = classification.by_patient(table.patients[rows], table.labels[rows], probabilities)
    return decisions.choose_thresholds(labels, p, trial.shares)
