"""The independent judge of a run's generated features, and what it is worth on real features of test patients."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from rembrandt_featgen.classification import independent_judge
from rembrandt_featgen.classification.independent_judge import Judge
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import pipelines
from rembrandt_featgen.features import run_tables, streams
from rembrandt_featgen.features.reading import open_features
from rembrandt_featgen.features.tables import FeatureTable, table_of_arrays

_BATCH = 64  # features that are read at a time
_UNINFORMATIVE = 0.98  # of the log loss of an uninformative classifier, from which on a judge is one


class RunJudge(NamedTuple):
    """A judge, and its record as stage.json holds it; None where the discriminator accepts."""

    judge: Judge | None
    record: dict | None


def judge_of_run(run_dir: str | Path, seed: int) -> RunJudge:
    """Trains a judge on the features of a run's training patients, and looks how good it is on those of test patients.

    Test patients have no part in the judge: they say what its acceptance is worth.

    Args:
      run_dir: with features of extract_features.
      seed: of the folds by which it is calibrated.

    Returns:
      The judge, and its "strength", "temperature", and `independent_judge.performance` with names for labels: "test",
      None where no patient is tested, and "training", out of fold.

    Raises:
      InputError: there are too few patients for a judge, or features are missing or damaged.
    """
    training, test = (_summaries(run_dir, split) for split in ("train", "test"))
    if training is None:
        raise InputError(f"{run_dir} holds no training features, so that there is nothing to train a judge on")
    names = training.classes.names
    try:
        judge = independent_judge.train_judge(
            training.values, training.labels, training.groups, num_classes=len(names), seed=seed
        )
    except ValueError as error:
        raise InputError(f"--accept_by=judge: {error}; take --accept_by=discriminator, or more patients") from error
    seen = np.isfinite(judge.out_of_fold[:, 0])
    training = training.take(np.flatnonzero(seen))
    out_of_fold = _performance(judge.out_of_fold[seen], training)
    record = {
        "strength": judge.strength,
        "temperature": judge.temperature,
        "test": None if test is None else _performance(judge(test.values), test),
        "training": out_of_fold,
    }
    if out_of_fold["log_loss"] > _UNINFORMATIVE * np.log(len(names)):
        logging.warning(
            "--accept_by=judge: of training patients that it has not seen, the judge is an uninformative classifier "
            "(log loss %.3f, that of one without information %.3f); what it accepts is as good as drawn by lot",
            out_of_fold["log_loss"],
            np.log(len(names)),
        )
    return RunJudge(judge, record)


def _performance(probabilities: np.ndarray, table: FeatureTable) -> dict:
    found = independent_judge.performance(probabilities, table.labels, table.groups)
    return {
        name: dict(zip(table.classes.names, value)) if isinstance(value, list) else value
        for name, value in found.items()
    }


def _summaries(run_dir: str | Path, split: str) -> FeatureTable | None:
    """Summaries of the maps of a split, which are never all in memory; None where there are none."""
    done = rundir.find(run_dir, "extract_features")
    if not len(open_features(done.folder, split)):
        return None
    batches = [
        {**batch, "feature": independent_judge.summary(batch["feature"])}
        for batch in streams.features(done.folder, split, _BATCH).as_numpy_iterator()
    ]
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    table = table_of_arrays(
        columns["feature"],
        columns["label"],
        classes=Classes.of_record(done.record["classes"]),
        patients=pipelines.text(columns["patient"]),
        samples=columns["slice"],
        signed=False,
    )
    slices = Path(run_dir) / registry.folder("prepare_slices")
    return run_tables.with_patients(table, slices) if slices.is_dir() else table
