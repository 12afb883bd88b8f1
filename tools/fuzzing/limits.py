"""What an input may take: seconds of processor time and memory; and what it did beyond that, as a finding."""

from __future__ import annotations

import contextlib
import faulthandler
import resource
import signal
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rembrandt_featgen.core.errors import InputError

SECONDS = 10.0  # of processor time for an input
_WAIT = 30.0  # more on the clock, for what waits instead
MEGABYTES = 256  # beyond what the process had
_KILLED_AT = 6 * 2**30  # bytes of address space beyond what the process had
_PACKAGE = "/rembrandt_featgen/"
_FRAMES = 2000  # of a traceback that ends a hang are looked at


class Hang(BaseException):
    """An input takes too long; no reader catches it."""


class Finding(NamedTuple):
    """What an input did that none may.

    Attributes:
      signature: the same for inputs that did the same.
      text: a traceback, or the figures.
    """

    signature: str
    text: str


def set_up(*, capped: bool = True) -> None:
    """Limits of this process: a crash is written to stderr, and address space ends before the machine's memory does.

    Args:
      capped: the latter; TensorFlow's threads reserve far more than they take.
    """
    faulthandler.enable()
    if not capped:
        return
    bytes_now = int(_status()["VmSize"]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (bytes_now + _KILLED_AT, resource.RLIM_INFINITY))


@contextlib.contextmanager
def seconds() -> Iterator[None]:
    """Raises Hang in the body after SECONDS of processor time; ends the process where that is not heard."""
    limit = SECONDS

    def stop(number, frame):
        raise Hang(f"more than {limit:g} s")

    faulthandler.dump_traceback_later(2 * _WAIT + limit, exit=True)
    for clock, after in ((signal.ITIMER_PROF, limit), (signal.ITIMER_REAL, _WAIT + limit)):
        signal.signal({signal.ITIMER_PROF: signal.SIGPROF, signal.ITIMER_REAL: signal.SIGALRM}[clock], stop)
        signal.setitimer(clock, after)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()


def memory() -> int:
    """Megabytes that this process had at most since `forget_peak`."""
    return int(_status()["VmHWM"]) // 1024


def forget_peak() -> None:
    """From here on `memory` is counted anew, where the kernel allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status() -> dict[str, str]:
    with Path("/proc/self/status").open(encoding="ascii") as file:
        lines = (line.split() for line in file)
        return {line[0].rstrip(":"): line[1] for line in lines if line[0].startswith("Vm")}


def of_error(error: BaseException) -> Finding | None:
    """What an exception out of a reader is; None for an InputError of one line that can be printed."""
    if isinstance(error, InputError):
        text = str(error)
        return None if len(text) < 3000 else Finding("long message", f"{len(text)} characters: {text[:300]}")
    frames = traceback.extract_tb(error.__traceback__, limit=-_FRAMES)
    inside = [frame for frame in frames if _PACKAGE in frame.filename]
    place = (inside or [frame for frame in frames if frame.filename != __file__] or [*frames])[-1]
    where = f"{place.filename.rpartition('/')[2]}:{place.lineno}"
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__, limit=-30))
    return Finding(f"{type(error).__name__} in {where}", text)


def of_memory(before: int, after: int) -> Finding | None:
    """What memory beyond the limit is; None within it."""
    more = after - before
    return Finding("memory", f"{more} MB more") if more > MEGABYTES else None
