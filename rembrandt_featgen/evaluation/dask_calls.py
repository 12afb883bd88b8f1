"""What a worker process of Dask does. Everything here is imported there by its name."""

from __future__ import annotations

import dataclasses
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import threadpoolctl

from rembrandt_featgen.core import cli, provenance, thread_counts
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation.schedulers import Call

PYTHON = "python"
_ONE_AT_A_TIME = threading.Lock()  # what a callable remembers and TensorFlow's graphs are of one task
_said: set[str] = set()  # logs that this process writes to


@dataclasses.dataclass(frozen=True)
class Place:
    """What a process must be like.

    Attributes:
      threads: of each library.
      versions: of `versions`, where the study was started.
      log: file that gets all that it says; "" to leave that.
      prepare: see `schedulers.Schedule`.
    """

    threads: int
    versions: Mapping[str, str]
    log: str
    prepare: Callable[[], object] | None = None


def versions() -> dict[str, str]:
    """Of Python and of the packages that figures depend on."""
    return {PYTHON: ".".join(map(str, sys.version_info[:2]))} | provenance.versions()


def call(shared: Sequence[Callable[[Any], Any]], one: Call, place: Place) -> Any:
    """Does a call.

    Args:
      shared: the same objects for all calls of a process, so that they may remember what costs time.
      one: what is to be done by one of them.
      place: what the process must be like.

    Raises:
      InputError: it has other versions, or has computed with another number of threads.
    """
    with _ONE_AT_A_TIME:
        _prepare(place)
        return shared[one.of](one.argument)


def _prepare(place: Place) -> None:
    if place.log and place.log not in _said:
        with Path(place.log).open("a", encoding="utf-8") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        cli.start_logging()
        _said.add(place.log)
    here = versions()
    other = [name for name, version in place.versions.items() if here.get(name) != version]
    if other:
        name = other[0]
        raise InputError(
            f"--scheduler: the worker on {socket.gethostname()} has {name} {here.get(name)}, and this process has "
            f"{place.versions[name]}; install the same versions there"
        )
    count = thread_counts.of_this_process()
    if count != place.threads:
        raise InputError(
            f"--task_threads={place.threads}: TensorFlow has started with {count or 'all'} threads in a worker on "
            f"{socket.gethostname()}; give that number, or start the workers anew"
        )
    threadpoolctl.threadpool_limits(place.threads)  # where another library was loaded before the environment was set
    if place.prepare is not None:
        place.prepare()
