"""The final model: one pipeline of a study, fitted on all patients."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.classification import classifier_kinds, tuning
from rembrandt_featgen.classification.pipeline_export import FittedPipeline
from rembrandt_featgen.evaluation import trials
from rembrandt_featgen.evaluation.competitors import Pipeline, Settings
from rembrandt_featgen.evaluation.plans import Task
from rembrandt_featgen.evaluation.trial_samples import Trial
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.generation.sample_pool import SamplePool

THRESHOLD_RULE = (
    "as in the study, with the out-of-fold patients of the inner cross-validation, whose models have the tuned "
    "strength, in the place of validation patients (as far as neither the U-Net of volumes nor a generator of whole "
    "classes, such as a GAN of maps, learnt from them): of two classes the greatest balanced accuracy, of more the "
    "shares of the classes; arms without threshold tuning decide for the most probable class"
)


class Fitted(NamedTuple):
    """What was fitted.

    Attributes:
      pipeline: to predict with, and to export.
      loss: inner folds' log loss at the tuned strength; NaN where the arm is not tuned.
      samples: [classes] that the classifier was trained on, those that the arm added among them.
      out_of_fold: how many patients thresholds rest on.
    """

    pipeline: FittedPipeline
    loss: float
    samples: np.ndarray
    out_of_fold: int


def fit(
    table: FeatureTable,
    classifier: str,
    one: Pipeline,
    *,
    settings: Settings,
    seed: int,
    judging: np.ndarray | None = None,
) -> Fitted:
    """Fits a pipeline on all patients of a table: preparation, arm, tuned strength and thresholds.

    Args:
      table: vectors, columns as the pipeline's arm takes them (`with_inputs`), or maps.
      classifier: of `CLASSIFIER_KINDS`.
      one: arm and amount.
      settings: of the study; its arms, amounts and classifiers are not used.
      seed: of the inner folds, and of what is drawn and trained.
      judging: [n] bool, samples that thresholds rest on; None for all. Vectors of patients whom the U-Net saw are not
        like those of others, and samples of a generator that saw a patient tell every inner fold of that patient.
    """
    settings = dataclasses.replace(
        settings,
        arms=(one.arm,),
        amounts=() if one.amount is None else (one.amount,),
        classifiers=(classifier,),
    )
    every = np.arange(len(table))
    task = Task("final", 0, 0, fold="all", seed=seed, train=every, validation=every[:0], test=every[:0])
    trial = Trial.of(table, task, settings)
    (tuned,) = trials.tune(trial, classifier)[one]
    problem, preparation = trial.problem(one, trial.outer), trial.outer.preparation
    (model,) = classifier_kinds.train([problem], settings.of_classifier(classifier), strength=[tuned.strength])
    rows, p = _out_of_fold(trial, classifier, one, strength=tuned.strength)
    if judging is not None:
        rows, p = rows[judging[rows]], p[judging[rows]]
    return Fitted(
        FittedPipeline(
            preparation=preparation,
            model=model,
            correction=trial.shares / problem.shares(),
            thresholds=trials.thresholds(trial, one.arm, rows, probabilities=p),
        ),
        loss=tuned.loss,
        samples=np.bincount(problem.labels, minlength=table.classes.count),
        out_of_fold=len(np.unique(table.patients[rows])),
    )


def judged(trained: np.ndarray, *, unet_saw: bool, pool: SamplePool | None) -> np.ndarray:
    """[n] bool, samples that thresholds may rest on, as no network that the inner folds share has learnt from them.

    Args:
      trained: [n] bool, samples of patients on whom such networks were trained.
      unet_saw: whether features of these come from a U-Net that has seen them.
      pool: of the arm; where its samples are copies of no one patient, all of these had a part in each.
    """
    generator_saw = pool is not None and pool.groups is None
    return ~trained if unet_saw or generator_saw else np.ones(len(trained), bool)


def _out_of_fold(trial, classifier, one, *, strength) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the table and their probabilities [rows, classes], by models of the inner folds that never saw them."""
    table, task = trial.table, trial.task
    folds = tuning.inner_folds(table.labels, table.groups, trial.settings.inner_folds, seed=task.training_seed)
    if not folds:
        return np.zeros(0, np.int64), np.zeros((0, table.classes.count))
    parts = [trial.inner[rows.tobytes()] for rows, _ in folds]
    problems = [trial.problem(one, part) for part in parts]
    models = classifier_kinds.train(
        problems, trial.settings.of_classifier(classifier), strength=[strength] * len(problems)
    )
    p = [
        trial.real_odds(model.probabilities(part.preparation.apply(table.values[judged])), problem)
        for model, part, problem, (_, judged) in zip(models, parts, problems, folds)
    ]
    return np.concatenate([judged for _, judged in folds]), np.concatenate(p)
