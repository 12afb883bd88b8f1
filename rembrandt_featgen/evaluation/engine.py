"""The engine: runs the tasks of a plan, each once however often it is interrupted, and gathers their predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import logging
from tqdm import tqdm

from rembrandt_featgen.core import json_files
from rembrandt_featgen.evaluation import predictions
from rembrandt_featgen.evaluation.plans import Task
from rembrandt_featgen.evaluation.predictions import PredictionsTable


class Outcome(NamedTuple):
    """Of a task: the predictions of its test samples, and what it chose, as JSON takes it."""

    predictions: PredictionsTable
    choices: dict


def run(tasks: Sequence[Task], work: Callable[[Task], Outcome], folder: Path | None = None) -> list[Outcome]:
    """The outcome of each task, in their order.

    Args:
      tasks: of one plan.
      work: does one; it depends on the task alone, so that a resumed run ends as it would have.
      folder: keeps the outcome of each task that is done, and gives it to a later run; None keeps nothing.
    """
    logging.info("plan %s: %d tasks: %s", tasks[0].plan, len(tasks), ", ".join(task.name for task in tasks))
    outcomes = []
    for task in tqdm(tasks, "tasks", unit="task"):
        outcome = _kept(folder, task) if folder else None
        if outcome is None:
            outcome = work(task)
            outcome = outcome._replace(choices=json_files.plain(outcome.choices))  # as those are that were kept
            if folder:
                _keep(folder, task, outcome)
        outcomes.append(outcome)
    return outcomes


def gather(outcomes: Sequence[Outcome]) -> PredictionsTable:
    """One table of all predictions."""
    return predictions.join([outcome.predictions for outcome in outcomes])


def _kept(folder, task):
    table, choices = folder / f"{task.name}.csv", folder / f"{task.name}.json"
    if not choices.is_file():  # written last
        return None
    return Outcome(predictions.read(table), json_files.read_json(choices))


def _keep(folder, task, outcome):
    folder.mkdir(parents=True, exist_ok=True)
    predictions.write(folder / f"{task.name}.csv", outcome.predictions)
    json_files.write_json(folder / f"{task.name}.json", outcome.choices)
