"""Sides for test_benchmark.py, which run in processes of their own."""

import os
import time
from pathlib import Path

from benchmarks import turns


def writer(options):
    """Writes its name into a file at each round, and speaks between the answers."""

    def work():
        print("a package that prints")
        with Path(options["file"]).open("a") as file:
            file.write(options["name"])

    return turns.Work(work, {"name": options["name"]})


def failing(options):
    raise ValueError("this side cannot be")


def sleeper(options):
    """Writes its process' number, and takes a minute."""
    Path(f"{options['file']}.new").write_text(str(os.getpid()))
    Path(f"{options['file']}.new").rename(options["file"])
    time.sleep(60)
