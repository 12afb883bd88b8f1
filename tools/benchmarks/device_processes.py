"""Processes of the parts of `device`: what they start with, and what they say until they end or are ended."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import device_plan, turns

_CUDA = ("libcu[bfs]*", "libcudnn*")  # cublas, cufft, cusolver, cusparse; but not libcuda, which is the driver's
_CPU_JIT = "--tf_xla_cpu_global_jit"  # `devices.CPU_JIT`
_LEAST = 2.0  # seconds: with less left no process is started
_LOOKS = 0.5  # seconds between looks at whether a process is still there
OVER = "for want of time (--minutes)"


class Started(NamedTuple):
    """How processes of a side start: their Python, and their environment."""

    python: str
    environment: dict[str, str]


class Outcome(NamedTuple):
    """What came of the rows of a group.

    Attributes:
      values: of what was measured, by name.
      seconds: that each of these rows took, its process' start included, by its name.
      missing: rows that were not measured, to why.
      remarks: what else was said.
    """

    values: dict[str, float]
    seconds: dict[str, float]
    missing: dict[str, str]
    remarks: list[str]


def ours(device: str) -> Started:
    """How those of this program start: on a CPU so that XLA compiles there, too, where it is told to."""
    variables = dict(os.environ)
    if device == "cpu":
        variables["TF_XLA_FLAGS"] = f"{variables.get('TF_XLA_FLAGS', '')} {_CPU_JIT}".strip()
    return _started(sys.executable, [turns.TOOLS, turns.ROOT], variables)


def peer(device: str) -> Started | None:
    """How PyTorch's start; None where it is not installed.

    The packages of a .venv-peers that came from another machine are enough, for this Python runs them. The libraries of
    CUDA that TensorFlow has been given are of another version than PyTorch's, which has its own.
    """
    paths = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    kept = [path for path in paths if path and not any(any(Path(path).glob(name)) for name in _CUDA)]
    variables = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(kept)}
    if device == "cpu":
        variables.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin keep others of a shared core waiting
    if turns.PEERS_PYTHON.exists():
        variables.pop("PYTHONHOME", None)  # of a bundle
        return _started(str(turns.PEERS_PYTHON), [turns.TOOLS], variables)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = turns.PEERS_PYTHON.parent.parent / "lib" / version / "site-packages"
    return _started(sys.executable, [turns.TOOLS, packages], variables) if packages.is_dir() else None


def _started(python, path, variables) -> Started:
    if not os.access(Path.home(), os.W_OK):  # else each part compiles all of CUDA's kernels anew
        variables.setdefault("CUDA_CACHE_PATH", str(Path(tempfile.gettempdir()) / "cuda_cache"))
    variables |= {"PYTHONPATH": os.pathsep.join(map(str, path)), "TF_CPP_MIN_LOG_LEVEL": "2"}
    return Started(python, variables)


def measure(
    started: Started, arguments: list[str], rows: Sequence[device_plan.Row], *, later: Sequence, until: float
) -> Outcome:
    """Measures rows in a process; in another one what is left after a row that took too long, or that ended it.

    Args:
      started: how it starts.
      arguments: of it, but for the last one, the names of its rows as JSON. It says a line of JSON for each in turn:
        {"row": its name, "values": {...}}, or {"row": its name, "said": why there are none}.
      rows: to measure.
      later: all rows that come after these, of other groups.
      until: by when all of them are to be done, by `time.monotonic`.
    """
    found, pending = Outcome({}, {}, missing={}, remarks=[]), list(rows)
    if not shutil.which(started.python):
        found.missing.update(dict.fromkeys((row.name for row in rows), f"{started.python} cannot be run"))
        return found
    while pending and until - time.monotonic() > _LEAST:
        before, names = len(pending), json.dumps([row.name for row in pending])
        with tempfile.TemporaryFile("w+", encoding="utf-8") as log, _Process(started, [*arguments, names], log) as one:
            why = _take(one, pending, later=later, until=until, found=found)
            found.remarks.extend(sorted({line for line in one.log().splitlines() if "layout failed" in line}))
        if one.ended and len(pending) == before:  # another one would answer nothing, too
            found.missing.update(dict.fromkeys((row.name for row in pending), why))
            return found
        if pending:
            found.missing[pending.pop(0).name] = why
            pending[:1] = [row.begun() for row in pending[:1]]
    found.missing.update(dict.fromkeys((row.name for row in pending), OVER))
    return found


def _take(process, pending, *, later, until, found) -> str:
    """Takes rows from `pending` as they are answered; why the next one is missing, "" where there is none."""
    since = time.monotonic()
    while pending:
        allowed = since + device_plan.limit(until - since, pending[0], [*pending[1:], *later])
        line = process.line(allowed)
        if line is None:
            return OVER if allowed >= until else f"its {allowed - since:.0f} s were over"
        if not line:
            return f"its process ended ({process.status()}): {process.log()[-1000:]}"
        answer = _answer(line)
        if "row" not in answer:
            found.remarks.extend(answer.values())
            continue
        row, now = pending.pop(0), time.monotonic()
        if "values" in answer:
            found.values.update(answer["values"])
            found.seconds[row.name] = round(now - since, 1)
        else:
            found.missing[row.name] = answer["said"]
        since = now
    return ""


def _answer(line) -> dict:
    """A line of a process; nothing, where it was ended in the midst of it."""
    try:
        return json.loads(line)
    except ValueError:
        return {}


class _Process:
    """A process of a group, which is ended with all that it started.

    Attributes:
      ended: whether it has ended by itself.
    """

    def __init__(self, started: Started, arguments: list[str], log):
        self.ended, self._log = False, log
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [started.python, *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
            env=started.environment,
            cwd=turns.ROOT,
            start_new_session=True,  # so that processes that it starts can be ended with it
        )
        threading.Thread(target=self._read, args=[self._process.stdout], daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _read(self, lines) -> None:
        with lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    def line(self, until: float) -> str | None:
        """What it says next, "" where it has ended, None where it says nothing until then."""
        while True:
            gone = self._process.poll() is not None  # what it started may keep its output open
            with contextlib.suppress(queue.Empty):
                line = self._lines.get(timeout=min(max(until - time.monotonic(), 0.0), _LOOKS))
                self.ended = not line
                return line
            if gone:
                self.ended = True
                return ""
            if time.monotonic() >= until:
                return None

    def status(self) -> int | None:
        """Of its exit; None where it does not."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)
        return self._process.returncode

    def log(self) -> str:
        """What it said beside its answers."""
        file = self._log.fileno()  # whose place is the process', too, so that nothing may seek
        return os.pread(file, os.fstat(file).st_size, 0).decode("utf-8", "replace")
