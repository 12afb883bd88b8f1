"""Flags of every binary: how it runs, on which no result depends but for the last bits by threads."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rembrandt_featgen.core import folders, memory, thread_counts

ESTIMATE_ONLY = "estimate_only"
HELP = {
    "no_lock": (
        "true|false",
        "Do not lock the folders that are written, on a file system that has no locks; see to it yourself that no two "
        "processes work on one folder.",
        "default: False",
    ),
    "threads": (
        "INTEGER",
        "Threads that TensorFlow, tf.data and the libraries of numpy compute with, of all processes together, of which "
        "each has one at least; the last bits of results depend on it. 0: what the environment says "
        "(TF_NUM_INTRAOP_THREADS, OMP_NUM_THREADS), else all cores.",
        "default: 0; at least 0",
    ),
    "memory_limit": (
        "TEXT",
        "Memory that this program and all processes that it starts may take together, such as 4GiB; one that takes "
        "more is ended with one line, and resumes when it is given more. A number alone is GiB.",
        "optional",
    ),
    ESTIMATE_ONLY: (
        "true|false",
        "Measure a few steps of each stage with these settings on these data, print samples, disk, memory and time of "
        "each, and what the study could find, and write nothing into --run_dir.",
        "default: False",
    ),
}


class Common(NamedTuple):
    """Values of these flags; `estimate_only` is of the binaries that can."""

    no_lock: bool
    threads: int
    memory_limit: int
    estimate_only: bool


def names(can_estimate: bool) -> list[str]:
    """Of the flags that a binary has."""
    return [name for name in HELP if can_estimate or name != ESTIMATE_ONLY]


def read(given: Mapping[str, Any]) -> Common:
    """What was given, by name; InputError for a --memory_limit that is no size."""
    size = memory.parse(given["memory_limit"])
    return Common(
        no_lock=given["no_lock"],
        threads=given["threads"],
        memory_limit=size,
        estimate_only=given.get(ESTIMATE_ONLY, False),
    )


@contextlib.contextmanager
def applied(common: Common) -> Iterator[None]:
    """Runs by them; threads and limit hold for the rest of the process.

    Raises:
      InputError: the process takes as much as --memory_limit before it has begun.
    """
    if common.threads:
        thread_counts.use(common.threads)
    if common.memory_limit:
        memory.set_limit(common.memory_limit)
    with folders.without_locks() if common.no_lock else contextlib.nullcontext():
        yield


def help_lines(can_estimate: bool) -> list[str]:
    """What `--help` says of them."""
    lines = []
    for name in names(can_estimate):
        kind, text, notes = HELP[name]
        lines += [
            f"  --{name}={kind}",
            *textwrap.wrap(f"{text} ({notes})", 100, initial_indent=" " * 6, subsequent_indent=" " * 6),
        ]
    return lines
