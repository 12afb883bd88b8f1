"""JSON that is written whole or not at all, of what Python and numpy hold; journals of work that may be killed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from rembrandt_featgen.core import folders, system_errors
from rembrandt_featgen.core.errors import InputError


def plain(value):
    """Numbers, lists and dictionaries that JSON can hold: arrays become lists, NaN and infinities None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):  # a numpy scalar or array
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def write_json(path: Path, value) -> None:
    """Writes JSON whole or not at all."""
    text = json.dumps(plain(value), indent=2, allow_nan=False) + "\n"
    with folders.whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def parse(text: str | bytes):
    """The value of JSON text; ValueError where it is damaged, or nested deeper than any that people write."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_json(path: Path, *, fix: str = ""):
    """Reads JSON; InputError when it is missing or damaged, and OSError when its drive fails.

    Args:
      path: of the file.
      fix: what the message tells the user to do; by default what helps with a file of this run.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        system_errors.raise_of_drive(error)
        raise InputError(
            f"{path} is missing or damaged ({' '.join(str(error).split())}); "
            + (fix or f"delete the folder {path.parent} if this program made it, or choose another --run_dir")
        ) from error


def resume_journal(path: Path) -> list:
    """The rows of a journal, a line of JSON each; what a kill left of a line is taken out of the file.

    Args:
      path: of `append_row`; no such file is a journal without rows, which is made.

    Raises:
      InputError: a line is damaged otherwise.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        lines = text.split("\n")[:-1]
        rows = [parse(line) for line in lines]
    except (OSError, ValueError) as error:
        system_errors.raise_of_drive(error)
        raise InputError(f"{path} is damaged ({' '.join(str(error).split())}); delete it to begin anew") from error
    whole = "".join(f"{line}\n" for line in lines)
    if whole != text or not path.exists():
        with folders.whole(path) as temporary:  # a kill must not lose the lines that are whole
            temporary.write_text(whole, encoding="utf-8")
    return rows


def append_row(journal: TextIO, row) -> None:
    """Adds a row, in which numbers may be NaN, to a journal that is open to append."""
    journal.write(f"{json.dumps(row)}\n")
    journal.flush()
