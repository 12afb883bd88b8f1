"""What the operating system refuses, in one line that names the file, the flag and the fix."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from rembrandt_featgen.core.errors import InputError

_AGAIN = "and run the same command again, which keeps what is finished"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_DRIVE = (errno.EIO, errno.ESTALE, errno.ENXIO, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH)
_FILES = (errno.EMFILE, errno.ENFILE)
_AT_WORK = ".part"  # of the folder of a stage that is not finished
_FIXES: dict[int, str] = {
    **dict.fromkeys(_FULL, f"free some of the disk, or move to a larger one, {_AGAIN}"),
    errno.EFBIG: f"take a disk that may hold larger files (ulimit -f says what you may write), {_AGAIN}",
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS),
        f"choose a place that you may read and write, or change that, {_AGAIN}",
    ),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR), f"put it back or correct the flag, {_AGAIN}"),
    errno.EISDIR: "it is a folder; name a file",
    **dict.fromkeys((errno.ENOTEMPTY, errno.EBUSY), f"see which other program has files of it open, {_AGAIN}"),
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EINVAL: "this file system takes no such name (some take no : ? * < > |, nor a dot at the end); take another",
    errno.EEXIST: "this file system puts no file in the place of another, as runs do; choose a folder on another one",
    **dict.fromkeys(
        (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP),
        "this file system cannot do that; choose a folder on another one",
    ),
    errno.ELOOP: "its links lead back to themselves; name what they should lead to",
    **dict.fromkeys(_FILES, f"allow more open files (ulimit -n 4096), {_AGAIN}"),
    **dict.fromkeys(
        _DRIVE,
        f"see whether the disk or network drive works, {_AGAIN}",
    ),
}
_OF_ARROW = re.compile(r"Failed to open local file '(.+)'\. Detail: ", re.DOTALL)
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
            flag, value = _flag_of(file, flags)
            notes, fix = [f"--{flag}={value}"] if flag else [], _FIXES[number]
            if number in _FULL:
                notes += _free(file or value) if number == errno.ENOSPC else []
                file, fix = _as_known(file, value, fix)
            where, said = f"{file}: " if file else "", f" ({', '.join(notes)})" if notes else ""
            return InputError(f"{where}{os.strerror(number)}{said}; {fix}")
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
    if isinstance(error, shutil.Error):
        return _cause_of_copies(error)
    if isinstance(error, OSError):
        if error.errno is None and re.search(r"\d+ requested and \d+ written", str(error)):
            return errno.ENOSPC, ""  # of ndarray.tofile, which does not say why
        of_arrow = _OF_ARROW.search(str(error))
        file = error.filename or error.filename2 or (of_arrow[1] if of_arrow else "")
        is_known = error.errno in _FIXES
        if error.errno in (errno.EINVAL, errno.EEXIST):  # else a defect: of the name, and of renaming alone
            is_known = bool(file if error.errno == errno.EINVAL else error.filename2)
        number = error.errno if is_known else None
        return number, os.fsdecode(file) if isinstance(file, (str, bytes)) else ""
    if type(error).__module__.startswith("tensorflow."):
        from rembrandt_featgen.core import paths  # which imports this module

        found = re.search(rf"(\S[^;\n]*); ({'|'.join(map(re.escape, _TEXTS))})", str(error))
        if found:
            return _TEXTS[found[2]], paths.meant(found[1].rpartition("}} ")[2])  # behind the name of the operation
    return None, ""


def _cause_of_copies(error: shutil.Error) -> tuple[int | None, str]:
    """As `_cause`, of the first file of a folder that could not be copied, whose error is kept as a text alone."""
    for source, copy, text in error.args[0] if isinstance(error.args[0], list) else ():
        found = re.match(r"\[Errno (\d+)\] ", str(text))
        number = int(found[1]) if found else None
        if number in _FIXES:
            return number, os.fsdecode(copy if number in _FULL else source)
    return None, ""


def _free(path: str) -> list[str]:
    """What is left of the disk that a path is on, in words; none where nothing is known of it."""
    from rembrandt_featgen.core import memory  # which imports what imports this module

    folder = Path(os.path.abspath(path))  # noqa: PTH100 links are not to be followed
    if not path:
        return []
    with contextlib.suppress(OSError):
        found = os.statvfs(next(one for one in (folder, *folder.parents) if one.exists()))
        if found.f_files and not found.f_favail:
            return ["it takes no more files"]
        free, size = (memory.shown(count * found.f_frsize) for count in (found.f_bavail, found.f_blocks))
        return [f"{free} of {size} free"]
    return []


def _as_known(file: str, above: str, fix: str) -> tuple[str, str]:
    """A file by a name that its user can know, and the fix.

    Args:
      file: that could not be written; "" where it is not known.
      above: the path of the flag below which it is; "" for none.
      fix: of any file.

    Returns:
      The folder that a stage will have once it is finished, in place of a file of it; the system's folder of
      temporary files in place of one of them, and how to name another one; any other file as it is.
    """
    if above and file:
        inner = Path(os.path.relpath(file, above))
        for part in (*reversed(inner.parents), inner):
            if part.name.endswith(_AT_WORK):
                return str(Path(above) / part.with_name(part.name.removesuffix(_AT_WORK))), fix
        return file, fix
    with contextlib.suppress(OSError):  # where there is none that can be written to
        home = tempfile.gettempdir()
        if file.startswith(home + os.sep):
            return (
                home,
                f"free some of the disk, or name a folder of another one by TMPDIR in the environment, {_AGAIN}",
            )
    return file, fix


def _flag_of(file: str, flags: Mapping[str, str]) -> tuple[str, str]:
    """Name and value of the flag below whose path a file is; of no known file the run's folder; "" for none."""
    path = os.path.abspath(file)  # noqa: PTH100 links are not to be followed
    given = {name: os.path.abspath(value) for name, value in flags.items() if value}  # noqa: PTH100
    above = [name for name, value in given.items() if not file or path == value or path.startswith(value + os.sep)]
    name = max(above, key=lambda one: len(given[one])) if file and above else "run_dir" if "run_dir" in given else ""
    return (name, flags[name]) if name and (above or not file) else ("", "")
