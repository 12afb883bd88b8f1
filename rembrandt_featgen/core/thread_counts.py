"""Numbers of threads of a process. TensorFlow reads them when it starts, so they are given by the environment."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_TENSORFLOW = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
VARIABLES = (*_TENSORFLOW, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def variables(count: int) -> dict[str, str]:
    """The environment of a process in which each numeric library takes that many threads."""
    return dict.fromkeys(VARIABLES, str(count))


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
