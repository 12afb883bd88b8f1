"""Folders that get another name, also those of an overlay's lower layer, as of a container's image.

The system renames no such folder (EXDEV), whose files could never be moved all at once. It is copied then, and the copy
takes its place before that is renamed; what a kill leaves of this is ended by `end_copies`.
"""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from rembrandt_featgen.core.paths import remove_folder


def rename(folder: Path, target: Path) -> None:
    """Renames a folder to a name beside it that is free."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copying = _copying(folder)
        remove_folder(copying)
        shutil.copytree(folder, copying, symlinks=True)
        copying.rename(_copied(folder))
        end_copies(folder)
        folder.rename(target)


def end_copies(folder: Path) -> None:
    """Has a whole copy take the place of its folder, and deletes one that is not whole, as a kill may leave either."""
    remove_folder(_copying(folder))
    copied = _copied(folder)
    if copied.exists():
        remove_folder(folder)
        copied.rename(folder)


def _copying(folder: Path) -> Path:
    return folder.with_name(f".{folder.name.lstrip('.')}.copying")


def _copied(folder: Path) -> Path:
    return folder.with_name(f".{folder.name.lstrip('.')}.copied")
