"""How a binary ends that cannot do its work: one line on stderr, and a status."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

from tqdm import tqdm

from rembrandt_featgen.core import system_errors
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.core.interrupts import SAID, STATUS, Interrupts

_tidied: list[Callable[[], object]] = []


def end(error: BaseException, interrupted: Interrupts, given: Mapping[str, str]) -> None:
    """Exits with one line for what a user can put right; returns for what is a defect of this program.

    Args:
      error: what ended the work.
      interrupted: whether Ctrl-C was pressed.
      given: name to value of the flags that are paths.
    """
    if interrupted.explain(error):
        _end_progress_bars()
        print(SAID, file=sys.stderr)
        # Python would look through all objects for what can be freed, a second of CPU where there is TensorFlow.
        atexit.register(gc.freeze)
        _exit(STATUS)
    readable = error if isinstance(error, InputError) else system_errors.readable(error, given)
    if readable is not None:
        _end_progress_bars()
        print(f"error: {' '.join(str(readable).split())}", file=sys.stderr)
        _exit(1)


def end_at_once(line: str) -> NoReturn:
    """Ends the process from any thread with one line of error and status 1, as a kill does.

    Nothing is tidied up, but for what `tidied_by` says.
    """
    os.write(2, f"\nerror: {' '.join(line.split())}\n".encode())
    _tidy()
    os._exit(1)


@contextlib.contextmanager
def tidied_by(act: Callable[[], object]) -> Iterator[None]:
    """Has `end_at_once`, SIGTERM and SIGHUP call `act` before they end the process meanwhile."""

    def ended(number, _):
        _tidy()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    numbers = []
    if threading.current_thread() is threading.main_thread():  # which alone gets signals
        numbers = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) == signal.SIG_DFL]
    _tidied.append(act)
    for number in numbers:
        signal.signal(number, ended)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        _tidied.remove(act)


def _tidy() -> None:
    """Does what `tidied_by` says, while other threads are at work, whose errors are no news any more."""
    if _tidied:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
    for act in list(_tidied):
        act()


def _exit(status: int) -> NoReturn:
    """Ends the process; what is thrown away on the way, such as an archive that cannot be closed, says nothing more."""
    sys.unraisablehook = lambda _: None
    sys.exit(status)


def _end_progress_bars() -> None:
    """Moves past unfinished bars, so that what is said next has a line of its own."""
    for bar in list(getattr(tqdm, "_instances", ())):
        bar.close()
