"""Does calls by Dask: on a pool of processes of this machine, or on a cluster that its user started."""

from __future__ import annotations

import contextlib
import logging as standard
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dask
from absl import logging
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster, as_completed
from distributed.scheduler import KilledWorker

from rembrandt_featgen.core import interrupts, thread_counts
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import dask_calls
from rembrandt_featgen.evaluation.dask_threads import ThreadsPlugin
from rembrandt_featgen.evaluation.schedulers import LOCAL, Call, Schedule

RETRIES = 3  # of a call whose process was ended; on a cluster its scheduler has a number of its own
PATIENCE = 10.0  # seconds in which a scheduler must answer
_MEMORY = "worker-restart-memory"  # what Dask says of a process that it ended for its memory
_GIB = 2**30


class DaskRunner:
    """See `schedulers.Runner`."""

    parallel = True

    def __init__(self, client: Client, schedule: Schedule, *, threads: int, workers: int = 0, log: Path | None = None):
        """A runner.

        Args:
          client: of the pool or cluster.
          schedule: where calls are done.
          threads: of each process.
          workers: of a pool; 0 of a cluster, which may grow.
          log: see `schedulers.opened`; of processes of this machine alone.
        """
        self._client, self._schedule, self._threads, self._workers = client, schedule, threads, workers
        said = str(log.resolve()) if log else ""
        self._place = dask_calls.Place(threads, dask_calls.versions(), log=said, prepare=schedule.prepare)

    @property
    def record(self) -> dict:
        """See `schedulers.Runner`; of a cluster the processes that are there now."""
        kind = "local" if self._schedule.scheduler == LOCAL else "cluster"
        return {"scheduler": kind, "workers": self._workers or len(self._client.nthreads()), "threads": self._threads}

    def results(self, shared: Sequence[Callable[[Any], Any]], calls: Sequence[Call]) -> Iterator[tuple[int, Any]]:
        """See `schedulers.Runner`."""
        if not calls:
            return
        given = f"--scheduler={self._schedule.scheduler}"
        if not self._client.nthreads():
            logging.info("%s: no worker is there yet; waiting for the first", given)
        self._client.wait_for_workers(1)
        numbers: dict[Any, int] = {}
        try:
            handed = self._hand_out(shared)
            for number, call in enumerate(calls):
                numbers[self._submit(handed, call)] = number
            lost, waiting = 0, as_completed(numbers)
            for future in waiting:
                number = numbers.pop(future)
                if future.status in ("cancelled", "lost"):
                    if self._client.status != "running":
                        raise InputError(
                            f"{given}: the scheduler has gone; what was done is kept: start it again, and give the "
                            "same command"
                        )
                    # the last process that had what is shared was ended: it is sent again
                    lost += 1
                    if lost > RETRIES * len(calls):
                        raise _ended(calls[number].name, RETRIES, memory="")
                    handed = self._hand_out(shared) if handed.status != "finished" else handed
                    again = self._submit(handed, calls[number])
                    numbers[again] = number
                    waiting.add(again)
                    continue
                yield number, self._result(future, calls[number].name)
        except ModuleNotFoundError as error:
            raise InputError(
                f"{given}: a worker has no {error.name}; install there what is installed here, in the same versions"
            ) from error
        finally:
            with contextlib.suppress(Exception):  # of a client whose scheduler has gone
                self._client.cancel(list(numbers))

    def _hand_out(self, shared):
        self._client.wait_for_workers(1)
        # As one object, so that arrays which several callables share are sent once.
        (handed,) = self._client.scatter([tuple(shared)], broadcast=True, hash=False)
        return handed

    def _submit(self, handed, call: Call):
        key = f"{call.name}-{uuid.uuid4().hex[:8]}"
        return self._client.submit(dask_calls.call, handed, call, self._place, key=key, pure=False)

    def _result(self, future, name: str) -> Any:
        try:
            return future.result()
        except KilledWorker as error:
            worker = getattr(error.last_worker, "address", None)
            ended_for_memory = any(event["worker"] == worker for _, event in self._client.get_events(_MEMORY))
            memory = ""
            if ended_for_memory and self._schedule.scheduler == LOCAL:
                share = self._schedule.memory_limit / max(self._workers, 1)
                memory = f"its share of --memory_limit ({share:.2g} GiB of each of {self._workers} processes)"
            elif ended_for_memory:
                memory = "the --memory-limit with which `dask worker` was started"
            raise _ended(name, error.allowed_failures + 1, memory=memory) from error


def _ended(name: str, count: int, *, memory: str) -> InputError:
    times = f"{count} time{'s' * (count != 1)}"
    if memory:
        return InputError(
            f"{name}: its process took more than {memory}, and was ended {times}; give more, with fewer workers "
            "at a time where the machine has no more"
        )
    return InputError(
        f"{name}: its process was ended {times}, by the system for want of memory, or by somebody; give the same "
        "command with fewer workers at a time: what was done is kept"
    )


@contextlib.contextmanager
def opened(schedule: Schedule, log: Path | None = None) -> Iterator[DaskRunner]:
    """A runner on a pool or cluster; a pool ends with the context, a cluster loses what it was to do.

    Args:
      schedule: that is not "serial".
      log: see `schedulers.opened`.

    Raises:
      InputError: no scheduler answers, or a worker has several threads.
    """
    standard.getLogger("distributed").setLevel(standard.CRITICAL)  # it would speak of each process that comes and goes
    with contextlib.ExitStack() as stack:
        if schedule.scheduler == LOCAL:
            count = min(thread_counts.total(), CPU_COUNT)
            workers = schedule.workers or max(count // max(schedule.threads, 1), 1)
            threads = schedule.threads or max(count // workers, 1)
            stack.enter_context(dask.config.set(_of_pool()))
            stack.enter_context(thread_counts.for_new_processes(threads))
            # The memory limit of Dask is of a process, in which one task is at work.
            with interrupts.ignored():  # which the pool's end is left to
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=int(schedule.memory_limit * _GIB / workers) or None,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=standard.CRITICAL,
                )
            client = stack.enter_context(Client(stack.enter_context(cluster)))
            if log:
                log.parent.mkdir(parents=True, exist_ok=True)
            yield DaskRunner(client, schedule, threads=threads, workers=workers, log=log)
            return
        client = stack.enter_context(_connected(schedule.address))
        several = {worker: count for worker, count in client.nthreads().items() if count > 1}
        if several:
            worker, count = next(iter(several.items()))
            raise InputError(
                f"--scheduler={schedule.scheduler}: worker {worker} takes {count} tasks at a time in one process; "
                "start workers with `dask worker --nworkers=N --nthreads=1`"
            )
        plugin = ThreadsPlugin(schedule.threads or 1)
        client.register_plugin(plugin)
        stack.callback(_leave, client, plugin)
        yield DaskRunner(client, schedule, threads=schedule.threads or 1)


def _leave(client: Client, plugin: ThreadsPlugin) -> None:
    with contextlib.suppress(Exception):  # of a client whose scheduler has gone
        client.unregister_worker_plugin(plugin.name)


def _of_pool() -> dict[str, Any]:
    """Settings of Dask under which a pool is started."""
    memory = {f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause")}
    return {
        # TensorFlow keeps the memory that it had: a process near its limit would pause for ever.
        **memory,
        "distributed.worker.memory.terminate": 1.0,
        "distributed.scheduler.allowed-failures": RETRIES,
        # A process has no task but that at work, so that its end is counted against no other.
        "distributed.scheduler.worker-saturation": 1.0,
    }


def _connected(address: str) -> Client:
    try:
        return Client(address, timeout=PATIENCE)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(
            f"--scheduler={address}: no scheduler of Dask answers within {PATIENCE:g} s; start one with `dask "
            "scheduler`, and take the address that it says"
        ) from error
