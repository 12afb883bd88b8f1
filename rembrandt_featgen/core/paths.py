"""Paths as users give them: with `~`, with names that are long, and folders that are links."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from rembrandt_featgen.core import system_errors
from rembrandt_featgen.core.errors import InputError

WILD = frozenset("*?[\\")  # TensorFlow takes paths with these for patterns of many paths, and finds none
_LINKS: dict[Path, tuple[tempfile.TemporaryDirectory, Path]] = {}  # of this process, which go when it ends
_LONGEST = 200  # bytes of a name that a temporary file may lengthen: file systems take 255, some (eCryptfs) 143


def expanded(path: str) -> str:
    """A path whose `~` or `~user` at its beginning is that user's home; `~name` of no user is a name like any other."""
    if not path.startswith("~") or "\0" in path:
        return path
    return os.path.expanduser(path)  # noqa: PTH111 pathlib refuses unknown users


def is_file(path: Path) -> bool:
    """Whether there is such a file; not where no file can be called so, with a name too long or a null character."""
    try:
        return path.is_file()
    except (OSError, ValueError) as error:
        system_errors.raise_of_drive(error)
        return False


def temporary_beside(path: Path) -> Path:
    """A hidden file beside `path` to write to before it is renamed; the same for the same path.

    A name that is too long to be lengthened gets a short one, of its digest.
    """
    name = path.name
    if len(os.fsencode(name)) > _LONGEST - 10:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return path.with_name(f".{name}.tmp")


def literal(folder: Path) -> Path:
    """A path of a folder that TensorFlow takes for no pattern: where it would, one of a link, which the process keeps.

    Raises:
      InputError: there is no place for links whose own name is none.
    """
    absolute = Path(os.path.abspath(folder))  # noqa: PTH100 links are not to be followed
    if not WILD & set(str(absolute)):
        return folder
    if absolute not in _LINKS:
        places = [place for place in (tempfile.gettempdir(), "/tmp", "/var/tmp") if not WILD & set(place)]
        try:
            home = tempfile.TemporaryDirectory(prefix="rembrandt_featgen_", dir=places[0] if places else None)
            link = Path(home.name) / "folder"
            link.symlink_to(absolute, target_is_directory=True)
        except OSError as error:
            raise InputError(
                f"{folder}: TensorFlow cannot read a folder whose name has *, ?, [ or \\, and no link can be made in "
                f"{places[0] if places else tempfile.gettempdir()} ({error.strerror}); rename the folder"
            ) from error
        _LINKS[absolute] = (home, link)
    return _LINKS[absolute][1]


def meant(path: str) -> str:
    """The path that one of `literal`'s links stands for, as users know it; any other as it is."""
    for absolute, (_, link) in _LINKS.items():
        if path == str(link) or path.startswith(f"{link}{os.sep}"):
            return str(absolute) + path[len(str(link)) :]
    return path


def remove_folder(path: Path) -> None:
    """Deletes a folder with all that is in it; of a link to a folder, the link alone. No such folder is fine."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
