"""Watches a command from its start to its end: whether its memory, open files and threads stay flat.

python tools/watch_run.py --out=runs/watched -- python -m rembrandt_featgen.stages.pipeline --flagfile=flags/demo.flags

Counts are of the command and of all processes that it starts. `watch.csv` in the folder has a row for each moment, and
`watch.json` what is printed at the end: medians of the first and of the last quarter of the time after `--warmup`, and
growth in an hour (Theil-Sen with its 95% interval, which is narrower than it should be: readings follow each other).
"""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
from absl import app, flags
from scipy import stats

_OUT = flags.DEFINE_string("out", None, "Folder for watch.csv and watch.json.", required=True)
_EVERY = flags.DEFINE_float("every", 10.0, "Seconds between readings.", lower_bound=0.1)
_WARMUP = flags.DEFINE_float(
    "warmup", 300.0, "Seconds that do not count: graphs are traced, caches fill.", lower_bound=0
)
_MEGABYTE = 2**20


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a command and its children hold at one moment."""

    seconds: float
    megabytes: float  # memory of their own (USS), which pages of libraries that they share do not count for
    handles: int  # open files and sockets
    threads: int
    processes: int


def read(process: psutil.Process, seconds: float) -> Reading:
    """Args: the command's process; seconds since its start."""
    held = np.zeros(4)
    for one in [process, *process.children(recursive=True)]:
        try:
            with one.oneshot():
                held += [one.memory_full_info().uss / _MEGABYTE, one.num_fds(), one.num_threads(), 1]
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue  # it ended meanwhile
    return Reading(round(seconds, 1), round(held[0], 1), *map(int, held[1:]))


def summary(readings: list[Reading], warmup: float) -> dict[str, dict[str, float]]:
    """Medians of the first and last quarter after the warm-up, and growth in an hour, of memory, handles and threads.

    Raises:
      ValueError: fewer than eight readings after the warm-up.
    """
    counted = [reading for reading in readings if reading.seconds >= warmup]
    if len(counted) < 8:
        raise ValueError(f"{len(counted)} readings after the warm-up, 8 are needed: lower --warmup or --every")
    hours = np.array([reading.seconds for reading in counted]) / 3600
    quarter = len(counted) // 4
    figures = {}
    for name in ("megabytes", "handles", "threads"):
        values = np.array([getattr(reading, name) for reading in counted], float)
        slope, _, low, high = stats.theilslopes(values, hours)
        figures[name] = {
            "first": float(np.median(values[:quarter])),
            "last": float(np.median(values[-quarter:])),
            "highest": float(values.max()),
            "growth_per_hour": float(slope),
            "growth_low": float(low),
            "growth_high": float(high),
        }
    return figures


def main(argv):
    command = argv[1:]
    if not command:
        raise app.UsageError("no command: watch_run.py --out=FOLDER -- COMMAND ...")
    out = Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    readings = []
    with (out / "watch.csv").open("w", newline="") as file, subprocess.Popen(command) as started:
        rows = csv.writer(file)
        rows.writerow(field.name for field in dataclasses.fields(Reading))
        process = psutil.Process(started.pid)
        while started.poll() is None:
            readings.append(read(process, time.monotonic() - start))
            rows.writerow(dataclasses.astuple(readings[-1]))
            file.flush()
            try:
                started.wait(_EVERY.value)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):  # the terminal interrupts the command, too
                continue
    figures = {"command": command, "seconds": time.monotonic() - start, "exit": started.returncode}
    figures["readings"] = len(readings)
    try:
        figures |= summary(readings, _WARMUP.value)
    except ValueError as error:
        figures["why_no_summary"] = str(error)
    (out / "watch.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
    return started.returncode


if __name__ == "__main__":
    app.run(main)
