"""What came of the draws of a few-shot study, as files, of which it is extended by more draws or another report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rembrandt_featgen.core import json_files
from rembrandt_featgen.evaluation import engine, predictions
from rembrandt_featgen.evaluation.engine import Outcome
from rembrandt_featgen.evaluation.plans import Task

FILES = ("predictions_*.csv", "choices_*.json")  # of each number of shots


def write(folder: Path, shots: int, *, tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> list[str]:
    """Writes what `read` reads, predictions last, and returns the names of both files.

    Args:
      folder: of the study.
      shots: of these tasks.
      tasks, outcomes: in the same order.
    """
    table, choices = (pattern.replace("*", str(shots)) for pattern in FILES)
    made = {str(task.draw): one.choices for task, one in zip(tasks, outcomes)}
    json_files.write_json(folder / choices, made)
    predictions.write(folder / table, engine.gather(outcomes))
    return [table, choices]


def read(folder: Path, shots: int) -> dict[int, Outcome]:
    """Draw to outcome of what a finished study keeps; nothing where there is none.

    Args:
      folder: of the study.
      shots: of the tasks.
    """
    table, choices = (folder / pattern.replace("*", str(shots)) for pattern in FILES)
    if not table.is_file():
        return {}
    known = json_files.read_json(choices)
    return {draw: Outcome(rows, known[str(draw)]) for (draw,), rows in predictions.read(table).split("draw")}
