"""The one exception that a user is meant to read."""

from __future__ import annotations

import re

from rembrandt_featgen.core import withheld


class InputError(ValueError):
    """Something that the user gave cannot be used.

    The message is one line: it quotes what was received, names the file and the flag, and gives the fix. `cli.main`
    prints it without a traceback and exits with status 1. Names that are withheld (`withheld`) are not in it.
    """

    def __init__(self, message: str = ""):
        super().__init__(withheld.said(message))


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
