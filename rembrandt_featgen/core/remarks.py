"""What is logged while something is done: kept for a page that says it as well, or nothing but errors."""

from __future__ import annotations

import contextlib
import logging as standard
from collections.abc import Iterator

from absl import logging


class Remarks(standard.Handler):
    """Keeps what is logged.

    Attributes:
      warnings, notes: warnings, and what is said besides, in order, each line once.
    """

    def __init__(self):
        super().__init__()
        self.warnings: list[str] = []
        self.notes: list[str] = []

    def emit(self, record: standard.LogRecord) -> None:
        """Keeps a line; called by the logger."""
        lines, line = self.warnings if record.levelno >= standard.WARNING else self.notes, record.getMessage()
        if line not in lines:
            lines.append(line)


@contextlib.contextmanager
def kept() -> Iterator[Remarks]:
    """What absl logs within, which it logs all the same; below the level at which it is silent, nothing."""
    logger, remarks = logging.get_absl_logger(), Remarks()
    logger.addHandler(remarks)
    try:
        yield remarks
    finally:
        logger.removeHandler(remarks)


@contextlib.contextmanager
def errors_alone() -> Iterator[None]:
    """Only errors are logged within, as where TensorFlow logs each file that it writes; afterwards what was before."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)
