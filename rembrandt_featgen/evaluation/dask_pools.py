"""A pool of Dask's processes on this machine: Ctrl-C is this process' alone, and ends all others at once."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator

from distributed import LocalCluster

from rembrandt_featgen.core import interrupts

_POLL = 0.02  # seconds
_GRACE = 1.0  # seconds that a process has to end by SIGTERM before it is killed
_STARTING = 5.0  # seconds in which a pool whose processes were ended while they started has given up


def start(**settings) -> LocalCluster:
    """Starts a pool, whose processes leave Ctrl-C to this one; Ctrl-C meanwhile ends those that are there.

    Args:
      settings: of `LocalCluster`, which would wait until all of them have imported what they need.
    """
    before = set(multiprocessing.active_children())
    made: concurrent.futures.Future[LocalCluster] = concurrent.futures.Future()

    def make():
        try:
            made.set_result(LocalCluster(**settings))
        except BaseException as error:
            made.set_exception(error)

    thread = threading.Thread(target=make, daemon=True)
    try:
        with interrupts.left_to_this_process():  # from which the thread, and all that it starts, have it
            thread.start()
        return made.result()
    except KeyboardInterrupt:
        end = time.monotonic() + _STARTING
        while thread.is_alive() and time.monotonic() < end:
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            thread.join(_POLL)
        if made.done() and made.exception() is None:  # it was there just before
            made.result().close()
        raise


@contextlib.contextmanager
def ended_at_once(pool: LocalCluster) -> Iterator[None]:
    """Ends the processes of a pool where the body is interrupted or fails, for what they do is resumed.

    Dask would move what they hold to others, and then wait for the tasks that they are at.
    """
    try:
        yield
    except BaseException:
        nannies = list(pool.workers.values())
        for nanny in nannies:
            nanny.close_gracefully()  # starts no other process in place of one that ends
        end, asked = time.monotonic() + _GRACE, set[int]()
        while (left := {nanny.pid for nanny in nannies} - {None}) and time.monotonic() < end:
            _send(signal.SIGTERM, left - asked)
            asked |= left
            time.sleep(_POLL)
        _send(signal.SIGKILL, left)
        raise


def _send(number: int, processes: Iterable[int]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(process, number)
