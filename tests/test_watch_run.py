"""tools/watch_run.py: growth worked by hand, and what a real command and its child hold."""

import csv
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "watch_run.py"
HOLDS = """
import subprocess, sys, threading, time
kept = [open("/dev/null") for _ in range(40)]
for _ in range(5):
    threading.Thread(target=time.sleep, args=(3,), daemon=True).start()
child = subprocess.Popen([sys.executable, "-c", "import time; held = bytearray(90_000_000); time.sleep(3)"])
child.wait()
sys.exit(7)
"""


@pytest.fixture
def watch_run(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOL.parent))
    yield importlib.import_module("watch_run")


def test_growth_is_that_of_the_time_after_the_warm_up(watch_run):
    growing = [  # 36 MB in an hour after ten minutes of caches that fill; one thread more in the last reading
        watch_run.Reading(second, 500 + 0.01 * second if second >= 600 else second, 20, 8 + (second == 3600), 1)
        for second in range(0, 3601, 60)
    ]
    figures = watch_run.summary(growing, 600)
    assert figures["megabytes"]["growth_per_hour"] == pytest.approx(36)
    assert figures["megabytes"]["growth_low"] == pytest.approx(36)
    assert figures["handles"] == pytest.approx(
        {"first": 20, "last": 20, "highest": 20, "growth_per_hour": 0, "growth_low": 0, "growth_high": 0}
    )
    assert (figures["threads"]["growth_per_hour"], figures["threads"]["highest"]) == (0, 9)


def test_too_few_readings_are_no_summary(watch_run):
    readings = [watch_run.Reading(second, 1, 1, 1, 1) for second in range(100)]
    with pytest.raises(ValueError, match="7 readings after the warm-up"):
        watch_run.summary(readings, 93)


def test_children_count_and_the_exit_status_is_the_commands(tmp_path):
    command = [sys.executable, str(TOOL), f"--out={tmp_path}", "--every=0.2", "--warmup=0.5", "--"]
    ended = subprocess.run([*command, sys.executable, "-c", HOLDS], capture_output=True, text=True)
    assert ended.returncode == 7, ended.stderr
    figures = json.loads((tmp_path / "watch.json").read_text())
    assert figures == json.loads(ended.stdout)
    assert figures["exit"] == 7
    assert 90 <= figures["megabytes"]["highest"] <= 200
    assert 40 <= figures["handles"]["highest"] <= 70
    assert figures["threads"]["highest"] == 7
    with (tmp_path / "watch.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == figures["readings"]
    assert max(int(row["processes"]) for row in rows) == 2
