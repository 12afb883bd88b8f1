"""The engine: runs the tasks of plans, each once however often it is interrupted, and gathers their predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import logging
from tqdm import tqdm

from rembrandt_featgen.core import json_files
from rembrandt_featgen.evaluation import predictions
from rembrandt_featgen.evaluation.plans import Task
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.evaluation.schedulers import Call, Runner, Serial

_LISTED = 5  # tasks that a line of the log names one by one


class Outcome(NamedTuple):
    """Of a task: the predictions of its test samples, and what it chose, as JSON takes it."""

    predictions: PredictionsTable
    choices: dict


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Tasks that one callable does.

    Attributes:
      tasks: of one plan.
      work: does one; its outcome depends on the task alone, so that a resumed run ends as it would have. It is a
        function of a module, or an object of such a class, since it is sent to other processes; what it remembers stays
        there.
      folder: keeps the outcome of each task that is done, and gives it to a later run; None keeps nothing.
      name: what sets it apart from other parts, in words.
      together: tasks of which `work` shares what costs time: the first so many, the next, and so on. One process does
        all of these.
    """

    tasks: Sequence[Task]
    work: Callable[[Task], Outcome]
    folder: Path | None = None
    together: int = 1
    name: str = ""


def run(tasks: Sequence[Task], work: Callable[[Task], Outcome], folder: Path | None = None) -> list[Outcome]:
    """The outcome of each task, in their order, all done in this process; args as of `Part`."""
    return run_parts([Part(tasks, work, folder)], Serial())[0]


def run_parts(parts: Sequence[Part], runner: Runner) -> list[list[Outcome]]:
    """The outcome of each task of each part, in their order.

    Args:
      parts: independent of each other.
      runner: where they are done; this process alone writes into their folders.

    Raises:
      InputError: as by `Runner.results`; tasks that were done until then are kept.
    """
    found: list[dict[int, Outcome]] = []
    calls: list[Call] = []
    for number, part in enumerate(parts):
        tasks = part.tasks
        kept = [_kept(part.folder, task) if part.folder else None for task in tasks]
        if tasks:
            logging.info("%s", _planned(part, len(tasks) - kept.count(None)))
        found.append({place: outcome for place, outcome in enumerate(kept) if outcome is not None})
        # In this process each task is kept at once, since what `work` remembers is there for the next.
        size = part.together if runner.parallel else 1
        for first in range(0, len(tasks), size):
            left = [place for place in range(first, min(first + size, len(tasks))) if kept[place] is None]
            if left:
                calls.append(Call(_named(parts, number, left), number, left))
    with tqdm(total=sum(len(part.tasks) for part in parts), desc="tasks", unit="task") as bar:
        bar.update(sum(map(len, found)))
        shared = [_Worker(tuple(part.tasks), part.work) for part in parts]
        for done, outcomes in runner.results(shared, calls):
            number, places = calls[done].of, calls[done].argument
            for place, outcome in zip(places, outcomes):
                plain = outcome._replace(choices=json_files.plain(outcome.choices))  # as those are that were kept
                if parts[number].folder:
                    _keep(parts[number].folder, parts[number].tasks[place], plain)
                found[number][place] = plain
                bar.set_postfix_str(parts[number].name, refresh=False)
                bar.update()
    return [[outcomes[place] for place in range(len(part.tasks))] for part, outcomes in zip(parts, found)]


def gather(outcomes: Sequence[Outcome]) -> PredictionsTable:
    """One table of all predictions."""
    return predictions.join([outcome.predictions for outcome in outcomes])


@dataclasses.dataclass(frozen=True, eq=False)
class _Worker:
    """Does tasks by their places."""

    tasks: tuple[Task, ...]
    work: Callable[[Task], Outcome]

    def __call__(self, places: Sequence[int]) -> list[Outcome]:
        return [self.work(self.tasks[place]) for place in places]


def _planned(part, before: int) -> str:
    """What there is to do, for the log."""
    names, count = [task.name for task in part.tasks], len(part.tasks)
    listed = ", ".join(names) if count <= _LISTED else f"{names[0]} to {names[-1]}"
    done = f", {before} of them done before" if before else ""
    of_part = f", {part.name}" if part.name else ""
    return f"plan {part.tasks[0].plan}{of_part}: {count} task{'s' * (count != 1)}{done}: {listed}"


def _named(parts, number, places) -> str:
    """Of a call, for messages: the tasks of parts may have the same names."""
    first, last = (parts[number].tasks[place].name for place in (places[0], places[-1]))
    name = first if first == last else f"{first} to {last}"
    return name if len(parts) == 1 or parts[number].folder is None else f"{parts[number].folder.name}: {name}"


def _kept(folder, task):
    table, choices = folder / f"{task.name}.csv", folder / f"{task.name}.json"
    if not choices.is_file():  # written last
        return None
    return Outcome(predictions.read(table), json_files.read_json(choices))


def _keep(folder, task, outcome):
    folder.mkdir(parents=True, exist_ok=True)
    predictions.write(folder / f"{task.name}.csv", outcome.predictions)
    json_files.write_json(folder / f"{task.name}.json", outcome.choices)
