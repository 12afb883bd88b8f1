"""What the operating system refuses, in one line that names the file, the flag and the fix."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from rembrandt_featgen.core.errors import InputError

_AGAIN = "and run the same command again, which keeps what is finished"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_DRIVE = (errno.EIO, errno.ESTALE, errno.ENXIO, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH)
_FILES = (errno.EMFILE, errno.ENFILE)
_FIXES: dict[int, str] = {
    **dict.fromkeys(_FULL, f"free some of the disk, {_AGAIN}"),
    errno.EFBIG: f"take a disk that may hold larger files (ulimit -f says what you may write), {_AGAIN}",
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS),
        f"choose a place that you may read and write, or change that, {_AGAIN}",
    ),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR), f"put it back or correct the flag, {_AGAIN}"),
    errno.EISDIR: "it is a folder; name a file",
    **dict.fromkeys((errno.ENOTEMPTY, errno.EBUSY), f"see which other program has files of it open, {_AGAIN}"),
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "its links lead back to themselves; name what they should lead to",
    **dict.fromkeys(_FILES, f"allow more open files (ulimit -n 4096), {_AGAIN}"),
    **dict.fromkeys(
        _DRIVE,
        f"see whether the disk or network drive works, {_AGAIN}",
    ),
}
_TEXTS = {os.strerror(number): number for number in _FIXES}


def readable(error: BaseException, flags: Mapping[str, str]) -> InputError | None:
    """The InputError to say in place of what came of the operating system; None for any other error.

    Args:
      error: an OSError, or TensorFlow's of such a cause; or any error on the way out of a disk that is full, as
        numpy's archives raise others when they are closed.
      flags: name to value of those that are paths, to say which one to change.
    """
    for one in _chain(error):
        number, file = _cause(one)
        if number is not None and (one is error or number in _FULL):
            where = f"{file}: " if file else ""
            given = _flag_of(file, flags)
            return InputError(f"{where}{os.strerror(number)}{f' ({given})' if given else ''}; {_FIXES[number]}")
    return None


@contextlib.contextmanager
def said(flags: Mapping[str, str]) -> Iterator[None]:
    """Raises what is `readable` as such, for another process to say: what an error came of does not reach it."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        found = readable(error, flags)
        if found is None:
            raise
        raise found from error


def raise_of_drive(error: BaseException) -> None:
    """Raises an error again that says nothing of its file, which is there and whole as far as is known.

    The drive or the network failed, or too many files are open. Who takes errors of reading for a damaged file, and
    says to delete it, or does its work anew, asks this first.
    """
    number, _ = _cause(error)
    if number in (*_DRIVE, *_FILES):
        raise error


def check_drive(*files: Path) -> None:
    """OSError where files cannot be read to their ends, for libraries that do not say why they could not.

    Raises:
      OSError: as `raise_of_drive` does.
    """
    for path in files:
        try:
            with path.open("rb", buffering=0) as file:
                while file.read(2**20):
                    pass
        except OSError as error:
            raise_of_drive(error)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _cause(error: BaseException) -> tuple[int | None, str]:
    """Number of the error of the system and the file, "" where it is not known."""
    if isinstance(error, OSError):
        if error.errno is None and re.search(r"\d+ requested and \d+ written", str(error)):
            return errno.ENOSPC, ""  # of ndarray.tofile, which does not say why
        file = error.filename or error.filename2 or ""
        number = error.errno if error.errno in _FIXES else None
        return number, os.fsdecode(file) if isinstance(file, (str, bytes)) else ""
    if type(error).__module__.startswith("tensorflow."):
        found = re.search(rf"(\S[^;\n]*); ({'|'.join(map(re.escape, _TEXTS))})", str(error))
        if found:
            return _TEXTS[found[2]], found[1].rpartition("}} ")[2]  # behind the name of the operation
    return None, ""


def _flag_of(file: str, flags: Mapping[str, str]) -> str:
    """The flag below whose path the file is, as given; of no known file the run's folder; "" where there is none."""
    path = os.path.abspath(file)  # noqa: PTH100 links are not to be followed
    given = {name: os.path.abspath(value) for name, value in flags.items() if value}  # noqa: PTH100
    above = [name for name, value in given.items() if not file or path == value or path.startswith(value + os.sep)]
    name = max(above, key=lambda one: len(given[one])) if file and above else "run_dir" if "run_dir" in given else ""
    return f"--{name}={flags[name]}" if name and (above or not file) else ""
