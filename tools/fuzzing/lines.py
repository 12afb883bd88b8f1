"""Which lines of which files a call reaches, by sys.settrace."""

from __future__ import annotations

import contextlib
import shutil
import sys
import types
from collections.abc import Collection, Iterator
from pathlib import Path

from absl import logging

from fuzzing import limits, session
from fuzzing.target import Target

_ROOT = Path(__file__).resolve().parents[2] / "rembrandt_featgen"


class Lines:
    """Counts lines.

    Args:
      files: from the package's folder.
    """

    def __init__(self, files: Collection[str]):
        self.files = {str(_ROOT / file) for file in files if (_ROOT / file).is_file()}
        self.reached: set[tuple[str, int]] = set()

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Notes the lines that the body reaches."""
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(before)

    def _call(self, frame, event, argument):
        return self._line if frame.f_code.co_filename in self.files else None

    def _line(self, frame, event, argument):
        if event == "line":
            self.reached.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line

    @property
    def all(self) -> set[tuple[str, int]]:
        """The lines within functions, which a call can reach."""
        found = set()
        for file in self.files:
            stack = [compile(Path(file).read_text(encoding="utf-8"), file, "exec")]
            while stack:
                code = stack.pop()
                inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
                stack += inner
                if code.co_flags & 0x2:  # CO_NEWLOCALS: a function; a class body has a name of its own in co_names
                    first = code.co_firstlineno
                    found |= {(file, line) for _, _, line in code.co_lines() if line and line != first}
        return found


def measure(target: Target, out: Path) -> dict[str, int]:
    """Lines of a target's files that its valid inputs reach, that all kept ones do, and how many there are."""
    logging.set_verbosity(logging.FATAL)
    kept = [path.read_bytes() for path in sorted((out / "corpus").iterdir())]
    counter, counts, folder = Lines(target.files), {}, session.scratch()
    for name, inputs in (("seeds", target.seeds()), ("corpus", kept)):
        for data in inputs:
            with counter.counted(), contextlib.suppress(Exception, limits.Hang), limits.seconds():
                target.read(data, folder)
            shutil.rmtree(folder)
            folder.mkdir()
        counts[name] = len(counter.reached & counter.all)
    shutil.rmtree(folder)
    return {**counts, "lines": len(counter.all)}
