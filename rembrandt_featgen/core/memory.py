"""Memory: what this process and those that it started take, the most of each stage, and the limit of --memory_limit.

A thread looks several times a second, once where there is no limit. Linux says it in /proc, other systems by `ps`. Of
this process all counts that is in memory; of those that it started all but files, such as libraries, which they share.
Pages that a fork shares with its parent, and shared memory, count for each process: rather too much than too little.

The limit is not the system's: RLIMIT_AS counts what TensorFlow reserves and never touches (3.9 GiB where 1.8 were in
memory), and RLIMIT_DATA less of that (2.5), so that either would end what fits, with a traceback from within a library.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rembrandt_featgen.core import endings, registry
from rembrandt_featgen.core.errors import InputError

GIB = 2**30
_UNITS = {"": GIB, "k": 2**10, "m": 2**20, "g": GIB, "t": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_PERIOD, _UNLIMITED_PERIOD = 0.2, 1.0  # seconds between two looks
_PROC = Path("/proc")
_KIB = 1024
_MOST = 2.0**60  # bytes that a limit may be
_SHOWN = 40  # letters of what is no size


@dataclasses.dataclass
class Peak:
    """The most memory that was seen during a stage.

    Attributes:
      name: of the stage.
      size: bytes, of this process and those that it started.
    """

    name: str
    size: int = 0


@dataclasses.dataclass
class _Watch:
    limit: int = 0
    given: bool = True  # by --memory_limit; else it is what there is
    end: Callable[[str], object] = lambda line: None
    started: bool = False


_watch, _stages = _Watch(), list[Peak]()


def parse(text: str, flag: str = "--memory_limit") -> int:
    """Bytes of a text such as 4GiB, 512MiB or 1.5g; a number alone is GiB, "" and 0 are no limit, which is 0.

    Raises:
      InputError: it is no size.
    """
    if not text.strip():
        return 0
    found = _SIZE.fullmatch(text.strip())
    size = float(found.group(1)) * _UNITS[found.group(2).lower()] if found else math.inf
    if size > _MOST:
        said = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        raise InputError(f"{flag}={said}: write a size such as 4GiB or 512MiB; a number alone is GiB, 0 no limit")
    return int(size)


def shown(size: float) -> str:
    """Bytes as people read them."""
    for unit, name in ((GIB, "GiB"), (2**20, "MiB")):
        if size >= 0.95 * unit:
            return f"{size / unit:.1f} {name}"
    return f"{size / 2**10:.0f} KiB"


def limit() -> int:
    """Bytes that this process and those that it starts may take together; 0 without a limit."""
    return _watch.limit if _watch.given else 0


def set_limit(size: int) -> None:
    """Has this process end in one line, its processes with it, should they take more than `size` bytes; 0: no limit.

    It says whose line it is on stderr and ends with status 1, at once, as a kill does: the same command resumes.

    Raises:
      InputError: this process takes as much before it has begun.
    """
    taken = sum(of_tree().values())
    if 0 < size <= taken:
        raise InputError(
            f"--memory_limit={shown(size)}: this program takes {shown(taken)} before it begins; give more than that"
        )
    _watch.limit, _watch.end = size, _end
    _start()


@contextlib.contextmanager
def at_most(size: int) -> Iterator[None]:
    """As `set_limit` of what there is, meanwhile; nothing where a limit was given, or the size is 0."""
    if _watch.limit or not size:
        yield
        return
    _watch.limit, _watch.given, _watch.end = size, False, _end
    _start()
    try:
        yield
    finally:
        _watch.limit, _watch.given = 0, True


@contextlib.contextmanager
def peak_of(name: str) -> Iterator[Peak]:
    """The most memory that is seen while a stage is at work, which the line of a limit names."""
    peak = Peak(name)
    _stages.append(peak)
    _start()
    try:
        yield peak
    finally:
        _look()
        _stages.remove(peak)


def of_tree() -> dict[int, int]:
    """Process to bytes that count, of this process, which is the first, and of those that it started."""
    return _of_proc() if (_PROC / "self" / "status").exists() else _of_ps()


def of_this_process(*, peak: bool = False) -> int:
    """Bytes of this process that are in memory, or the most that ever were; getrusage would count its parent's."""
    if (_PROC / "self" / "status").exists():
        return _size_of(os.getpid(), ("VmHWM" if peak else "VmRSS",))
    return _of_ps().get(os.getpid(), 0)


def available() -> int:
    """Bytes that this process could take more: by the system, its container, and --memory_limit; 0 if nobody says."""
    left = [_system_available(), *_container_available()]
    if _watch.limit:
        left.append(max(_watch.limit - sum(of_tree().values()), 1))
    return min((size for size in left if size), default=0)


def _system_available() -> int:
    with contextlib.suppress(OSError, StopIteration):
        lines = (_PROC / "meminfo").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * _KIB for line in lines if line.startswith("MemAvailable:"))
    with contextlib.suppress(ValueError, OSError):  # macOS does not say what is free: all that there is
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 0


def _container_available() -> Iterator[int]:
    """What control groups leave; files that the system keeps in memory are given back when it is needed."""
    for most, used, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        folder = Path("/sys/fs/cgroup")
        with contextlib.suppress(OSError, ValueError):
            size = int((folder / most).read_text(encoding="utf-8"))  # ValueError for "max"
            stat = ((folder / most).parent / "memory.stat").read_text(encoding="utf-8").splitlines()
            given_back = sum(int(line.split()[1]) for line in stat if line.split()[0] == cache)
            if size < 2**60:
                yield max(size - int((folder / used).read_text(encoding="utf-8")) + given_back, 1)


def _start() -> None:
    if not _watch.started:
        _watch.started = True
        threading.Thread(target=_look_for_ever, name="memory", daemon=True).start()


def _look_for_ever() -> None:
    while True:
        time.sleep(_PERIOD if _watch.limit else _UNLIMITED_PERIOD)
        with contextlib.suppress(OSError, ValueError):
            _look()


def _look() -> None:
    sizes = of_tree()
    total = sum(sizes.values())
    for peak in _stages:
        peak.size = max(peak.size, total)
    if 0 < _watch.limit < total:
        _watch.end(_over(total, of_others=total - sizes.get(os.getpid(), 0)))


def _over(total: int, *, of_others: int) -> str:
    """The line of a run that takes too much."""
    at = f", at {_stages[-1].name}" if _stages else ""
    whose = f", {shown(of_others)} of it in processes that it started" if 2 * of_others > total else ""
    less = "fewer --cv_workers or --workers, where there are several"
    if _stages:
        less = registry.LESS_MEMORY.get(_stages[-1].name, registry.LESS_ANYWHERE)
    if not _watch.given:
        return (
            f"{shown(total)} of memory are taken{at}{whose}, and {shown(_watch.limit)} are available here; take {less}"
        )
    return (
        f"--memory_limit={shown(_watch.limit)}: {shown(total)} are taken{at}{whose}; give more, or take {less}; the "
        "same command resumes"
    )


def _end(line: str) -> None:
    """Ends the processes that this one started, and this one, from whichever thread this is."""
    for process in of_tree():
        if process != os.getpid():
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
    endings.end_at_once(line)


def _of_proc() -> dict[int, int]:
    sizes = {os.getpid(): _size_of(os.getpid(), ("VmRSS",))}
    known = (_PROC / "thread-self" / "children").exists()
    for process in _below(_children_by_proc) if known else _descendants(_parents_by_proc()):
        with contextlib.suppress(OSError):
            sizes[process] = _size_of(process, ("RssAnon", "RssShmem"))
    return sizes


def _size_of(process: int, names: tuple[str, ...]) -> int:
    lines = (_PROC / str(process) / "status").read_text(encoding="utf-8", errors="replace").splitlines()
    return sum(int(line.split()[1]) * _KIB for line in lines if line.partition(":")[0] in names)


def _children_by_proc(process: int) -> list[int]:
    """What each thread of a process started, as most kernels say it; no other process is looked at."""
    children: list[int] = []
    with contextlib.suppress(OSError):
        for thread in (_PROC / str(process) / "task").iterdir():
            with contextlib.suppress(OSError):
                children += map(int, (thread / "children").read_text(encoding="utf-8").split())
    return children


def _parents_by_proc() -> dict[int, int]:
    """Process to its parent, of all processes."""
    parents = {}
    for entry in os.scandir(_PROC):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, ValueError, IndexError):
                stat = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    return parents


def _of_ps() -> dict[int, int]:
    """Of all processes what is in memory, shared or not: `ps` says no more."""
    listed = subprocess.run(["ps", "-axo", "pid=,ppid=,rss="], capture_output=True, text=True, check=False).stdout
    rows = [list(map(int, line.split())) for line in listed.splitlines()]
    sizes = {process: size * _KIB for process, _, size in rows}
    parents = {process: parent for process, parent, _ in rows}
    return {process: sizes.get(process, 0) for process in (os.getpid(), *_descendants(parents))}


def _descendants(parents: dict[int, int]) -> list[int]:
    """Processes that this one started, and those that they did."""
    children: dict[int, list[int]] = {}
    for process, parent in parents.items():
        children.setdefault(parent, []).append(process)
    return _below(lambda process: children.get(process, []))


def _below(children: Callable[[int], Sequence[int]]) -> list[int]:
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        below = [process for process in children(waiting.pop()) if process not in found]
        found += below
        waiting += below
    return found
