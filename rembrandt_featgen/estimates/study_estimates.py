"""`--estimate_only` of studies of a table: of `evaluate_features`, and of few patients.

Nothing is written into --run_dir. What would not fit is refused in one line, after the table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from rembrandt_featgen.estimates import estimate_table, limits, study_trials, trial_runs
from rembrandt_featgen.estimates.extrapolation import Row
from rembrandt_featgen.evaluation import few_shots
from rembrandt_featgen.evaluation.run_features import Studied
from rembrandt_featgen.features.tables import FeatureTable

_DRAWS_OF_GANS = 2


def of_features(config, studied: Sequence[Studied], *, study: Callable[..., None]) -> None:
    """Prints what a study of a table takes.

    Args:
      config: of evaluate_features.
      studied: its features, and all tasks.
      study: of `StageCalls`.

    Raises:
      InputError: it does not fit.
    """
    there = limits.room(config.run_dir)
    with trial_runs.temporary_folder() as folder:
        row = study_trials.row(config, studied, folder, study=study)
    table = studied[0].table
    tested = np.unique(np.concatenate([task.test for task in studied[0].tasks]))
    estimate_table.show([row], table.take(tested).patient_counts, config, there=there)


def of_few_shots(config, table: FeatureTable, *, trains: bool, run: Callable[..., None]) -> None:
    """Prints what a study of few patients takes.

    Args:
      config: of fewshot.
      table: its features.
      trains: whether each draw trains GANs.
      run: the stage's.

    Raises:
      InputError: it does not fit.
    """
    draws = min(_DRAWS_OF_GANS if trains else few_shots.TOGETHER, config.draws)
    there = limits.room(config.run_dir)
    with trial_runs.temporary_folder() as folder:
        few = dataclasses.replace(config, run_dir=str(folder), draws=draws)
        found = trial_runs.measured("fewshot", folder, lambda: run(few))
    tasks = found.clocks["tasks"]  # the draws of a stretch share what costs time
    more = config.draws / draws
    seconds = found.seconds + (more - 1.0) * tasks.spent
    samples = f"{config.draws * len(config.shots)} draws of {len(table)} {table.kind}"
    row = Row(
        "fewshot", samples, seconds, memory=found.memory, disk=round(found.disk * more), work=round(found.work * more)
    )
    estimate_table.show([row], table.patient_counts, config, there=there)
