"""Folders that can be made, and that one process at a time works on; files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from rembrandt_featgen.core.errors import BusyError, InputError


def make_folder(path: Path, flag: str) -> None:
    """Makes a folder and its parents, or says in one line why that cannot be (InputError naming `flag`)."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{flag}={path}: cannot make this folder ({error.strerror}); choose one that you may write"
        ) from error


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A hidden file beside `path` to write to, which takes its place where the body ends without an error.

    What was there stays until then, so that a kill leaves the file as it was, or as it is to be.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    temporary.replace(path)


@contextlib.contextmanager
def lock(path: Path, folder: Path) -> Iterator[None]:
    """Holds the lock file `path` for what works on `folder`; BusyError where another process does."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BusyError(
                f"another process is at work on {folder}; wait for it or choose another --run_dir"
            ) from error
        yield
