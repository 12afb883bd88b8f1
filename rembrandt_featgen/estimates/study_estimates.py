"""`--estimate_only` of studies of a table: of `evaluate_features`, and of few patients.

Nothing is written into --run_dir. What would not fit is refused in one line, after the table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from rembrandt_featgen.estimates import estimate_table, limits, study_trials, trial_runs
from rembrandt_featgen.estimates.extrapolation import Row
from rembrandt_featgen.estimates.trial_runs import Measured
from rembrandt_featgen.evaluation import few_shot_contrasts, few_shots, schedulers
from rembrandt_featgen.evaluation.run_features import Studied
from rembrandt_featgen.features.tables import FeatureTable

_DRAWS_OF_GANS = 2
_IN_MEMORY = 2.0  # what predictions take there, to what they take on disk: each twice, until they are one table


def of_features(config, studied: Sequence[Studied], *, study: Callable[..., None]) -> None:
    """Prints what a study of a table takes.

    Args:
      config: of evaluate_features.
      studied: its features, and all tasks.
      study: of `StageCalls`.

    Raises:
      InputError: it does not fit.
    """
    start = estimate_table.start_up(reads="the program, its libraries and the features")
    there = limits.room(config.run_dir)
    with trial_runs.temporary_folder() as folder:
        row = study_trials.row(config, studied, folder, study=study)
    table = studied[0].table
    tested = np.unique(np.concatenate([task.test for task in studied[0].tasks]))
    estimate_table.show([start, row], table.take(tested).patient_counts, config, there=there)


def of_few_shots(config, read: Callable[[], FeatureTable], *, trains: bool, run: Callable[..., None]) -> None:
    """Prints what a study of few patients takes.

    Args:
      config: of fewshot.
      read: its features.
      trains: whether each draw trains GANs.
      run: the stage's.

    Raises:
      InputError: it does not fit.
    """
    start, there = estimate_table.start_up(), limits.room(config.run_dir)
    table = read()
    draws = min(_DRAWS_OF_GANS if trains else few_shots.TOGETHER, config.draws)
    serial = {"scheduler": schedulers.SERIAL, "workers": 0, "task_threads": 0}  # what others do has no clock here
    few = dataclasses.replace(config, draws=draws, **serial)
    with trial_runs.temporary_folder() as folder:
        fewest = [str(min(few_shots.numbers(config.shots)))]
        share = f"{draws} of {config.draws} draws of --shots="
        first = None
        if not trains:
            once = dataclasses.replace(few, shots=fewest)
            first = _tried(
                once, folder / "first", run=run, share=f"{share}{fewest[0]}, which also compile what all use"
            )
        found = _tried(few, folder / "all", run=run, share=share + ",".join(config.shots))
    more = config.draws / draws
    row = Row(
        "fewshot",
        samples=f"{config.draws * len(config.shots)} draws of {len(table)} {table.kind}",
        seconds=_seconds(found, first, draws=draws, more=more),
        memory=found.memory + round(_IN_MEMORY * (more - 1.0) * found.work),
        disk=round(found.disk * more),
        work=round(found.work * more),
    )
    estimate_table.show([start, row], table.patient_counts, config, there=there)
    print(
        "That counts patients who are tested. Each draw trains on few, so that this study will find less: of 225 "
        "comparisons on tables of 113 to 167 patients, 60 draws each, half could have found 0.055 (flags/README.md, "
        "Few patients)."
    )
    for line in few_shot_contrasts.few_draws(config.draws):
        print(line)


def _tried(config, folder: Path, *, run: Callable[..., None], share: str) -> Measured:
    few = dataclasses.replace(config, run_dir=str(folder))
    return trial_runs.measured("fewshot", folder, lambda: run(few), share=share)


def _seconds(found: Measured, first: Measured | None, *, draws: int, more: float) -> np.ndarray:
    """[2] of the whole study.

    Args:
      found: of some draws of all shots. Draws of a stretch share what costs time; what is reckoned of all draws grows
        with them, too.
      first: of as many draws of the fewest shots, before that: what it took longer is done once in a process, such as
        to trace and to compile.
      draws: of each.
      more: times as many are in the study.
    """
    growing, rest = _growing_and_rest(found)
    whole = rest + more * growing
    if first is None:
        return whole
    drawn, rest_of_first = first.clocks["tasks"].spent, _growing_and_rest(first)[1]
    again = found.clocks["tasks"].of_first(draws)
    return whole + np.maximum(drawn - again, 0.0) + np.maximum(rest_of_first - rest, 0.0)


def _growing_and_rest(found: Measured) -> tuple[np.ndarray, np.ndarray]:
    growing = found.clocks["tasks"].spent + found.clocks["resamples"].spent
    return growing, found.seconds - growing
