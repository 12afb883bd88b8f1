"""A tiny binary for tests of --memory_limit: a stage that takes as much memory as it is told, and resumes."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time

from rembrandt_featgen.core import cli, rundir

_TAKE = "import sys, time; taken = bytearray(b'1') * (int(sys.argv[1]) << 20); print(1, flush=True); time.sleep(60)"


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags: what is taken is no setting, so that the stage resumes with another."""

    run_dir: str = cli.flag("", "Folder.", required=True, path=True)
    mib: int = cli.flag(1, "Taken by this process.", setting=False)
    mib_of_child: int = cli.flag(0, "Taken by a process that it starts.", setting=False)


def run(config: Config) -> None:
    """Counts a start, takes the memory, and finishes the stage."""
    with rundir.open_stage(config, "train_unet") as stage:
        if stage.done:
            return
        with (stage.path / "starts.txt").open("a") as starts:
            starts.write("x")
        command = [sys.executable, "-c", _TAKE, str(config.mib_of_child)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        (stage.path / "child.txt").write_text(str(child.pid))
        taken = bytearray(b"1") * (config.mib << 20)
        if child.stdout is not None:
            child.stdout.readline()  # it has taken its memory
        time.sleep(1.5)
        child.kill()
        child.wait()
        stage.complete(taken=len(taken))


if __name__ == "__main__":
    cli.main(Config, run, about="Takes memory.")
