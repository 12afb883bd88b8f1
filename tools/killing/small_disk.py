"""A file system in memory that is full after some KiB, and grows (Linux, as root)."""

from __future__ import annotations

import subprocess
from pathlib import Path


class SmallDisk:
    """Mounts one on a folder.

    Args:
      folder: that is there, and empty.
      kib: at first, and by which it grows.
    """

    def __init__(self, folder: Path, kib: int):
        self._folder, self._step, self.kib = folder, kib, kib
        self._mount()

    def grow(self) -> None:
        """Makes it larger by a step."""
        self.kib += self._step
        self._mount("remount,")

    def unmount(self) -> None:
        """Takes it away, with all that is in it."""
        subprocess.run(["umount", "--lazy", self._folder], check=True)

    def _mount(self, how: str = "") -> None:
        size = f"{how}size={self.kib}k,nr_inodes=0"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", self._folder], check=True)


def one_line(said: str) -> bool:
    """Whether a command that met a full disk ended as it should: in one line that says so, the last one."""
    last = said.rstrip().splitlines()[-1:]
    return "Traceback" not in said and bool(last) and last[0].startswith("error: ") and "No space left" in last[0]
