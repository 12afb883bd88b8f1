"""Measures sides of a comparison in processes of their own that take turns: A B C, A B C, ...

A side is a function that takes a dictionary of options and returns `Work`; this module imports nothing but the standard
library, so that the function may live in any environment. Each round of `Work` is done when its turn comes, while all
other processes wait, so that what else goes on in the machine meets all sides alike. The first round is not counted: it
traces and compiles.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

TOOLS = Path(__file__).resolve().parent.parent
ROOT = TOOLS.parent
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
_SET_PDEATHSIG = 1  # of prctl


class Work(NamedTuple):
    """What a side does in a round, and facts about it, such as how many parameters its network has."""

    round: Callable[[], object]
    facts: Mapping = {}


class Side(NamedTuple):
    """One side: `function` is "module:name" of a function from `options` to `Work`."""

    function: str
    options: Mapping
    peer: bool = False  # runs in the peers' environment, and may fail


class Measured(NamedTuple):
    """What a side took.

    Attributes:
      seconds: of each round.
      cpu_seconds: of each round, by all threads of the side's process.
      facts: those of its `Work`.
      peak_bytes: the largest memory of the side's process, all of Python and its packages included.
    """

    seconds: list[float]
    cpu_seconds: list[float]
    facts: dict
    peak_bytes: int

    @property
    def median(self) -> float:
        """Seconds of the median round."""
        return statistics.median(self.seconds)

    @property
    def median_of_cpu(self) -> float:
        """The same of processor time."""
        return statistics.median(self.cpu_seconds)


def take_turns(sides: Mapping[str, Side], rounds: int) -> dict[str, Measured]:
    """Measures sides by turns; a peer that fails is left out, and said.

    Args:
      sides: by name.
      rounds: how many are counted.

    Raises:
      RuntimeError: a side of this program failed.
    """
    with contextlib.ExitStack() as stack:
        processes = {}
        for name, side in sides.items():
            try:
                processes[name] = stack.enter_context(_Process(name, side))
            except RuntimeError as error:
                if not side.peer:
                    raise
                print(f"{name} could not be measured: {error}", flush=True)
        for _ in range(rounds):
            for name, process in list(processes.items()):
                try:
                    process.take_turn()
                except (RuntimeError, BrokenPipeError) as error:
                    if not sides[name].peer:
                        raise
                    print(f"{name} could not be measured: {error}", flush=True)
                    del processes[name]
        return {name: process.end() for name, process in processes.items()}


def check_parameters(found: Mapping[str, Measured]) -> None:
    """RuntimeError where the networks of the sides do not have the same number of parameters."""
    counts = {name: one.facts["parameters"] for name, one in found.items() if "parameters" in one.facts}
    if len(set(counts.values())) > 1:
        raise RuntimeError(f"the networks are not the same: they have {counts} parameters")


def fastest(candidates: Mapping[str, Callable[[], object]], times: int = 2) -> tuple[Callable[[], object], dict]:
    """The fastest of several ways to do a round, and facts: the seconds of each, or how it failed.

    Args:
      candidates: by name, best known first; each is done once uncounted, then `times` times. A single one is taken
        as it is.

    Raises:
      RuntimeError: none of them works.
    """
    found: dict = {}
    if len(candidates) == 1:
        ((best, only),) = candidates.items()
        return only, {"setting": best, "settings": found}
    for name, candidate in candidates.items():
        try:
            candidate()
            found[name] = min(_timed(candidate)[0] for _ in range(times))
        except Exception as error:  # a setting that a package does not support on this machine
            found[name] = f"{type(error).__name__}: {error}"[:300]
    seconds = {name: value for name, value in found.items() if isinstance(value, float)}
    if not seconds:
        raise RuntimeError(f"no setting works: {found}")
    best = min(seconds, key=lambda name: seconds[name])
    return candidates[best], {"setting": best, "settings": found}


def serve(function: str, options: Mapping) -> None:
    """The side's own process: does a round for each line of its input, and says how long it took."""
    ctypes.CDLL(None).prctl(_SET_PDEATHSIG, int(signal.SIGKILL))  # which Linux sends it when what started it has ended
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what packages print must not come between

        def answer(**values):
            answers.write(json.dumps(values) + "\n")
            answers.flush()

        module, name = function.split(":")
        work = getattr(importlib.import_module(module), name)(options)
        work.round()
        answer(facts=dict(work.facts))
        for _ in sys.stdin:
            seconds, cpu_seconds = _timed(work.round)
            answer(seconds=seconds, cpu_seconds=cpu_seconds)
        answer(peak_bytes=peak_bytes())


def _timed(function) -> tuple[float, float]:
    start, cpu_start = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - start, time.process_time() - cpu_start


def peak_bytes() -> int:
    """Of this process since its start; getrusage would count what the parent was when it started this one."""
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


class _Process:
    """The process of a side, as `take_turns` sees it."""

    def __init__(self, name: str, side: Side):
        self._name = name
        self._seconds: list[float] = []
        self._cpu_seconds: list[float] = []
        path = os.pathsep.join(map(str, [TOOLS] if side.peer else [TOOLS, ROOT]))
        python = PEERS_PYTHON if side.peer else sys.executable
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115, closed by __exit__
        self._process = subprocess.Popen(
            [str(python), "-m", "benchmarks.turns", side.function, json.dumps(side.options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"},
            cwd=ROOT,
            start_new_session=True,  # so that processes that it starts can be ended with it
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError(f"{name} has no pipes")
        self._requests, self._answers = self._process.stdin, self._process.stdout

    def __enter__(self):
        try:
            self._facts = self._answer()["facts"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._answers.close()
        self._errors.close()

    def take_turn(self) -> None:
        self._requests.write("\n")
        self._requests.flush()
        answer = self._answer()
        self._seconds.append(answer["seconds"])
        self._cpu_seconds.append(answer["cpu_seconds"])

    def end(self) -> Measured:
        self._requests.close()
        return Measured(self._seconds, self._cpu_seconds, self._facts, peak_bytes=self._answer()["peak_bytes"])

    def _answer(self) -> dict:
        line = self._answers.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise RuntimeError(f"{self._name} ended ({self._process.returncode}): {self._errors.read()[-2000:]}")
        return json.loads(line)


if __name__ == "__main__":
    from benchmarks import turns

    turns.serve(sys.argv[1], json.loads(sys.argv[2]))
