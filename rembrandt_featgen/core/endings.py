"""How a binary ends that cannot do its work: one line on stderr, and a status."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import NoReturn

from tqdm import tqdm

from rembrandt_featgen.core import system_errors
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.core.interrupts import SAID, STATUS, Interrupts


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
        _exit(STATUS)
    readable = error if isinstance(error, InputError) else system_errors.readable(error, given)
    if readable is not None:
        _end_progress_bars()
        print(f"error: {' '.join(str(readable).split())}", file=sys.stderr)
        _exit(1)


def end_at_once(line: str) -> NoReturn:
    """Ends the process from any thread with one line of error and status 1, as a kill does: nothing is tidied up."""
    os.write(2, f"\nerror: {' '.join(line.split())}\n".encode())
    os._exit(1)


def _exit(status: int) -> NoReturn:
    """Ends the process; what is thrown away on the way, such as an archive that cannot be closed, says nothing more."""
    sys.unraisablehook = lambda _: None
    sys.exit(status)


def _end_progress_bars() -> None:
    """Moves past unfinished bars, so that what is said next has a line of its own."""
    for bar in list(getattr(tqdm, "_instances", ())):
        bar.close()
