"""Whatever ends a process, what its temporary folder named is gone: at once, or with the next one."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rembrandt_featgen.core import temporary_folders
from tests import markers

ROOT = Path(__file__).parent.parent.parent
WORK = """
import contextlib, sys, threading, time
from rembrandt_featgen.core import memory, temporary_folders
def write(path):
    while True:  # as a trial at work does
        with contextlib.suppress(FileExistsError):
            (path / "Ulverscroft").mkdir()
        (path / "Ulverscroft" / f"{time.monotonic()}.txt").write_text("Quillfeather")
with contextlib.ExitStack() as stack:
    path = stack.enter_context(temporary_folders.folder())
    if sys.argv[1] == "memory":
        limit = sum(memory.of_tree().values()) + (20 << 20)
        stack.enter_context(memory.at_most(limit))
        taken = bytearray(b"1") * (60 << 20)
    else:
        threading.Thread(target=lambda: (time.sleep(0.5), print("there", flush=True)), daemon=True).start()
    write(path)
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def started(temporary, how):
    return subprocess.Popen(
        [sys.executable, "-c", WORK, how],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heeds_signals,
    )


def _heeds_signals():
    """Those that processes in the background ignore."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_nothing_is_left_where_memory_ends_it(temporary):
    work = started(temporary, "memory")
    _, said = work.communicate(timeout=60)
    assert work.returncode == 1 and said.strip().startswith("error: ") and len(said.strip().splitlines()) == 1, said
    assert not markers.found(temporary, markers.WORDS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_nothing_is_left_where_a_signal_ends_it(temporary, number):
    work = started(temporary, "signal")
    work.stdout.readline()
    assert markers.found(temporary, markers.WORDS)
    work.send_signal(number)
    work.communicate(timeout=60)
    assert work.returncode == -number
    assert not markers.found(temporary, markers.WORDS)


def test_what_a_kill_left_goes_with_the_next_one_but_not_what_is_in_use(temporary):
    killed, at_work = started(temporary, "signal"), started(temporary, "signal")
    for work in (killed, at_work):
        work.stdout.readline()
    killed.kill()
    killed.communicate(timeout=60)
    (temporary / "elsewhere").mkdir()
    (temporary / "elsewhere" / "kept").write_text("")
    (temporary / f"{temporary_folders.PREFIX}link").symlink_to(temporary / "elsewhere")
    assert len([*temporary.glob(f"{temporary_folders.PREFIX}*/")]) >= 2
    with temporary_folders.folder() as path:
        there = {one for one in temporary.glob(f"{temporary_folders.PREFIX}*") if not one.is_symlink()}
        assert path in there and len(there) == 2  # and that of the one at work
    at_work.terminate()
    at_work.communicate(timeout=60)
    assert [path.name for path in temporary.rglob("*") if not path.is_symlink()] == ["elsewhere", "kept"]


def test_a_folder_that_another_took_for_left_over_is_made_again(temporary, monkeypatch):
    real, taken = fcntl.flock, []

    def late(file, how):
        if not taken:
            taken.extend(temporary.glob(f"{temporary_folders.PREFIX}*"))
            taken[0].rmdir()
        real(file, how)

    monkeypatch.setattr(temporary_folders.fcntl, "flock", late)
    with temporary_folders.folder() as path:
        assert path.is_dir() and [path] != taken
        assert path.stat().st_mode & 0o077 == 0
    assert not [*temporary.iterdir()]
