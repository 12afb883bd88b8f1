"""Paths as users give them: with `~`, with names that are long, and folders that are links."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

_LONGEST = 200  # bytes of a name that a temporary file may lengthen: file systems take 255, some (eCryptfs) 143


def expanded(path: str) -> str:
    """A path whose `~` or `~user` at its beginning is that user's home; `~name` of no user is a name like any other."""
    return os.path.expanduser(path) if path.startswith("~") else path  # noqa: PTH111 pathlib refuses unknown users


def temporary_beside(path: Path) -> Path:
    """A hidden file beside `path` to write to before it is renamed; the same for the same path.

    A name that is too long to be lengthened gets a short one, of its digest.
    """
    name = path.name
    if len(os.fsencode(name)) > _LONGEST - 10:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return path.with_name(f".{name}.tmp")


def remove_folder(path: Path) -> None:
    """Deletes a folder with all that is in it; of a link to a folder, the link alone. No such folder is fine."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
