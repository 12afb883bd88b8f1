"""However a run ends that has processes of Dask, none of them is left; one that was started again is no exception."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
    import dataclasses, pathlib, signal, sys
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which processes in the background ignore
    from rembrandt_featgen.core import cli
    from rembrandt_featgen.evaluation import schedulers
    from tests.evaluation import dask_work
    Config = dataclasses.make_dataclass("Config", [("folder", str, cli.flag("", "Folder."))])
    def run(config):
        folder = pathlib.Path(config.folder)
        with schedulers.opened(schedulers.Schedule("local", workers=2, threads=1)) as runner:
            calls = [schedulers.Call(str(number), 0, folder) for number in range(2)]
            list(runner.results([dask_work.stay], calls))
    cli.main(Config, run, about="")
"""


def until(true, seconds=60.0):
    """Waits for something, and gives it back."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)
    return true()


def of_group(group):
    """Processes of a group, but for those that nobody has waited for."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state = (path / "stat").read_text().rpartition(")")[2].split()
            found += [int(path.name)] * (int(state[2]) == group and state[0] != "Z")
    return found


def blocks(process, number):
    """Whether a signal never reaches a process. (One that heeds it says so only when its task ends.)"""
    status = Path(f"/proc/{process}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk"))
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["Ctrl-C", "SIGTERM", "SIGKILL"])
def test_no_process_is_left(how, tmp_path):
    script = textwrap.dedent(SCRIPT)
    command = [sys.executable, "-c", script, f"--folder={tmp_path}"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        first = until(lambda: (found := sorted(tmp_path.iterdir())) and len(found) == 2 and found)
        if how == signal.SIGINT:
            os.kill(int(first[0].name), signal.SIGKILL)
            until(lambda: len(list(tmp_path.iterdir())) == 3)
            at_work = [int(path.name) for path in tmp_path.iterdir() if path != first[0]]
            assert [blocks(one, how) for one in (process.pid, *at_work)] == [False, True, True]
            os.killpg(process.pid, how)  # as a terminal does
        else:
            process.send_signal(how)
        _, said = process.communicate(timeout=60)
        until(lambda: not of_group(process.pid), seconds=10.0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    opened, *ended = said.splitlines()
    assert opened == "--scheduler=local: 2 workers of 1 threads each"
    if how == signal.SIGINT:
        assert (process.returncode, ended) == (130, ["interrupted; run the same command again to resume"])
    else:  # Python may warn of semaphores, which it then takes away
        assert process.returncode == -how and "Traceback" not in said
