"""A study of features from Python: `evaluate(X, y, groups=...)` returns its tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from rembrandt_featgen.classification import classifier_kinds
from rembrandt_featgen.classification.classifier_kinds import CLASSIFIER_KINDS
from rembrandt_featgen.classification.map_fitting import NetworkSettings
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import competitors, engine, plans, study_arrays, study_report, trials
from rembrandt_featgen.evaluation.arms import ARMS, USUAL, available
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.features.tables import FeatureTable, table_of_arrays
from rembrandt_featgen.generation import training_set
from rembrandt_featgen.measures import differences


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    """What a study found.

    Attributes:
      arms: a row for each arm and classifier per patient: measures, their 95% intervals ("auroc_low", ...), and the
        difference of AUROC to the reference, with bounds that hold for all rows at once.
      verdict: one sentence.
      verdict_word: "helped", "harmed", "equivalent" or "undecided".
      predictions: of every test sample, by each pipeline.
      report: everything, as report.json would hold it.
    """

    arms: pd.DataFrame
    verdict: str
    verdict_word: str
    predictions: PredictionsTable
    report: dict


def evaluate(
    X: ArrayLike,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    sites: ArrayLike | None = None,
    classes: Sequence[str] = (),
    arms: Sequence[str] = USUAL,
    amounts: Sequence[float] = (0.0, 1.0),
    classifiers: Sequence[str] = ("ridge", "mlp"),
    folds: int = 5,
    trainings: int = differences.TRAININGS,
    margin: float = differences.MARGIN,
    validation: float = 0.25,
    components: int = 0,
    networks: Mapping[str, NetworkSettings] | None = None,
    bootstrap_draws: int = 2000,
    seed: int = 0,
) -> Study:
    """Asks by nested cross-validation whether adding samples to the training set helps classifiers of vectors or maps.

    Args:
      X: [n, d] numbers, NaN where missing, an array or a DataFrame; or maps [n, h, w, c]. Rows of X, y, groups and
        sites belong together by their place; where several have an index (of pandas), these must be equal.
      y: [n] labels of two or more classes.
      groups: [n] patients, which no fold divides; None where each sample is a patient.
      sites: [n], only carried into the predictions.
      classes: the values of y, the positive one last; by default sorted.
      arms: names of `ARMS`; of the usual ones those for which there is nothing are left out.
      amounts: of extra samples, see `training_set.counts`.
      classifiers: ridge, mlp and neighbours of vectors, cnn and linear of maps; "mlp@10" is not tuned, see
        `classifier_kinds.kind_of`.
      folds: of the cross-validation.
      trainings: how often groups are divided anew and all is trained; with fewer than 5 the verdict is "undecided".
      margin: difference of AUROC that is too small to matter, see `differences.word`.
      validation: share of the groups not tested that choose amounts and thresholds.
      components: principal components that stand for the columns, fewer where training vectors span fewer; 0 for the
        columns.
      networks: settings of cnn and linear, by name: `map_fitting.CnnSettings`, `LinearSettings`.
      bootstrap_draws: of the intervals over patients.
      seed: of the division and of the bootstrap.

    Raises:
      ValueError: arrays do not fit each other or have unequal indexes, X is not of numbers, y is not of classes, or a
        name is unknown.
      InputError: a class has too few groups for the folds.
    """
    arms, classifiers = study_arrays.names_of(arms), study_arrays.names_of(classifiers)
    study_arrays.check_names("arms", arms, ARMS)
    study_arrays.check_names("classifiers", classifiers, CLASSIFIER_KINDS, base=classifier_kinds.base_of)
    study_arrays.check_counts(folds, trainings, bootstrap_draws)
    chosen = available(arms, covariates=False, pools=())
    if set(arms) != set(USUAL):
        study_arrays.check_fed([name for name in arms if name not in chosen])
    try:
        competitors.check_arms(chosen)
    except ValueError as error:
        raise ValueError(f"arms {', '.join(chosen)}: {error}") from error
    if any(ARMS[name].takes_amount for name in chosen):
        try:
            training_set.check_amounts(list(map(float, amounts)))
        except ValueError as error:
            raise ValueError(f"amounts {', '.join(map(str, amounts))}: {error}") from error
    table = table_of(X, y, groups=groups, sites=sites, classes=classes)
    if any(classifier_kinds.kind_of(name).of_maps != table.is_map for name in classifiers):
        raise ValueError(
            f"classifiers {', '.join(classifiers)} for X {list(np.shape(X))}: ridge, mlp and neighbours are of vectors "
            "[n, d], cnn and linear of maps [n, h, w, c]"
        )
    too_few = plans.too_few(table, folds, validation)
    if too_few:
        raise InputError(f"folds={folds}: {too_few}")
    tasks = plans.k_fold(table, folds=folds, repeats=trainings, seeds=(seed,), validation=validation, division=seed)
    settings = competitors.Settings(
        arms=chosen,
        amounts=tuple(map(float, amounts)),
        classifiers=tuple(classifiers),
        components=components,
        networks=networks or {},
    )
    outcomes = engine.run(tasks, lambda task: trials.run(table, task, settings))
    gathered = engine.gather(outcomes)
    report = study_report.report(
        gathered,
        study_report.cohort_of(table, "arrays", components=components, tasks=tasks),
        choices=[outcome.choices for outcome in outcomes],
        settings={"arm_amounts": list(amounts), "validation_fraction": validation, "seed": seed},
        draws=bootstrap_draws,
        seed=seed,
        margin=margin,
    )
    return Study(_frame(report["arms"]), report["verdict"], report["verdict_word"], predictions=gathered, report=report)


def table_of(
    X: ArrayLike,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    sites: ArrayLike | None = None,
    classes: Sequence[str] = (),
) -> FeatureTable:
    """Arrays as a table; args as for `evaluate`."""
    values = study_arrays.numbers_of(X)
    study_arrays.check_columns(X, {"y": y, "groups": groups, "sites": sites})
    if not len(classes):
        study_arrays.check_classes(y)
    labels = np.asarray(y).astype(str)
    names = list(map(str, study_arrays.names_of(classes))) or sorted(set(labels.tolist()))
    unknown = sorted(set(labels.tolist()) - set(names))
    if values.ndim not in (2, 4) or labels.shape != values.shape[:1] or unknown:
        raise ValueError(
            f"evaluate needs X [n, d] or [n, h, w, c] and y [n] of the classes {', '.join(names)}, received "
            f"{values.shape}, {labels.shape}{' and ' + unknown[0] if unknown else ''}"
        )
    patients = np.arange(len(values)) if groups is None else np.asarray(groups)
    return table_of_arrays(
        values,
        np.array([names.index(label) for label in labels.tolist()], np.int64),
        patients=patients.astype(str),
        sites=None if sites is None else np.asarray(sites).astype(str),
        names=list(map(str, getattr(X, "columns", range(values.shape[-1])))),
        classes=Classes.of(names),
    )


def _frame(rows) -> pd.DataFrame:
    """A row for each arm and classifier, of the measures per patient."""
    table = []
    for row in rows:
        if row["unit"] != "patient":
            continue
        flat = {name: row[name] for name in ("classifier", "arm", "kind")}
        for name, value in row.items():
            if isinstance(value, float) and name in row["ci95"]:
                low, high = row["ci95"][name]
                flat |= {name: value, f"{name}_low": low, f"{name}_high": high}
        difference = row.get("difference") or {}
        low, high = difference.get("simultaneous95", (None, None))
        flat |= {"reference": difference.get("against"), "difference": difference.get("difference")}
        flat |= {"difference_low": low, "difference_high": high}
        table.append(flat)
    return pd.DataFrame(table)
