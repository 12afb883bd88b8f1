"""Stages at which several workers are at work: the chief writes the stage's folder, the others temporary ones."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf

from rembrandt_featgen.core import rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.nn import distribution

# What a collective ends with when a worker is gone; and, rarely, what this worker itself has met.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
_WHERE = re.compile(r"\s|Graph execution error|Detected at node|<stack traces|\d+ root error|\(\d+\) ?$")  # of errors


@contextlib.contextmanager
def open_stage(
    where: tf.distribute.Strategy,
    config,
    name: str,
    *,
    inputs: Sequence[rundir.Found] = (),
    digests: Mapping[str, str] | None = None,
    kind: str = "",
    classes: Mapping | None = None,
) -> Iterator[rundir.Stage]:
    """`rundir.open_stage` of the chief; of other workers `rundir.open_copy`, whose body need not complete it.

    All workers begin together, from what is there, and leave once the chief has written the stage.

    Args:
      where: the strategy.
      config, name, inputs, digests, kind, classes: as for `rundir.open_stage`.

    Raises:
      InputError: as by `rundir.open_stage`; or a worker is gone.
    """
    opened = rundir.open_stage(config, name, inputs, digests=digests, kind=kind, classes=classes)
    number, total = distribution.workers(where)
    if total == 1:
        with opened as stage:
            yield stage
        return
    try:
        with contextlib.ExitStack() as stack:
            if number == 0:
                stage = _opened_by_chief(where, stack, opened)
            else:
                if distribution.any_worker(where, False):
                    raise InputError(f"worker {number} of {total}: the chief, worker 0, has stopped; its log says why")
                stage = stack.enter_context(rundir.open_copy(config, name, kind))
            distribution.any_worker(where, False)  # until all have read what is there
            yield stage
        distribution.any_worker(where, False)  # until the chief has written it
    except _LOST as error:
        raise InputError(
            f"worker {number} of {total} has lost another, it seems ({type(error).__name__}: {_what_happened(error)}); "
            "start all of them again with the same command: training resumes after the last epoch that was saved"
        ) from error


def _what_happened(error: tf.errors.OpError) -> str:
    """The first line of an error that is of itself, not of where it was met."""
    lines = [line for line in error.message.splitlines() if line.strip() and not _WHERE.match(line)]
    return lines[0].strip() if lines else "nothing more is said"


def _opened_by_chief(where, stack, opened) -> rundir.Stage:
    """The stage, of which the other workers learn that it is open, or that it could not be opened."""
    try:
        stage = stack.enter_context(opened)
    except InputError:
        distribution.any_worker(where, True)
        raise
    distribution.any_worker(where, False)
    return stage
