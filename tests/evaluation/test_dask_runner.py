"""Two processes of Dask do what this process does, byte for byte, and say in one line what they cannot do."""

import contextlib
import dataclasses
import functools
import os
import sys

import numpy as np
import pytest
import threadpoolctl

from rembrandt_featgen.core import memory, thread_counts
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import (
    competitors,
    dask_calls,
    dask_clusters,
    engine,
    few_shots,
    plans,
    predictions,
    schedulers,
    trials,
)
from rembrandt_featgen.evaluation.dask_threads import ThreadsPlugin
from rembrandt_featgen.evaluation.schedulers import Call, Schedule
from rembrandt_featgen.evaluation.studies import table_of
from tests.evaluation import dask_work

# As many as TensorFlow has in this process: the last bits depend on it.
THREADS = thread_counts.of_this_process() or os.cpu_count()
LIMIT = 2.0  # GiB of each of the processes
SETTINGS = competitors.Settings(
    arms=("none", "smote"), amounts=(0.0,), classifiers=("ridge",), inner_folds=2, measured=False
)


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    limit = 2 * LIMIT + sum(memory.of_tree().values()) / memory.GIB  # with what this process takes
    schedule = Schedule("local", workers=2, threads=THREADS, memory_limit=limit, prepare=dask_work.take_device)
    with schedulers.opened(schedule, tmp_path_factory.mktemp("pool") / schedulers.LOG) as pool:
        yield pool


@pytest.fixture
def address(runner):
    return runner._client.scheduler.address


def table():
    labels = np.repeat([0, 1], [28, 24])
    x = np.random.default_rng(0).normal(size=(len(labels), 4)) + labels[:, None]
    return table_of(x, np.array(["common", "rare"])[labels])


def parts(folder):
    """A part of folds, whose second task kills its process once, and one of two draws that share a training."""
    features = table()
    folds = plans.k_fold(features, folds=2, repeats=1, seeds=(0,), validation=0.25)
    work = functools.partial(trials.run, features, settings=SETTINGS, tuned={})
    killed = dask_work.KilledOnce(work, folds[1].name, folder / "killed")
    draws = few_shots.tasks(features, draws=2, shots=[3], label=1, test=0.4)[3]
    few = competitors.Settings(
        arms=("none", "wgan"), amounts=(0.0,), classifiers=("ridge",), inner_folds=2, committed=True, measured=False
    )
    few = few_shots.part(features, draws, few, folder=folder / "few", together=2)
    return [engine.Part(folds, killed, folder / "folds"), few]


def written(outcomes, path):
    predictions.write(path, engine.gather(outcomes))
    return path.read_bytes(), [outcome.choices for outcome in outcomes]


def test_the_same_predictions_byte_for_byte_though_a_process_was_killed(runner, tmp_path):
    (tmp_path / "serial").mkdir()
    (tmp_path / "serial" / "killed").touch()  # not this process
    serial = engine.run_parts(parts(tmp_path / "serial"), schedulers.Serial())
    (tmp_path / "dask").mkdir()
    done = engine.run_parts(parts(tmp_path / "dask"), runner)
    assert (tmp_path / "dask" / "killed").exists()
    for one, other in zip(serial, done):
        assert written(one, tmp_path / "one.csv") == written(other, tmp_path / "other.csv")
    assert runner.record == {"scheduler": "local", "workers": 2, "threads": THREADS, "devices": [dask_work.DEVICE]}
    kept = [engine.Part(part.tasks, dask_work.refuse, part.folder, part.together) for part in parts(tmp_path / "dask")]
    again = engine.run_parts(kept, runner)  # nothing is done again
    assert [len(each) for each in again] == [2, 2]


def test_what_a_user_is_to_read_comes_back(runner):
    with pytest.raises(InputError, match=r"^x\.csv: give another$"):
        list(runner.results([dask_work.refuse], [Call("a", 0, "x.csv")]))
    assert list(runner.results([dask_work.double], [])) == []


def test_what_all_processes_lost_is_sent_again(runner, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    calls = [Call("one", 0, (one, other)), Call("other", 0, (other, one))]
    found = dict(runner.results([dask_work.die_together], calls))
    assert found == {0: "one", 1: "other"}


def test_processes_keep_no_profile_of_tasks_that_are_done(runner):
    """It grew by a quarter of a MiB with each task."""
    assert list(runner.results([dask_work.profiled], [Call("a", 0, None)])) == [(0, False)]


def test_a_cluster_is_used_by_its_address(runner, address):
    calls = [Call(f"call {number}", 0, number) for number in range(5)]
    runner._client.wait_for_workers(2, timeout=60)  # one may have been killed before
    with schedulers.opened(Schedule(address, threads=THREADS)) as cluster:
        known = {"scheduler": "cluster", "workers": 2, "threads": THREADS}
        assert cluster.record == {**known, "devices": []}  # nothing was done yet
        assert dict(cluster.results([dask_work.double], calls)) == {number: 2 * number for number in range(5)}


def test_a_process_of_other_threads_or_versions_is_refused(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    shared, one = (dask_work.double,), Call("a", 0, 2)
    place = dask_calls.Place(3, program := dask_calls.program())
    with threadpoolctl.threadpool_limits():  # as they were, afterwards
        assert dask_calls.call(shared, one, place).value == 4
    with pytest.raises(InputError, match="--task_threads=2: TensorFlow has started with 3 threads in a worker on"):
        dask_calls.call(shared, one, dataclasses.replace(place, threads=2))
    numpy = program._replace(versions={**program.versions, "numpy": "0.1"})
    other = dataclasses.replace(place, program=numpy)
    with pytest.raises(InputError, match=r"worker on .* has numpy .*, and this process has 0\.1; install the same"):
        dask_calls.call(shared, one, other)
    other = dataclasses.replace(place, program=program._replace(code="0", folder="/here"))
    message = r"has another rembrandt_featgen \(.*/rembrandt_featgen\) than this process \(/here\), of the same version"
    with pytest.raises(InputError, match=message):
        dask_calls.call(shared, one, other)


def test_threads_are_set_before_tensorflow_is_imported_or_not_at_all(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    ThreadsPlugin(5).setup(None)
    assert thread_counts.of_this_process() == 3
    monkeypatch.delitem(sys.modules, "tensorflow")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    ThreadsPlugin(5).setup(None)
    assert thread_counts.of_this_process() == 5


def test_a_process_that_ends_again_and_again_names_the_task(runner, monkeypatch):
    monkeypatch.setattr(runner._client.cluster.scheduler, "allowed_failures", 1)
    with pytest.raises(InputError, match="^draw 7: its process was ended [23] times, by the system"):
        list(runner.results([dask_work.die], [Call("draw 7", 0, None)]))


def test_a_limit_that_this_process_takes_leaves_nothing_and_is_no_limit_of_none():
    message = r"^--memory_limit=0\.01GiB: this program takes \d[\d.]* GiB before the processes of --scheduler=local"
    with (
        pytest.raises(InputError, match=message),
        schedulers.opened(Schedule("local", workers=1, memory_limit=0.01)),
    ):
        pass


def test_the_limit_of_a_cluster_is_said_to_be_elsewhere(monkeypatch, caplog):
    monkeypatch.setattr(dask_clusters, "connected", lambda address: contextlib.nullcontext(object()))
    monkeypatch.setattr(dask_clusters, "check_workers", lambda client, given: sys.exit(3))
    for limit, said in ((4.0, 1), (0.0, 0)):
        caplog.clear()
        with pytest.raises(SystemExit), schedulers.opened(Schedule("tcp://a:1", memory_limit=limit)):
            pass
        assert sum("dask worker --memory-limit" in line for line in caplog.messages) == said


def test_too_much_memory_names_the_task_and_the_flag(runner, monkeypatch):
    monkeypatch.setattr(runner._client.cluster.scheduler, "allowed_failures", 0)
    with pytest.raises(InputError, match=r"^draw 7: .* more than its share of --memory_limit \(2 GiB .*ended 1 time;"):
        list(runner.results([dask_work.eat], [Call("draw 7", 0, LIMIT + 1.0)]))
    assert list(runner.results([dask_work.double], [Call("b", 0, 2)])) == [(0, 4)]
