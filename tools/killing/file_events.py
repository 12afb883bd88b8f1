"""What happens to the files below a folder, as Linux tells it (inotify), in the order in which it happens."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import struct
from pathlib import Path
from typing import NamedTuple

_MODIFIED, _CLOSED, _MOVED_FROM, _MOVED_TO, _MADE, _DELETED = 0x2, 0x8, 0x40, 0x80, 0x100, 0x200
_ALL = _MODIFIED | _CLOSED | _MOVED_FROM | _MOVED_TO | _MADE | _DELETED
_KINDS = {
    _MODIFIED: "written to",
    _CLOSED: "closed",
    _MOVED_FROM: "moved away",
    _MOVED_TO: "moved here",
    _MADE: "made",
    _DELETED: "deleted",
}
_IS_FOLDER = 0x40000000
_HEAD = struct.Struct("iIII")  # of struct inotify_event
_NONBLOCK = 0o4000


class Event(NamedTuple):
    """Something that happened to a file or folder.

    Attributes:
      kind: one of "made", "written to", "closed", "moved away", "moved here", "deleted".
      path: relative to the folder that is watched.
    """

    kind: str
    path: Path


class Watch:
    """Watches a folder and all that are made in it; of one made meanwhile, what is in it already is said to be made."""

    def __init__(self, folder: Path):
        self._folder, self._libc = folder, ctypes.CDLL(None, use_errno=True)
        self._inotify = self._libc.inotify_init1(_NONBLOCK)
        if self._inotify < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._folders: dict[int, Path] = {}
        self._add(folder)

    def close(self) -> None:
        """Ends watching."""
        os.close(self._inotify)

    def events(self, seconds: float) -> list[Event]:
        """What happened since the last call; waits for something at most so long."""
        ready, _, _ = select.select([self._inotify], [], [], max(seconds, 0.0))
        if not ready:
            return []
        found, data, start = [], os.read(self._inotify, 1 << 16), 0
        while start < len(data):
            number, mask, _, length = _HEAD.unpack_from(data, start)
            name = data[start + _HEAD.size :][:length].rstrip(b"\0")
            start += _HEAD.size + length
            folder = self._folders.get(number)
            kind = next((word for bit, word in _KINDS.items() if mask & bit), "")
            if folder is None or not kind or not name:
                continue
            path = folder / os.fsdecode(name)
            found.append(Event(kind, path.relative_to(self._folder)))
            if mask & _IS_FOLDER and kind in ("made", "moved here"):
                found += self._add(path)
        return found

    def _add(self, folder: Path) -> list[Event]:
        """Watches a folder; what is in it."""
        number = self._libc.inotify_add_watch(self._inotify, os.fsencode(folder), _ALL)
        if number < 0:  # it has gone again
            return []
        self._folders[number] = folder
        found = []
        with contextlib.suppress(OSError):
            for path in sorted(folder.iterdir()):
                found.append(Event("made", path.relative_to(self._folder)))
                if path.is_dir() and not path.is_symlink():
                    found += self._add(path)
        return found
