"""Where tasks are done: one after another in this process, by processes of this machine, or by a cluster of Dask."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from rembrandt_featgen.core import provenance, thread_counts
from rembrandt_featgen.core.errors import InputError

SERIAL, LOCAL = "serial", "local"
LOG = "workers.log"  # in the folder of a stage: what processes of "local" said
_ADDRESSES = ("tcp://", "tls://")  # of a scheduler of Dask


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Where tasks are done. No choice changes a result, but for the last bits by `threads`.

    Attributes:
      scheduler: "serial", "local" or the address of a scheduler of Dask, such as tcp://10.0.0.1:8786.
      workers: processes of "local"; 0 for as many as there are cores, `threads` for each.
      threads: of each process; 0 for an equal share of the cores of "local", and for one on a cluster. Those of
        "serial" are given by the environment, see `core.thread_counts`.
      memory_limit: GiB that this process and those of "local" may take together; each of these has an equal share of
        what is left when they start. 0 for no limit.
      prepare: what each process does before a task, such as taking its device.
    """

    scheduler: str = SERIAL
    workers: int = 0
    threads: int = 0
    memory_limit: float = 0.0
    prepare: Callable[[], object] | None = None

    @property
    def address(self) -> str:
        """Of the cluster; "" where there is none."""
        return self.scheduler if self.scheduler.startswith(_ADDRESSES) else ""


class Call(NamedTuple):
    """One thing to do.

    Attributes:
      name: unique, for messages.
      of: which of the shared callables does it.
      argument: which it is called with.
    """

    name: str
    of: int
    argument: Any


class Runner(Protocol):
    """Does calls.

    Attributes:
      parallel: whether several calls are done at a time, in processes that keep what a callable remembers.
    """

    parallel: bool

    @property
    def record(self) -> dict:
        """Where calls are done, for stage.json; "devices" are those of the calls that this runner did."""
        ...

    def results(self, shared: Sequence[Callable[[Any], Any]], calls: Sequence[Call]) -> Iterator[tuple[int, Any]]:
        """Numbers of calls and what comes of them, as soon as they are done.

        Args:
          shared: with their arrays; each is sent to each process once.
          calls: independent of each other.

        Raises:
          InputError: from a call; or a process took too much memory, or was ended again and again.
        """
        ...


class Serial:
    """Does calls in this process, one after another."""

    parallel = False

    @property
    def record(self) -> dict:
        """See `Runner`."""
        threads, device = thread_counts.of_this_process(), provenance.device()
        return {"scheduler": SERIAL, "workers": 1, "threads": threads, "devices": [device] if device else []}

    def results(self, shared: Sequence[Callable[[Any], Any]], calls: Sequence[Call]) -> Iterator[tuple[int, Any]]:
        """See `Runner`."""
        for number, call in enumerate(calls):
            yield number, shared[call.of](call.argument)


def note(record: dict, runner: Runner) -> None:
    """Puts into a stage's record where its calls were done, which may be on another device than this process has."""
    record["schedule"] = runner.record
    devices = record["schedule"]["devices"]
    if devices:
        record["device"] = "; ".join(devices)


def check(schedule: Schedule) -> None:
    """InputError for settings that do not go together, or that nothing can be done by."""
    name = schedule.scheduler
    if name not in (SERIAL, LOCAL) and not schedule.address:
        raise InputError(
            f"--scheduler={name}: give serial (this process), local (processes of this machine), or the address of a "
            "scheduler of Dask, such as tcp://10.0.0.1:8786"
        )
    if name == LOCAL:
        return
    if name == SERIAL and schedule.threads:
        raise InputError(
            f"--task_threads={schedule.threads} with --scheduler=serial: it is of the processes of --scheduler=local; "
            f"give --threads={schedule.threads}"
        )
    fix = "a cluster has the workers that were started" if schedule.address else "it is of --scheduler=local"
    if schedule.workers:
        raise InputError(f"--workers={schedule.workers} with --scheduler={name}: {fix}; leave it out")


@contextlib.contextmanager
def opened(schedule: Schedule, log: Path | None = None) -> Iterator[Runner]:
    """What does the calls of a run; its processes end with the context.

    Args:
      schedule: where.
      log: file that gets what processes of "local" say.

    Raises:
      InputError: as by `check`; Dask is not installed; or no scheduler answers at the address.
    """
    check(schedule)
    if schedule.scheduler == SERIAL:
        yield Serial()
        return
    try:
        from rembrandt_featgen.evaluation import dask_runner
    except ModuleNotFoundError as error:
        raise InputError(
            f"--scheduler={schedule.scheduler} needs Dask, and there is no {error.name}; install it with "
            "`pip install 'rembrandt_featgen[cluster]'`, or take --scheduler=serial"
        ) from error
    with dask_runner.opened(schedule, log) as runner:
        yield runner
