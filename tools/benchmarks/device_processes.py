"""Processes of the parts of `device`: what they start with, and what they say until they end or are ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks import turns

_CUDA = ("libcu[bfs]*", "libcudnn*")  # cublas, cufft, cusolver, cusparse; but not libcuda, which is the driver's


class Started(NamedTuple):
    """How processes of a side start: their Python, and their environment."""

    python: str
    environment: dict[str, str]


class Command(NamedTuple):
    """A process of a part: what it is called, how it starts, and by which time it is to have ended."""

    title: str
    started: Started
    arguments: list[str]
    until: float


def ours() -> Started:
    """How those of this program start."""
    return _started(sys.executable, [turns.TOOLS, turns.ROOT], dict(os.environ))


def peer() -> Started | None:
    """How PyTorch's start; None where it is not installed.

    The packages of a .venv-peers that came from another machine are enough, for this Python runs them. The libraries of
    CUDA that TensorFlow has been given are of another version than PyTorch's, which has its own.
    """
    paths = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    kept = [path for path in paths if path and not any(any(Path(path).glob(name)) for name in _CUDA)]
    variables = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(kept)}
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


def text_file():
    """A file for what a process says."""
    return tempfile.TemporaryFile("w+", encoding="utf-8")


def speeds(command: Command) -> dict[str, float]:
    """Speeds of one process by name; what it said until it ended, or was ended."""
    found: dict[str, float] = {}
    remarks: list[str] = []
    done = False
    with text_file() as said, text_file() as log:
        late, code = run(command, said, log)
        said.seek(0)
        for line in said.read().splitlines():
            answer = _answer(line)
            found |= answer.get("speed", {})
            remarks += [answer["said"]] if "said" in answer else []
            done = done or "done" in answer
        log.seek(0)
        text = log.read()
    if late and not done:
        remarks.append("its time was over, the rest is left out (--minutes)")
    elif code and not done:
        remarks.append(f"it failed ({code}): {text[-1000:]}")
    remarks += sorted({line for line in text.splitlines() if "layout failed" in line})
    print(f"  {'; '.join([f'{command.title}: {len(found)} speeds', *remarks])}", flush=True)
    return found


def _answer(line) -> dict:
    """A line of a process; nothing, where it was ended in the midst of it."""
    try:
        return json.loads(line)
    except ValueError:
        return {}


def run(command, said, log) -> tuple[bool, int]:
    """Whether a process was ended, and its exit status, once it and all of its group have ended."""
    try:
        process = subprocess.Popen(
            [command.started.python, *command.arguments],
            stdout=said,
            stderr=log,
            env=command.started.environment,
            cwd=turns.ROOT,
            start_new_session=True,  # so that processes that it starts can be ended with it
        )
    except OSError as error:
        log.write(str(error))
        return False, 1
    late = False
    try:
        process.wait(max(command.until - time.monotonic(), 1.0))
    except subprocess.TimeoutExpired:
        late = True
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return late, process.returncode
