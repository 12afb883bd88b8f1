"""What workers of Dask do in tests; they import it by its name."""

import dataclasses
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np

from rembrandt_featgen.core import provenance
from rembrandt_featgen.core.errors import InputError

DEVICE = "runs on the worker's GPU"


@dataclasses.dataclass(frozen=True, eq=False)
class KilledOnce:
    """Does tasks, but that its process is killed the first time that it comes to one of them."""

    work: Callable[[Any], Any]
    name: str
    marker: Path

    def __call__(self, task):
        if task.name == self.name and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.work(task)


def die_together(markers):
    """Kills its process the first time, once that of the other marker has come here as well."""
    own, other = markers
    if not own.exists():
        own.touch()
        while not other.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    return own.name


def die(argument):
    """Kills its process each time."""
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(argument):
    """Finds what its user gave wrong."""
    raise InputError(f"{argument}: give another")


def take_device():
    """Stands for `devices.use` of a process that has another device than that which was started."""
    provenance.set_device(DEVICE)


def double(number):
    """Twice a number."""
    return 2 * number


def profiled(argument):
    """Whether Dask keeps which functions its process was in."""
    return dask.config.get("distributed.worker.profile.enabled")


def eat(gibibytes):
    """Takes memory, 64 MiB at a time."""
    taken = []
    while len(taken) * 64 < gibibytes * 1024:
        taken.append(np.ones(2**23))
    time.sleep(5.0)
    return len(taken)


def stay(folder):
    """Says which process is at work, and stays at it."""
    (folder / str(os.getpid())).touch()
    time.sleep(600.0)
