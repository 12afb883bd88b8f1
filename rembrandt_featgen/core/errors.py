"""The one exception that a user is meant to read."""

from __future__ import annotations

import re

from rembrandt_featgen.core import withheld

_WORD, _HALF = 600, 1400  # characters of a word, such as a path, and of the beginning and the end of a message


class InputError(ValueError):
    """Something that the user gave cannot be used.

    The message is one line: it quotes what was received, names the file and the flag, and gives the fix. `cli.main`
    prints it without a traceback and exits with status 1. Names that are withheld (`withheld`) are not in it, and what
    it quotes of a file, which may be of any length, is cut.
    """

    def __init__(self, message: str = ""):
        super().__init__(_cut(withheld.said(message)))


def _cut(message: str) -> str:
    """A message that a terminal can show: its beginning, which says what is wrong, and its end, which says the fix."""
    plain = re.sub(rf"\S{{{_WORD + 1},}}", lambda found: f"{found[0][:_WORD]}...", message)
    return plain if len(plain) <= 2 * _HALF else f"{plain[:_HALF]} ... {plain[-_HALF:]}"


class SettingsError(InputError):
    """A stage's folder was made by other settings than those that are given now."""


class BusyError(InputError):
    """Another process is at work on a folder."""


def carried_by(error: Exception) -> InputError | None:
    """The InputError that `error` is or, as text in brackets, carries: only text comes out of TensorFlow's graph."""
    if isinstance(error, InputError):
        return error
    # The brackets end where the line does, or TensorFlow's own begin: paths may have some, too.
    ends = (r"\](?:\s*\[(?:Op:|\[)[^\n]*)?$", r"\](?=\s|$)")
    tried = (re.search(rf"\[InputError: (.+?){end}", str(error), re.MULTILINE) for end in ends)
    found = next(filter(None, tried), None)
    return InputError(re.sub(r"\\([\\'\"])", r"\1", found.group(1))) if found else None  # as TensorFlow escapes text
