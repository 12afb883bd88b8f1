"""A target of the fuzzer: a reader of this program, valid small files for it, and how these are damaged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

_BETWEEN = b"\n=====\n"  # parts of an input that become files of their own


@dataclasses.dataclass(frozen=True)
class Target:
    """A target.

    Attributes:
      name: for --target.
      read: writes an input into an empty folder, as one file or several, and has a public reader read it.
      seeds: makes valid inputs, of some hundred bytes each.
      code: files of the package whose lines are counted as reached, "room/{file,file}".
      alone: whether it needs a process that was not forked, as TensorFlow's readers do.
      shape, fields, tokens: as `mutations.damaged` has them.
    """

    name: str
    read: Callable[[bytes, Path], None]
    seeds: Callable[[], list[bytes]]
    code: str
    shape: str = "binary"
    fields: tuple[tuple[int, str], ...] = ()
    tokens: tuple[bytes, ...] = ()
    alone: bool = False

    @property
    def files(self) -> list[str]:
        """Files of `code`, from the package's folder."""
        found = []
        for part in self.code.split():
            room, _, names = part.partition("/")
            found += [f"{room}/{name}.py" for name in names.strip("{}").split(",")]
        return found


def joined(*parts: bytes) -> bytes:
    """Several files as one input."""
    return _BETWEEN.join(parts)


def parted(data: bytes) -> list[bytes]:
    """The files of an input."""
    return data.split(_BETWEEN)
