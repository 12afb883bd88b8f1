"""Flagfiles: text files in UTF-8 with one flag on a line, which may include others by --flagfile."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rembrandt_featgen.core import paths
from rembrandt_featgen.core.errors import InputError

_COMMENTS = ("#", "//")
_MOST_FILES = 1000  # that include each other: ten that include each other ten times would be read for years


def lines_of(given: str, *, inside: Sequence[Path] = (), read: list[Path] | None = None) -> Iterator[str]:
    """The flags of a flagfile, those of the files that it includes in their place; none within itself.

    absl would decode it as the locale says, which is not UTF-8 everywhere.

    Args:
      given: the path, from the current folder; `~` is the user's home.
      inside: the files that include it.
      read: all that were read before it, to which it is added.

    Raises:
      InputError: no such file, no text in UTF-8, or files that include each other again and again.
    """
    path = Path(paths.expanded(given))
    if not given or not paths.is_file(path):
        raise InputError(f"--flagfile={given}: there is no such file")
    if any(path.samefile(other) for other in inside):
        return
    read = [] if read is None else read
    read.append(path)
    if len(read) > _MOST_FILES:
        raise InputError(
            f"--flagfile={given} is one of more than {_MOST_FILES} files that include each other; include each once"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"--flagfile={given} is not a text file in UTF-8 ({error}); write it as UTF-8, one flag on a line"
        ) from error
    except OSError as error:
        raise InputError(
            f"--flagfile={given} cannot be read ({os.strerror(error.errno or 0)}); choose one that you may read"
        ) from error
    for line in map(str.strip, text.split("\n")):
        if not line or line.startswith(_COMMENTS):
            continue
        name, equals, value = line.partition("=")
        if name.lstrip("-") == "flagfile" and line.startswith("-"):
            if not equals:
                raise InputError(f"--flagfile={given}: {line!r} names no file; write --flagfile=FILE")
            yield from lines_of(value.strip(), inside=[*inside, path], read=read)
        else:
            yield line
