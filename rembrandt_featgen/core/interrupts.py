"""Ctrl-C, at any time: while a binary is imported, at work, or on its way out."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker

SAID = "interrupted; run the same command again to resume"
STATUS = 130  # what a shell reports for a program that Ctrl-C ended


class Interrupts:
    """Whether Ctrl-C was pressed: TensorFlow turns what a signal raises within its calls into errors of its own."""

    def __init__(self):
        self._pressed = False

    def note(self, *_) -> None:
        """Handles the signal. A second one ends the process as it is, which loses no more than a kill does."""
        self._pressed = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise KeyboardInterrupt

    def explain(self, error: BaseException | None) -> bool:
        """Whether an error is, or came of, Ctrl-C."""
        while error is not None and not isinstance(error, KeyboardInterrupt):
            error = error.__context__
        return self._pressed or error is not None


@contextlib.contextmanager
def noticed() -> Iterator[Interrupts]:
    """Notes Ctrl-C meanwhile; not where it is ignored (`nohup`), nor but in the main thread, which alone gets it."""
    seen, before = Interrupts(), signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before in (signal.SIG_IGN, None):
        yield seen
        return
    signal.signal(signal.SIGINT, seen.note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if seen.explain(None) else before)


@contextlib.contextmanager
def left_to_this_process() -> Iterator[None]:
    """Keeps Ctrl-C, which a terminal sends to all its processes, from those that are started meanwhile.

    So are those that threads which are started meanwhile start at any time. This process gets it once the body ends,
    where that is in the main thread, whatever other threads there are; elsewhere the main thread gets it at once.
    """
    resource_tracker.ensure_running()  # where it had to be started within, it would let Ctrl-C through again
    before, pressed = signal.getsignal(signal.SIGINT), []
    # The mask is this thread's, and what is started has it; another thread may take the signal for the process,
    # whose handler runs here.
    noted = threading.current_thread() is threading.main_thread() and before not in (signal.SIG_IGN, None)
    if noted:
        signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if noted:
            signal.signal(signal.SIGINT, before)
        if pressed:
            signal.raise_signal(signal.SIGINT)


def end_at_once_while_importing() -> None:
    """Has Ctrl-C end the process with its line; for the imports before `cli.main`, while nothing is at work."""

    def end(*_):
        os.write(2, f"{SAID}\n".encode())
        os._exit(STATUS)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end)
