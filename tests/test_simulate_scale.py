"""tools/simulate_scale.py: times worked by hand, and what limits a stage."""

import dataclasses
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parent.parent / "tools"


@pytest.fixture(scope="module")
def tool():
    sys.path.insert(0, str(TOOLS))
    yield importlib.import_module("simulate_scale")
    sys.path.remove(str(TOOLS))


@pytest.fixture
def calm(tool):
    """Nothing fails, starts and dispatches take no time, tasks are alike, storage is endless."""
    return tool.Config(
        dispatch_seconds=1e-9,
        startup_seconds=1e-9,
        spread=1e-9,
        hours_between_failures=1e12,
        storage_gb_per_second=1e12,
        memory_gib=1e9,
    )


def seconds(tool, config, tasks, places, width=1):
    return tool.makespan(tool.Work("work", tasks, 100.0, width=width), places, config, random=np.random.default_rng(0))


def test_tasks_fill_places(tool, calm):
    assert seconds(tool, calm, tasks=7, places=3) == pytest.approx(300)
    assert seconds(tool, calm, tasks=7, places=100) == pytest.approx(100)
    assert seconds(tool, calm, tasks=4, places=8, width=4) == pytest.approx(200)  # two at a time
    assert seconds(tool, calm, tasks=1, places=2, width=4) == pytest.approx(100)


def test_starts_dispatch_and_failures_cost(tool, calm):
    assert seconds(tool, dataclasses.replace(calm, startup_seconds=50.0), tasks=4, places=2) == pytest.approx(250)
    slow = dataclasses.replace(calm, dispatch_seconds=10.0)
    assert seconds(tool, slow, tasks=50, places=1000) == pytest.approx(49 * 10 + 100)
    # one failure in 100 s on average, each of which loses half of 100 s
    failing = dataclasses.replace(calm, hours_between_failures=100 / 3600)
    assert seconds(tool, failing, tasks=2000, places=1) == pytest.approx(2000 * 150, rel=0.05)
    # of two places that share a task twice as many
    assert seconds(tool, failing, tasks=2000, places=2, width=2) == pytest.approx(2000 * 200, rel=0.05)


def test_stages_by_hand(tool, calm):
    config = dataclasses.replace(calm, patients=100, slices=10.0, folds=5, repeats=1, gpus=5, replicas=20)
    found = {one.work.name: one for one in tool.simulate(config)}
    # 800 training slices, 30 epochs, 590 a second, divided among 10 at most, of which there are but 5 places
    assert found["train_unet"].work[:4] == ("train_unet", 5, pytest.approx(800 * 30 / 590 / 10), 10)
    assert found["train_generators"].work[1:4] == (10, pytest.approx(50 * 800 / 16 / 80 / 16), 16)
    assert found["extract_features"].hours == pytest.approx(1000 / 1770 / 3600)
    assert found["classifiers of maps"].work.tasks == 5 * 14 * 3 * 2 * 5
    assert found["classifiers of maps"].work.memory == 800 * 15 * 15 * 1024 * 4  # in float32
    assert found["classifiers of vectors"].work.seconds == pytest.approx(14 * 3 * 5 * 4 * 100 / 15_900)
    rows = 1000 * 14 * 3 * 2 * 5
    assert found["gather predictions"].work.memory == pytest.approx(rows * 466)
    assert found["gather predictions"].hours == pytest.approx(2 * rows / 460_000 / 3600)
    assert found["extract_features"].busy == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changes", "stage", "limit"),
    [
        ({"gpus": 2}, "train_unet", "GPUs"),
        ({"gpus": 1000}, "train_unet", "tasks: 25 of 1 place(s) each"),
        ({"storage_gb_per_second": 1e-3}, "train_generators", "storage"),
        ({"dispatch_seconds": 10.0, "gpus": 10**5}, "classifiers of maps", "scheduler"),
        ({"startup_seconds": 1e4, "gpus": 2}, "extract_features", "starting processes"),
        ({"memory_gib": 0.1}, "gather predictions", "memory: one process would need"),
        ({}, "gather predictions", "one process"),
    ],
)
def test_what_limits(tool, calm, changes, stage, limit):
    config = dataclasses.replace(calm, patients=1000, **changes)
    found = {one.work.name: one for one in tool.simulate(config)}
    assert found[stage].limit.startswith(limit)
    if limit.startswith("memory"):
        assert tool.breaks_first(list(found.values())).work.name == stage


def test_more_places_never_take_longer_and_the_page_names_its_sources(tool, calm, capsys):
    hours = [sum(one.hours for one in tool.simulate(dataclasses.replace(calm, gpus=n))) for n in (1, 10, 100, 1000)]
    assert hours == sorted(hours, reverse=True) and hours[0] > 5 * hours[1]
    tool.run(dataclasses.replace(calm, on_cpu=True))
    said = capsys.readouterr().out
    assert "10,000 patients, 1,000 pairs of cores, 25 folds" in said and "breaks first: " in said
    assert "measured: unet_slices_per_second = 2.82 (two cores" in said
    assert "assumed: storage_gb_per_second = 1e+12 (by its flag)" in said
    assert set(tool.RATES) | set(tool.ASSUMED) <= {field.name for field in dataclasses.fields(tool.Config)}
