"""Kills tiny runs and studies at random moments, starts them again, and compares what they leave with an unbroken run.

python tools/kill_anywhere.py --what=pipeline --kills=200 --seed=0 --folder=FOLDER
python tools/kill_anywhere.py --what=study --disk_step=500 --kills=1 --folder=FOLDER

All commands of a work (`killing/works.py`) are run unbroken, twice, which says what differs by nature; then in rounds,
each command again and again until it has finished, killed (SIGKILL, mostly with all processes that it started) in each
stage up to --each times: right after a file was made, written to, closed, moved or deleted; at any moment; among the
last events of a stage; before it has touched a file. Then all files are compared (`killing/comparison.py`). What was
ended resumes, in the round at which it was. FOLDER gets kills.json and kills.md. With --disk_step a disk that is full
again and again takes the place of kills; each command has to end in one line that says so.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import shutil
import sys
import time
import traceback
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from killing import attempts, comparison, small_disk, works
from killing.attempts import Attempt, Ended, Extent
from killing.small_disk import SmallDisk

from rembrandt_featgen import stages
from rembrandt_featgen.core import cli, registry

_MOST_ATTEMPTS = 400  # of a command in a round: more means that it makes no progress
_EARLY = 0.4  # of a stage that was never killed before: so much of it is sure to come
_BUSY = "another process is at work on"


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags."""

    what: str = cli.flag("pipeline", "What is killed.", choices=tuple(works.WORKS))
    kills: int = cli.flag(200, "Rounds end with the one in which there were so many.", minimum=1)
    each: int = cli.flag(3, "Most kills of a stage in a round.", minimum=1)
    disk_step: int = cli.flag(
        0,
        "KiB of a file system in memory (Linux, as root) on which rounds are run in place of kills, and which grows by "
        "so much whenever a command has ended for it was full; 0 kills.",
        minimum=0,
    )
    seed: int = cli.flag(0, "Of the moments, which also depend on how fast the machine is.", minimum=0)
    folder: str = cli.flag("/tmp/kill_anywhere", "Folder of the runs and the counts.")


class Rounds:
    """What is done, and how far it came, which is kept in a file.

    Args:
      config: the flags.
    """

    def __init__(self, config: Config):
        self._config, self._work = config, works.WORKS[config.what]
        self._home = Path(config.folder).absolute() / config.what
        self._run, self._inputs, self._unbroken = (self._home / name for name in ("runs", "inputs", "unbroken"))
        self._home.mkdir(parents=True, exist_ok=True)
        self._file = self._home / "state.json"
        self._disk: SmallDisk | None = None
        self.state: dict = {"round": -2, "command": 0, "kills": [], "rounds": [], "extents": {}, "stuck": []}
        if self._file.exists():
            self.state = json.loads(self._file.read_text(encoding="utf-8"))
            if config.disk_step:  # its disk went with the process
                self.state["command"] = 0
        else:
            _in_child(lambda: _fresh(self._inputs, self._work.make_inputs))
            self._clear()

    def go(self) -> None:
        """All that is left."""
        while self.state["round"] < 0 or len(self.state["kills"]) < self._config.kills:
            small = self._config.disk_step and self.state["round"] >= 0
            self._disk = SmallDisk(self._run, self._config.disk_step) if small else None
            try:
                self._round()
            finally:
                if self._disk:
                    self._disk.unmount()
            self._clear()
            write(self._home, self.state)
        write(self._home, self.state)

    def _round(self) -> None:
        number = self.state["round"]
        begun = time.monotonic()
        finished = True
        for place in range(self.state["command"], len(self._work.commands)):
            finished = self._command(place)
            if not finished:
                break
            self.state["command"] = place + 1
            self._save()
        if number == -2:
            _fresh(self._unbroken, lambda folder: shutil.copytree(self._run, folder, dirs_exist_ok=True, symlinks=True))
            found: list[str] = []
        else:
            found = compared(self._unbroken, self._run, self._home / "found.json") if finished else []
        kills = sum(kill["round"] == number for kill in self.state["kills"])
        self.state["rounds"].append(
            {"round": number, "kills": kills, "differences": found, "seconds": round(time.monotonic() - begun, 1)}
        )
        print(f"{self._config.what}, round {number}: {kills} kills, {len(found)} differences", flush=True)
        for line in found:
            print(f"  {line}", flush=True)
        if found or not finished:
            shutil.copytree(self._run, self._home / f"differs_{number}", dirs_exist_ok=True, symlinks=True)
        self.state |= {"round": number + 1, "command": 0}

    def _command(self, place: int) -> bool:
        """Runs a command until it has finished; whether it did."""
        command, number = self._work.commands[place], self.state["round"]
        random = np.random.default_rng([self._config.seed, number + 2, place, len(self.state["kills"])])
        counts: collections.Counter = collections.Counter(
            kill["stage"] for kill in self.state["kills"] if (kill["round"], kill["place"]) == (number, place)
        )

        def plan_of(stage):
            if number < 0 or self._disk or counts[stage] >= self._config.each:
                return None
            extent = Extent(**self.state["extents"].get(f"{place} {stage}", {}))
            if not any(kill["stage"] == stage for kill in self.state["kills"]):  # none is to be left out by luck
                extent = Extent(extent.seconds * _EARLY, int(extent.events * _EARLY))
            return attempts.draw(extent, random, is_start=stage == works.START)

        log = self._home / f"log_{number}.txt"
        for _ in range(_MOST_ATTEMPTS):
            before = log.stat().st_size if log.exists() else 0
            ended = Attempt(command, command.argv(self._run, self._inputs), run=self._run, log=log).run(plan_of)
            if ended.killed:
                counts[ended.stage] += 1
                self._note(ended, number, place)
                continue
            if ended.status == 0:
                if number == -2:
                    found = {f"{place} {stage}": dataclasses.asdict(e) for stage, e in ended.extents.items()}
                    self.state["extents"] |= found
                return True
            said = log.read_bytes()[before:].decode("utf-8", errors="replace")
            if self._disk and small_disk.one_line(said):
                ended.stage, ended.mode, ended.after = self._last_stage(command), "full", said.splitlines()[-1]
                self._note(ended, number, place)
                self._disk.grow()
                continue
            if _BUSY in said:  # workers of a process that was killed alone may live for a second
                time.sleep(1.0)
                continue
            self.state["stuck"].append({"round": number, "command": command.name, "said": said[-3000:]})
            print(f"{command.name} ended with {ended.status}: {said[-500:]}", flush=True)
            if number < 0:
                raise RuntimeError(f"{command.name} does not even run unbroken")
            return False
        raise RuntimeError(f"{command.name}: no progress in {_MOST_ATTEMPTS} attempts")

    def _last_stage(self, command) -> str:
        """The stage whose unfinished folder was touched last."""
        parts = sorted(self._run.rglob("*.part"), key=lambda path: path.stat().st_mtime)
        return works.stage_of(parts[-1].relative_to(self._run), command.name) if parts else command.name

    def _note(self, ended: Ended, number: int, place: int) -> None:
        kill = dataclasses.asdict(ended)
        del kill["extents"], kill["killed"]
        self.state["kills"].append({"round": number, "place": place, **kill})
        self._save()

    def _save(self) -> None:
        temporary = self._file.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.state), encoding="utf-8")
        temporary.replace(self._file)

    def _clear(self) -> None:
        """A folder without runs for the next round."""
        _fresh(self._run, lambda folder: None)
        self._save()


def _fresh(folder: Path, fill) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    fill(folder)


def _in_child(call) -> None:
    """Calls a function in a process of its own: no fork would survive if TensorFlow computed anything in this one."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            call()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError("a process of this tool failed")


def compared(unbroken: Path, run: Path, file: Path) -> list[str]:
    """`comparison.differences`, by a process of its own, which hands them over in a file."""
    _in_child(lambda: file.write_text(json.dumps(comparison.differences(unbroken, run)), encoding="utf-8"))
    return json.loads(file.read_text(encoding="utf-8"))


def write(home: Path, state: dict) -> None:
    """Writes kills.json and kills.md, a table of stages.

    Args:
      home: folder of the work.
      state: of `Rounds`.
    """
    by_stage: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for kill in state["kills"]:
        by_stage[kill["stage"]][kill["mode"]] += 1
    order = [works.START, *registry.STAGES, *registry.RUNNERS]
    titles = ["stage", "in all", "after an event on a file", "at any moment", "while it ended", "before a file", "full"]
    rows = [titles, ["---"] * len(titles)]
    for stage in sorted(by_stage, key=lambda name: order.index(name) if name in order else len(order)):
        counts = [by_stage[stage][mode] for mode in (*attempts.MODES, "full")]
        rows.append([f"`{stage}`", str(sum(counts)), *map(str, counts)])
    differences = [line for one in state["rounds"] for line in one["differences"]]
    summary = {
        "kills": len(state["kills"]),
        "rounds": sum(one["round"] >= 0 for one in state["rounds"]),
        "differences": differences,
        "stuck": state["stuck"],
        "by_stage": {stage: dict(counts) for stage, counts in by_stage.items()},
    }
    (home / "kills.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", f"{summary['kills']} kills in {summary['rounds']} rounds, {len(differences)} differences, "]
    lines[-1] += f"{len(state['stuck'])} commands that did not resume."
    (home / "kills.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(config: Config) -> None:
    """Kills, restarts, compares, and says what was found."""
    stages.modules([*registry.STAGES, *registry.RUNNERS])
    rounds = Rounds(config)
    rounds.go()
    home = Path(config.folder, config.what)
    print((home / "kills.md").read_text(encoding="utf-8"))
    if rounds.state["stuck"] or any(one["differences"] for one in rounds.state["rounds"]):
        raise SystemExit(1)


if __name__ == "__main__":
    cli.main(Config, run, about=__doc__)
