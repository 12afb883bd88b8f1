"""What an estimate has the stages do. They import this room, so `stages/trial_stages.py` hands it in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class StageCalls(NamedTuple):
    """Calls of stages, by their names; "flags" are those of a run or a study, or an object that has them.

    Attributes:
      config: (name, flags) -> that stage's share of the flags.
      run: (name, flags, cohort): runs the stage on these patients; None for those that it finds itself.
      cohort: (flags, run_dir) -> the patients that flags name, of all of whom a run in `run_dir` would learn.
      split: (flags, cohort, fresh) -> patient to split, of a run; `fresh` are ids of those who are there for tests.
      folds: (flags, cohort, fresh) -> the same of each fold of a repeat.
      study: (flags, studied, run_dir): does the tasks of a study of features.
      points: (flags, run_dir) -> what points of a sweep start from, in that run, and the points.
    """

    config: Callable[..., Any]
    run: Callable[..., None]
    cohort: Callable[..., Any]
    split: Callable[..., dict[str, str]]
    folds: Callable[..., list[dict[str, str]]]
    study: Callable[..., None]
    points: Callable[..., tuple[Any, Sequence[Any]]]
