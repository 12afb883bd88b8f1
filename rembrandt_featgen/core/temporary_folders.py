"""Temporary folders of what names patients: they are deleted however the process ends, or by the next one that asks.

They are there for their user alone to read. Where a process was killed (SIGKILL, a power cut), nothing of it can delete
its folder; the system then has freed its lock, by which the next process knows that nobody is at work in there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rembrandt_featgen.core import endings

PREFIX = "rembrandt_featgen_estimate_"
_TRIES = 50  # another thread may write into a folder while it is deleted


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """An empty folder meanwhile; those that killed processes left are deleted first.

    It also goes where the process ends by `endings.end_at_once`, SIGTERM or SIGHUP.
    """
    delete_left()
    path, lock = _made()
    try:
        with endings.tidied_by(lambda: _delete(path)):
            yield path
    finally:
        _delete(path)
        os.close(lock)


def delete_left() -> None:
    """Deletes the folders of this user's processes that have ended; a folder that cannot be is left."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = _opened(path)
            try:
                if os.fstat(lock).st_uid == os.getuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _delete(path)
            finally:
                os.close(lock)


def _made() -> tuple[Path, int]:
    """A new folder and its lock; should another process have taken it for left over before it was locked, another."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        with contextlib.suppress(FileNotFoundError):
            lock = _opened(path)
            with contextlib.suppress(OSError):  # a file system without locks, where no process deletes another's
                fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _delete(path: Path) -> None:
    for _ in range(_TRIES):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
