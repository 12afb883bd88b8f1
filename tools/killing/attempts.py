"""One try to run a command, in a process that is forked from this one, and the moment at which it is killed."""

from __future__ import annotations

import collections
import contextlib
import ctypes
import dataclasses
import importlib
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np

from killing import works
from killing.file_events import Event, Watch
from killing.works import Command
from rembrandt_featgen.nn import checkpointing

_LAST = 6  # events, the one on the stage's record the first, among which a kill at the end of a stage falls
_RECORDS = (".stage.json.tmp", ".manifest.csv.tmp")  # what is written last
_WAIT = 0.05
MODES = ("event", "moment", "end", "start")
_SHARES = (0.45, 0.3, 0.2, 0.05)  # of the modes


@dataclasses.dataclass
class Extent:
    """How long a stage takes in an unbroken run.

    Attributes:
      seconds: from its first event to that of the next stage.
      events: on its files.
    """

    seconds: float = 0.0
    events: int = 0


@dataclasses.dataclass(frozen=True)
class Plan:
    """When a process is to be killed, once its stage is the one that is drawn for.

    Attributes:
      mode: "event": right after the event of a number; "moment": after seconds; "end": at an event from the writing of
        the stage's record on; "start": seconds after the process began.
      seconds: of "moment" and "start".
      events: of the others.
      alone: whether the process is killed without those that it started.
    """

    mode: str
    seconds: float = 0.0
    events: int = 0
    alone: bool = False


@dataclasses.dataclass
class Ended:
    """How an attempt ended.

    Attributes:
      status: its exit status, negative of a signal.
      killed: by this tool.
      stage: at work at the kill.
      mode: of the plan.
      after: what had just happened to which file.
      seconds: that it ran.
      extents: what each stage took; of an attempt that was not killed.
    """

    status: int
    killed: bool = False
    stage: str = ""
    mode: str = ""
    after: str = ""
    seconds: float = 0.0
    extents: dict[str, Extent] = dataclasses.field(default_factory=dict)


def start(command: Command, argv: list[str], log: Path) -> int:
    """Forks a process that runs a command as `python -m` would; its id, which is that of its group, too.

    Args:
      command: whose module this process has imported, without having TensorFlow compute anything.
      argv: its command line without the program.
      log: what it says is added to this file.
    """
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it goes with this tool
        with log.open("a", encoding="utf-8") as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
        with Path(os.devnull).open(encoding="utf-8") as nothing:
            os.dup2(nothing.fileno(), 0)
        module = importlib.import_module(command.module)
        checkpointing.SAVE_SECONDS = 0.0  # after each epoch, however short: kills fall between them
        sys.modules["__main__"] = module  # for processes that it spawns
        sys.argv = [str(module.__file__), *argv]
        module.main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


class Attempt:
    """Watches a command until it ends, or until it is killed by a plan for the stage at work.

    Args:
      command: of the work.
      argv: as for `start`.
      run: the folder that is watched, of all runs of the work.
      log: as for `start`.
    """

    def __init__(self, command: Command, argv: list[str], *, run: Path, log: Path):
        self._command, self._run = command, run
        self._watch = Watch(run)
        self._begun = time.monotonic()
        self._process = start(command, argv, log)
        self._stage, self._plan = works.START, Plan("")
        self._since, self._events, self._recorded = self._begun, 0, 0
        self._extents: dict[str, Extent] = collections.defaultdict(Extent)

    def run(self, plan_of) -> Ended:
        """Until it ends.

        Args:
          plan_of: from the name of a stage to its `Plan`, or None, whenever another stage is at work.
        """
        try:
            self._plan = plan_of(works.START) or Plan("")
            while True:
                found = os.waitid(os.P_PID, self._process, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if found is not None:
                    break
                for event in [*self._watch.events(self._wait()), None]:
                    if event is not None:
                        self._note(event, plan_of)
                    if self._is_due():
                        return self._kill(event)
            for event in self._watch.events(0.0):
                self._note(event, lambda _: None)
            _, status = os.waitpid(self._process, 0)
            self._end_stage()
            return Ended(
                os.waitstatus_to_exitcode(status),
                seconds=time.monotonic() - self._begun,
                extents=dict(self._extents),
            )
        finally:
            self._watch.close()

    def _wait(self):
        due = self._since + self._plan.seconds - time.monotonic()
        return min(max(due, 0.0), _WAIT) if self._plan.mode in ("moment", "start") else _WAIT

    def _note(self, event: Event, plan_of):
        stage = works.stage_of(event.path, self._command.name)
        if not stage:
            return
        if stage != self._stage:
            self._end_stage()
            self._stage, self._since, self._events, self._recorded = stage, time.monotonic(), 0, 0
            self._plan = plan_of(stage) or Plan("")
        self._events += 1
        self._extents[stage].events += 1
        if self._recorded or event.path.name in _RECORDS:
            self._recorded += 1

    def _end_stage(self):
        self._extents[self._stage].seconds += time.monotonic() - self._since

    def _is_due(self):
        if self._plan.mode in ("moment", "start"):
            return time.monotonic() >= self._since + self._plan.seconds
        count = self._recorded if self._plan.mode == "end" else self._events
        return bool(self._plan.mode) and count >= self._plan.events

    def _kill(self, event: Event | None) -> Ended:
        if not self._plan.alone:
            with contextlib.suppress(ProcessLookupError):  # it may not have made its group yet
                os.killpg(self._process, signal.SIGKILL)
        os.kill(self._process, signal.SIGKILL)
        _, status = os.waitpid(self._process, 0)
        ended = os.waitstatus_to_exitcode(status)
        return Ended(
            ended,
            killed=ended == -signal.SIGKILL,  # or it had just ended by itself
            stage=self._stage,
            mode=self._plan.mode,
            after="" if event is None else f"{event.kind}: {event.path}",
            seconds=time.monotonic() - self._begun,
        )


def draw(extent: Extent, random: np.random.Generator, *, is_start: bool) -> Plan | None:
    """When to kill a stage of an extent; None at the start of a process mostly.

    Args:
      extent: of the stage.
      random: what draws.
      is_start: whether no stage is at work yet.
    """
    if is_start:
        return Plan("start", seconds=random.uniform(0, 3.0)) if random.uniform() < _SHARES[-1] else None
    mode = str(random.choice(MODES[:-1], p=np.array(_SHARES[:-1]) / sum(_SHARES[:-1])))
    alone = bool(random.uniform() < 0.25)
    if mode == "moment":
        return Plan(mode, seconds=random.uniform(0, extent.seconds), alone=alone)
    most = _LAST if mode == "end" else max(extent.events, 1)
    return Plan(mode, events=int(random.integers(1, most + 1)), alone=alone)
