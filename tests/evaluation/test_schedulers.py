import builtins
import os
import types

import pytest

from rembrandt_featgen.core import provenance, thread_counts
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import schedulers
from rembrandt_featgen.evaluation.schedulers import Call, Schedule, Serial


def test_this_process_does_one_call_after_another():
    done = []

    def work(argument):
        done.append(argument)
        return -argument

    found = Serial().results([work, str], [Call("a", 0, 3), Call("b", 1, 4), Call("c", 0, 5)])
    assert next(found) == (0, -3) and done == [3]  # no more than what was asked for
    assert list(found) == [(1, "4"), (2, -5)]


def test_a_record_says_where_calls_were_done(monkeypatch):
    monkeypatch.setattr(provenance, "_device", "")
    schedulers.note(record := {}, Serial())
    assert record == {"schedule": {**Serial().record, "devices": []}}
    provenance.set_device("runs on the CPU")
    schedulers.note(record, Serial())
    assert record["device"] == "runs on the CPU" and record["schedule"]["devices"] == ["runs on the CPU"]
    cluster = types.SimpleNamespace(record={"devices": ["runs on an A", "runs on a B"]})
    schedulers.note(record, cluster)
    assert record["device"] == "runs on an A; runs on a B"


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (Schedule("many"), "--scheduler=many: give serial .*, local .*, or the address"),
        (
            Schedule("serial", workers=2),
            "--workers=2 with --scheduler=serial: it is of --scheduler=local; leave it out",
        ),
        (Schedule("serial", threads=2), "--task_threads=2 with --scheduler=serial: .*give --threads=2"),
        (Schedule("tcp://a:1", workers=2), "--workers=2 with --scheduler=tcp://a:1: a cluster has the workers that"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(schedule, message):
    with pytest.raises(InputError, match=message):
        schedulers.check(schedule)


def test_without_dask_the_extra_is_named(monkeypatch):
    imported = builtins.__import__

    def without_dask(name, *arguments, **keywords):
        if name.startswith("rembrandt_featgen") and "dask_runner" in (arguments[2] or ()):
            raise ModuleNotFoundError("No module named 'distributed'", name="distributed")
        return imported(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_dask)
    with schedulers.opened(Schedule()) as runner:
        assert isinstance(runner, Serial)
    message = r"no distributed; install it with `pip install 'rembrandt_featgen\[cluster\]'`"
    with pytest.raises(InputError, match=message), schedulers.opened(Schedule("local")):
        pass


def test_threads_of_new_processes_leave_this_one_as_it_was(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    before = dict(os.environ)
    assert thread_counts.of_this_process() is None
    with thread_counts.for_new_processes(3):
        assert os.environ["OMP_NUM_THREADS"] == os.environ["TF_NUM_INTEROP_THREADS"] == "3"
        assert thread_counts.of_this_process() == 3
    assert dict(os.environ) == before
