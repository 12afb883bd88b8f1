"""Sides for test_benchmark.py, which run in processes of their own."""

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
