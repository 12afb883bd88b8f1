"""The table that `--estimate_only` prints, what the study could find, and the refusal of what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rembrandt_featgen.core import memory
from rembrandt_featgen.estimates import limits, step_clocks
from rembrandt_featgen.estimates.extrapolation import Row
from rembrandt_featgen.evaluation import verdicts
from rembrandt_featgen.measures import power


def start_up(times: int = 1, *, reads: str = "the program and its libraries") -> Row:
    """What this process took until now, where it has but read something: as often as a process is started."""
    seconds = times * step_clocks.since_start()
    return Row("start-up", f"reading {reads}", seconds, memory=0, disk=0, times=times)


def show(rows: Sequence[Row], tested: Mapping[str, int], config, *, there: limits.Room) -> None:
    """Prints the table, and what could be found.

    Args:
      rows: of the start, and of the stages in their order.
      tested: class to patients who are tested.
      config: flags of the run or study.
      there: what there was before the trial.

    Raises:
      InputError: a stage does not fit.
    """
    print("\n" + "\n".join(table(rows)))
    print(
        f"\ndisk: {memory.shown(there.disk)} free in {there.where}; memory: {memory.shown(there.memory)} for this run"
    )
    trainings = getattr(config, "trainings", 0) or config.draws  # of few shots each draw is a training
    print("times are those of this machine as it is now, with whatever else it is doing; CPU time depends less on that")
    print(f"\n{verdicts.expectation(tested, config.margin, trainings)}")
    print(
        f"This supposes that both pipelines have an AUROC of {power.AUROC:g}, and estimates that correlate by "
        f"{power.CORRELATION:g} over cohorts, or by {power.ALIKE:g} where they rank patients alike."
    )
    limits.check_room([limits.Need(row.name, row.memory, disk=row.disk, work=row.work) for row in rows], there)


def table(rows: Sequence[Row]) -> list[str]:
    """Lines of the table."""
    cells = [("stage", "samples", "time", "CPU time", "memory", "disk")]
    for row in rows:
        times = f", {row.times} times" if row.times > 1 else ""
        cells.append(
            (row.name, row.samples + times, *_times(row.seconds), memory.shown(row.memory), memory.shown(row.disk))
        )
    total = np.sum([row.seconds for row in rows], axis=0)
    most, disk = max(row.memory for row in rows), sum(row.disk for row in rows)
    cells.append(("all", "", *_times(total), memory.shown(most), memory.shown(disk)))
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in cells]


def _times(seconds: np.ndarray) -> tuple[str, str]:
    return _time(float(seconds[0])), _time(float(seconds[1]))


def _time(seconds: float) -> str:
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"
