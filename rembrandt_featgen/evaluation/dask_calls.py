"""What a worker process of Dask does. Everything here is imported there by its name."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import threadpoolctl
from tqdm import tqdm

import rembrandt_featgen
from rembrandt_featgen.core import cli, provenance, thread_counts
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation.schedulers import Call

PYTHON, DASK = "python", "distributed"
_ONE_AT_A_TIME = threading.Lock()  # what a callable remembers and TensorFlow's graphs are of one task
_said: set[str] = set()  # logs that this process writes to


class Program(NamedTuple):
    """What a process computes with.

    Attributes:
      host: its machine.
      folder: where this package is.
      versions: of Python, Dask and the packages that figures depend on, by name.
      code: see `provenance.code`; "" where it is known to be the same.
    """

    host: str
    folder: str
    versions: Mapping[str, str]
    code: str


@dataclasses.dataclass(frozen=True)
class Place:
    """What a process must be like.

    Attributes:
      threads: of each library.
      program: where the study was started.
      log: file that gets all that it says; "" to leave that.
      prepare: see `schedulers.Schedule`.
    """

    threads: int
    program: Program
    log: str = ""
    prepare: Callable[[], object] | None = None


class Done(NamedTuple):
    """What came of a call, and what is said of the device that it was done on, as in stage.json."""

    value: Any
    device: str


@functools.lru_cache(maxsize=1)
def program() -> Program:
    """What this process computes with."""
    versions = {PYTHON: ".".join(map(str, sys.version_info[:2])), DASK: importlib.metadata.version(DASK)}
    folder = str(Path(rembrandt_featgen.__file__).parent)
    return Program(socket.gethostname(), folder, versions=versions | provenance.versions(), code=provenance.code())


def check(worker: Program, started: Program) -> None:
    """InputError where a worker computes with something else than the process that was started."""
    for name, version in started.versions.items():
        if worker.versions.get(name) != version:
            raise InputError(
                f"--scheduler: the worker on {worker.host} has {name} {worker.versions.get(name)}, and this process "
                f"has {version}; install the same versions there"
            )
    if started.code and worker.code != started.code:
        raise InputError(
            f"--scheduler: the worker on {worker.host} has another rembrandt_featgen ({worker.folder}) than this "
            f"process ({started.folder}), of the same version; install the same there, and start the workers anew"
        )


def call(shared: Sequence[Callable[[Any], Any]], one: Call, place: Place) -> Done:
    """Does a call.

    Args:
      shared: the same objects for all calls of a process, so that they may remember what costs time.
      one: what is to be done by one of them.
      place: what the process must be like.

    Raises:
      InputError: it computes with something else, or has computed with another number of threads.
    """
    with _ONE_AT_A_TIME:
        _prepare(place)
        return Done(shared[one.of](one.argument), provenance.device())


def _prepare(place: Place) -> None:
    if place.log and place.log not in _said:
        with Path(place.log).open("a", encoding="utf-8") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        cli.start_logging()
        _said.add(place.log)
    # No lock that is shared with other processes: that of a process which is killed would be reported as leaked.
    tqdm.set_lock(threading.RLock())
    check(program(), place.program)
    count = thread_counts.of_this_process()
    if count != place.threads:
        raise InputError(
            f"--task_threads={place.threads}: TensorFlow has started with {count or 'all'} threads in a worker on "
            f"{socket.gethostname()}; give that number, or start the workers anew"
        )
    threadpoolctl.threadpool_limits(place.threads)  # where another library was loaded before the environment was set
    if place.prepare is not None:
        place.prepare()
