"""Folders that can be made, and that one process at a time works on; files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rembrandt_featgen.core.errors import BusyError, InputError
from rembrandt_featgen.core.paths import temporary_beside

_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)  # others mean that there are no locks
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_NEW_ALONE = (errno.ESPIPE, errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)  # of files that cannot be added to
_PATIENCE = 2.0  # seconds: so long a killed process' workers may hold its locks
_WITHOUT = "REMBRANDT_FEATGEN_NO_LOCK"  # in the environment, which worker processes inherit


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
    temporary = temporary_beside(path)
    try:
        yield temporary
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    temporary.replace(path)


def keep_text(path: Path, text: str) -> None:
    """Writes a text in UTF-8, but where the file holds it already, as it may on a read-only disk."""
    content = text.encode()
    if not path.is_file() or path.read_bytes() != content:
        path.write_bytes(content)


@contextlib.contextmanager
def lock(path: Path, folder: Path) -> Iterator[OSError | None]:
    """Holds the lock file `path` for what works on `folder`; the system frees it however the process ends.

    Yields:
      None; or, where this process may write nothing beside `path`, as on a read-only disk, what the system said, for
      the body to raise once it has something to write. Nothing is held then: what is finished can be read without.

    Raises:
      BusyError: another process works on it, which the message names.
      InputError: the file system has no locks, or writes to new files alone, as that of an object store may.
    """
    if os.environ.get(_WITHOUT):
        yield None
        return
    refused: OSError | None = None
    try:
        opened = path.open("a+b", buffering=0)
    except OSError as error:
        if error.errno not in _REFUSED or os.access(path.parent, os.W_OK):
            raise
        refused = error
    if refused is not None:
        yield refused
        return
    with opened as file:
        _hold(file, path, folder)
        who = f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n"
        try:
            file.truncate(0)
            file.write(who.encode())
        except OSError as error:
            if error.errno not in _NEW_ALONE:
                raise
            raise InputError(
                f"{path}: the file system of this folder does not add to files that are there ({error.strerror}), as "
                "runs do; choose another --run_dir"
            ) from error
        yield None


def _hold(file: IO[bytes], path: Path, folder: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in _HELD:
                raise InputError(
                    f"{path}: the file system of this folder has no locks ({error.strerror}); make sure that no other "
                    "process works on it and give --no_lock, or choose another --run_dir"
                ) from error
            if time.monotonic() >= end:
                file.seek(0)
                who = " ".join(file.read(200).decode("utf-8", errors="replace").split())
                raise BusyError(
                    f"another process is at work on {folder}{f' ({who})' if who else ''}; wait for it or choose "
                    "another --run_dir"
                ) from error
        time.sleep(0.1)


@contextlib.contextmanager
def working_on(run_dir: Path) -> Iterator[None]:
    """Makes the folder of a run, and holds a lock of all of it for what runs several stages, as `lock` does.

    On a read-only disk it holds none: each stage that has something to write says so.
    """
    make_folder(run_dir, "--run_dir")
    with lock(run_dir / ".run.lock", run_dir):
        yield


@contextlib.contextmanager
def without_locks() -> Iterator[None]:
    """Locks nothing meanwhile, in this process and those that it starts."""
    before = os.environ.get(_WITHOUT)
    os.environ[_WITHOUT] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_WITHOUT]
        else:
            os.environ[_WITHOUT] = before
