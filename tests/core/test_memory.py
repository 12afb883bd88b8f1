"""What counts as memory, and that a run which takes more than it may ends in one line and resumes."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from rembrandt_featgen.core import memory
from rembrandt_featgen.core.errors import InputError

ROOT = Path(__file__).parent.parent.parent


def run(folder, *flags):
    """A run of the tiny binary: its status, and what it said last."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.core.memory_work", f"--run_dir={folder}", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1]


def record(folder):
    return json.loads((folder / "unet" / "stage.json").read_text())


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GiB", 4 * 2**30),
        ("1.5", 1.5 * 2**30),
        ("512MiB", 2**29),
        ("2g", 2**31),
        (" 3 TB", 3 * 2**40),
        ("0", 0),
        ("", 0),
    ],
)
def test_sizes(text, size):
    assert memory.parse(text) == size


@pytest.mark.parametrize("text", ["four", "-1", "4 GiBs", "GiB", "1e3", "nan", "2000000000"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match=rf"^--memory_limit={text}: write a size such as 4GiB"):
        memory.parse(text)


def test_a_size_of_very_many_digits_is_refused_in_a_short_line():
    with pytest.raises(InputError, match=r"^--memory_limit=9{40}\.\.\.: write a size"):
        memory.parse("9" * 400)


def test_a_run_that_takes_too_much_ends_in_one_line_and_resumes_with_more(tmp_path):
    status, line = run(tmp_path / "r", "--mib=300", "--memory_limit=250MiB")
    assert status == 1
    assert line.startswith("error: --memory_limit=250.0 MiB: 3"), line
    assert line.endswith(
        "at train_unet; give more, or take a smaller --unet_batch, --unet_width or --image_size; the "
        "same command resumes"
    )
    assert not (tmp_path / "r" / "unet").exists()
    status, line = run(tmp_path / "r", "--mib=300", "--memory_limit=500MiB")
    assert status == 0, line
    assert (tmp_path / "r" / "unet" / "starts.txt").read_text() == "xx" and record(tmp_path / "r")["resumed"]
    taken = record(tmp_path / "r")["peak_memory"] / 2**20
    assert 300 < taken < 400


def test_processes_that_it_started_count_and_end_with_it(tmp_path):
    status, line = run(tmp_path, "--mib_of_child=300", "--memory_limit=250MiB")
    assert status == 1 and " MiB are taken, at train_unet, " in line and "of it in processes that it started" in line
    child = int((tmp_path / "unet.part" / "child.txt").read_text())
    end = time.monotonic() + 5.0
    while Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes():
        assert time.monotonic() < end, "it is still there"
        time.sleep(0.1)


def test_a_limit_that_nothing_fits_into_is_refused_before_anything(tmp_path):
    status, line = run(tmp_path / "r", "--memory_limit=1MiB")
    assert status == 1 and line.startswith("error: --memory_limit=1.0 MiB: this program takes ")
    assert not (tmp_path / "r").exists()


def test_without_a_limit_nothing_is_ended(tmp_path):
    assert run(tmp_path, "--mib=300") == (0, "")
    assert record(tmp_path)["peak_memory"] > 300 << 20


@pytest.mark.parametrize("count", [memory.of_tree, memory._of_ps])
def test_both_ways_count_this_process_and_what_it_starts(count):
    before = count()
    taken = np.ones(50 << 20, np.uint8)
    child = subprocess.Popen([sys.executable, "-c", "import time; x = b'1' * (80 << 20); time.sleep(30)"])
    try:
        end = time.monotonic() + 10.0
        while count().get(child.pid, 0) < 80 << 20:
            assert time.monotonic() < end
            time.sleep(0.05)
        after = count()
    finally:
        child.kill()
        child.wait()
    assert next(iter(after)) == os.getpid() and child.pid not in before
    assert after[os.getpid()] - before[os.getpid()] > 0.8 * taken.nbytes


def test_children_of_all_threads_and_theirs_are_found_as_by_a_look_at_all_processes():
    """Processes that other tests left may come and go meanwhile, so that only these two are asked for."""
    last = "import os; print(os.getpid(), flush=True); input()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {last!r}])"
    started, below = [], []

    def start():
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        started.append(subprocess.Popen([sys.executable, "-c", code], **pipes))
        below.append(int(started[0].stdout.readline()))
        ready.set()
        looked.wait()

    ready, looked = threading.Event(), threading.Event()
    thread = threading.Thread(target=start)
    thread.start()
    try:
        assert ready.wait(60.0)
        both = {started[0].pid, *below}
        assert len(both) == 2
        assert both <= set(memory._below(memory._children_by_proc))
        assert both <= set(memory._descendants(memory._parents_by_proc()))
        assert both <= set(memory.of_tree())
    finally:
        looked.set()
        thread.join()
        started[0].communicate(b"\n")
    assert not both & set(memory.of_tree())


def test_what_is_available_is_no_more_than_the_limit_leaves(monkeypatch):
    free = memory.available()
    assert free > 2**20
    taken = sum(memory.of_tree().values())
    monkeypatch.setattr(memory._watch, "limit", taken + 2**20)
    assert memory.available() <= 2**21
    monkeypatch.setattr(memory, "_container_available", lambda: iter([12345]))
    assert memory.available() == 12345


def test_while_something_is_tried_there_is_no_more_than_there_is(monkeypatch):
    said = []
    monkeypatch.setattr(memory, "_end", said.append)
    with memory.peak_of("train_unet"), memory.at_most(2**20):
        assert memory.limit() == 0  # nobody gave one
        memory._look()
    assert re.fullmatch(
        r"\d+\.\d [MG]iB of memory are taken, at train_unet, and 1\.0 MiB are available here; take a smaller --unet_.*",
        said[0],
    )
    said.clear()
    memory._look()
    assert not said
