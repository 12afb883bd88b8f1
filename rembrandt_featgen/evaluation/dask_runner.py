"""Does calls by Dask: on a pool of processes of this machine, or on a cluster that its user started."""

from __future__ import annotations

import contextlib
import dataclasses
import logging as standard
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dask
from absl import logging
from dask.system import CPU_COUNT
from distributed import Client, TimeoutError, as_completed
from distributed.scheduler import KilledWorker

from rembrandt_featgen.core import memory, thread_counts
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import dask_calls, dask_clusters, dask_pools
from rembrandt_featgen.evaluation.dask_threads import ThreadsPlugin
from rembrandt_featgen.evaluation.schedulers import LOCAL, Call, Schedule

RETRIES = 3  # of a call whose process was ended; on a cluster its scheduler has a number of its own
_ASKED = 10.0  # seconds after which a scheduler is asked whether there are workers
_ENDED = 120.0  # seconds after which processes of a pool that are not there will not come
_POLL = 0.02  # seconds
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
        program = dask_calls.program()
        if schedule.scheduler == LOCAL:  # whoever changes the code on this machine may do so while a study runs
            program = program._replace(code="")
        self._place = dask_calls.Place(threads, program, log=said, prepare=schedule.prepare)
        self._given = f"--scheduler={schedule.scheduler}"
        self._devices: set[str] = set()

    @property
    def record(self) -> dict:
        """See `schedulers.Runner`; of a cluster the processes that are there now."""
        return {
            "scheduler": "local" if self._schedule.scheduler == LOCAL else "cluster",
            "workers": self._workers or len(self._client.nthreads()),
            "threads": self._threads,
            "devices": sorted(self._devices),
        }

    def results(self, shared: Sequence[Callable[[Any], Any]], calls: Sequence[Call]) -> Iterator[tuple[int, Any]]:
        """See `schedulers.Runner`."""
        if not calls:
            return
        numbers: dict[Any, int] = {}
        try:
            handed = self._hand_out(shared)
            for number, call in enumerate(calls):
                numbers[self._submit(handed, call)] = number
            lost, waiting = 0, as_completed(numbers)
            while not waiting.is_empty():
                future = self._next(waiting)
                number = numbers.pop(future)
                if future.status in ("cancelled", "lost"):
                    self._refuse_gone()
                    # the last process that had what is shared was ended: it is sent again
                    lost += 1
                    if lost > RETRIES * len(calls):
                        raise _ended(calls[number].name, RETRIES, limit="")
                    handed = self._hand_out(shared) if handed.status != "finished" else handed
                    again = self._submit(handed, calls[number])
                    numbers[again] = number
                    waiting.add(again)
                    continue
                done = self._result(future, calls[number].name)
                self._devices.update({done.device} - {""})
                yield number, done.value
        except (InputError, GeneratorExit):
            raise
        except Exception:
            self._explain()
            raise
        finally:
            with contextlib.suppress(Exception):  # of a client whose scheduler has gone
                self._client.cancel(list(numbers))

    def _next(self, waiting):
        """The next future that is done."""
        asked = time.monotonic()
        while not waiting.has_ready():
            time.sleep(_POLL)
            if self._client.status == "running" and time.monotonic() > asked + _ASKED:
                self._wait_for_workers()
                asked = time.monotonic()
        return next(waiting)

    def _wait_for_workers(self):
        """Waits where no worker is there, and says so."""
        try:
            if self._client.nthreads():
                return
            logging.warning("%s: no worker is there; waiting for one", self._given)
            self._client.wait_for_workers(1, timeout=None if self._schedule.address else _ENDED)
            logging.info("%s: a worker is there", self._given)
        except TimeoutError as error:
            said = f"; see {self._place.log}" if self._place.log else ""
            raise InputError(
                f"{self._given}: its processes have ended, and no new ones start{said}; give the same command, which "
                "keeps what was done"
            ) from error

    def _explain(self):
        """InputError where the cluster is to blame for what was raised."""
        self._refuse_gone()
        if self._schedule.address:  # where another program is there, it may be any error
            try:
                dask_clusters.check_workers(self._client, self._given)
            except InputError:
                raise
            except Exception:  # of asking, which is to hide no other
                self._refuse_gone()

    def _refuse_gone(self):
        if self._client.status != "running":
            raise InputError(
                f"{self._given}: the scheduler has gone; what was done is kept: start it again, and give the same "
                "command"
            )

    def _hand_out(self, shared):
        self._wait_for_workers()
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
            whose = ""
            if ended_for_memory and self._schedule.scheduler == LOCAL:
                share = self._schedule.memory_limit / max(self._workers, 1)
                whose = f"its share of --memory_limit ({share:.2g} GiB of each of {self._workers} processes)"
            elif ended_for_memory:
                whose = "the --memory-limit with which `dask worker` was started"
            raise _ended(name, error.allowed_failures + 1, limit=whose) from error


def _ended(name: str, count: int, *, limit: str) -> InputError:
    times = f"{count} time{'s' * (count != 1)}"
    if limit:
        return InputError(
            f"{name}: its process took more than {limit}, and was ended {times}; give more, with fewer workers "
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
      InputError: this process alone takes --memory_limit; no scheduler answers, or a worker has several threads.
    """
    for name in ("distributed", "distributed.client"):  # they would speak of each process that comes and goes
        standard.getLogger(name).setLevel(standard.CRITICAL)
    with contextlib.ExitStack() as stack:
        if schedule.scheduler == LOCAL:
            count = min(thread_counts.total(), CPU_COUNT)
            workers = schedule.workers or max(count // max(schedule.threads, 1), 1)
            threads = schedule.threads or max(count // workers, 1)
            schedule = dataclasses.replace(schedule, memory_limit=_left(schedule))
            stack.enter_context(dask.config.set(_of_pool()))
            stack.enter_context(thread_counts.for_new_processes(threads))
            # The memory limit of Dask is of a process, in which one task is at work.
            limit = f" and {schedule.memory_limit / workers:.3g} GiB" if schedule.memory_limit else ""
            logging.info("--scheduler=local: %d workers of %d threads%s each", workers, threads, limit)
            pool = dask_pools.start(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=int(schedule.memory_limit * _GIB / workers) or None,
                dashboard_address="127.0.0.1:0",
                silence_logs=standard.CRITICAL,
            )
            client = stack.enter_context(Client(stack.enter_context(pool)))
            stack.enter_context(dask_pools.ended_at_once(pool))
            if log:
                log.parent.mkdir(parents=True, exist_ok=True)
            yield DaskRunner(client, schedule, threads=threads, workers=workers, log=log)
            return
        if schedule.memory_limit:
            logging.warning(
                "--memory_limit is of this process alone where --scheduler=%s; that of its workers is said where they "
                "are started: dask worker --memory-limit",
                schedule.scheduler,
            )
        client = stack.enter_context(dask_clusters.connected(schedule.address))
        given = f"--scheduler={schedule.scheduler}"
        dask_clusters.check_workers(client, given)
        plugin = ThreadsPlugin(schedule.threads or 1)
        client.register_plugin(plugin)
        logging.info("%s: workers of %d threads each, now %d", given, schedule.threads or 1, len(client.nthreads()))
        stack.callback(_leave, client, plugin)
        yield DaskRunner(client, schedule, threads=schedule.threads or 1)


def _left(schedule: Schedule) -> float:
    """GiB that this process leaves to those that it starts, of --memory_limit; InputError where that is nothing."""
    taken = sum(memory.of_tree().values()) / _GIB
    if 0 < schedule.memory_limit <= taken:
        raise InputError(
            f"--memory_limit={schedule.memory_limit:.3g}GiB: this program takes {taken:.3g} GiB before the processes "
            "of --scheduler=local start; give more than that"
        )
    return schedule.memory_limit and schedule.memory_limit - taken


def _leave(client: Client, plugin: ThreadsPlugin) -> None:
    with contextlib.suppress(Exception):  # of a client whose scheduler has gone
        client.unregister_worker_plugin(plugin.name)


def _of_pool() -> dict[str, Any]:
    """Settings of Dask under which a pool is started."""
    unlimited = {f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause")}
    return {
        # TensorFlow keeps the memory that it had: a process near its limit would pause for ever.
        **unlimited,
        "distributed.worker.memory.terminate": 1.0,
        "distributed.scheduler.allowed-failures": RETRIES,
        # It would keep the stacks that tasks were in, of each second and task, for nobody to look at.
        "distributed.worker.profile.enabled": False,
        # A process has no task but that at work, so that its end is counted against no other.
        "distributed.scheduler.worker-saturation": 1.0,
    }
