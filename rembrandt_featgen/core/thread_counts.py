"""Numbers of threads of a process. TensorFlow reads them when it begins to compute, so the environment says them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import threadpoolctl

_TENSORFLOW = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
_OTHERS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
VARIABLES = (*_TENSORFLOW, *_OTHERS)


def variables(count: int) -> dict[str, str]:
    """The environment of a process in which each numeric library takes that many threads."""
    return dict.fromkeys(VARIABLES, str(count))


def use(count: int) -> None:
    """Has this process, and those that it starts, compute with that many threads, before TensorFlow computes anything.

    TensorFlow, whose pools also run tf.data's maps, reads the environment when it makes its first tensor; libraries of
    numpy that are loaded are limited by threadpoolctl.
    """
    os.environ.update(variables(count))
    threadpoolctl.threadpool_limits(count)


def total() -> int:
    """Threads that this process and those that it starts are to have together: as `use` said, or all cores."""
    return of_this_process() or os.cpu_count() or 1


@contextlib.contextmanager
def for_new_processes(count: int) -> Iterator[None]:
    """Processes that are started in this context have libraries of that many threads; this process stays as it is."""
    before = {name: os.environ.get(name) for name in VARIABLES}
    os.environ.update(variables(count))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def of_this_process() -> int | None:
    """Threads of TensorFlow as the environment gives them; None where it takes as many as there are cores."""
    given = os.environ.get(_TENSORFLOW[0], "")
    return int(given) if given.isdecimal() and int(given) > 0 else None
