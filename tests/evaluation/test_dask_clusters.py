"""A cluster that cannot do the work is said in one line: nobody there, other programs, nobody left."""

import contextlib
import logging
import socket
import threading
import time

import pytest
import threadpoolctl
from distributed import Client, LocalCluster

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import dask_calls, dask_clusters, dask_runner, schedulers
from rembrandt_featgen.evaluation.dask_runner import DaskRunner
from rembrandt_featgen.evaluation.schedulers import Call, Schedule
from tests.evaluation import dask_work

CALLS = [Call(f"call {number}", 0, number) for number in range(3)]


@pytest.fixture
def pool():
    """A cluster in this process that has no workers yet."""
    settings = {"processes": False, "dashboard_address": ":0", "protocol": "tcp", "host": "127.0.0.1"}
    with LocalCluster(n_workers=0, threads_per_worker=1, **settings) as cluster:
        yield cluster


class Found:
    """A client of a cluster of one worker."""

    def __init__(self, found, count=1):
        self._found, self._count = found, count

    def nthreads(self):
        return {"tcp://a:1": self._count}

    def run(self, function, on_error):
        assert (function, on_error) == (dask_calls.program, "return")
        return {"tcp://a:1": self._found}


PROGRAM = dask_calls.program()
LACKS = ModuleNotFoundError("No module named 'rembrandt_featgen'")
OLDER = Exception("AttributeError(\"Can't get attribute 'program'\")")


@pytest.mark.parametrize(
    ("client", "message"),
    [
        (
            Found(LACKS),
            "worker tcp://a:1 lacks a package .*'rembrandt_featgen'.*; install there what",
        ),
        (Found(OLDER), r"worker tcp://a:1 has another version of .* \(AttributeError.*start the workers anew"),
        (
            Found(PROGRAM._replace(code="", folder="/x")),
            r"on .* has another rembrandt_featgen \(/x\) than this",
        ),
        (Found(PROGRAM._replace(versions={})), "on .* has python None, and this process has"),
        (Found(PROGRAM, count=2), "worker tcp://a:1 takes 2 tasks at a time in one process.*--nthreads=1"),
    ],
    ids=["no package", "older", "changed", "versions", "threads"],
)
def test_a_worker_of_another_program_is_refused(client, message):
    with pytest.raises(InputError, match=message):
        dask_clusters.check_workers(client, "--scheduler=tcp://b:1")


def test_a_worker_of_the_same_program_or_that_has_gone_is_not():
    for found in (PROGRAM, OSError("Timed out")):
        dask_clusters.check_workers(Found(found), "--scheduler=tcp://b:1")


class Fails:
    """A client of which the sharing fails, and then the asking for programs."""

    status = "running"

    def __init__(self, asked):
        self._asked = asked

    def nthreads(self):
        return {"tcp://a:1": 1}

    def scatter(self, *_, **__):
        raise RuntimeError("the true error")

    def run(self, *_, **__):
        if isinstance(self._asked, OSError):
            raise self._asked
        return {"tcp://a:1": self._asked}

    def cancel(self, _):
        pass


@pytest.mark.parametrize(
    ("asked", "kind", "message"),
    [
        (OSError("asking failed"), RuntimeError, "^the true error$"),
        (PROGRAM, RuntimeError, "^the true error$"),
        (OLDER, InputError, "has another version of"),
    ],
    ids=["asking fails", "the same program", "older"],
)
def test_what_is_raised_is_explained_by_other_programs_only(asked, kind, message):
    runner = DaskRunner(Fails(asked), Schedule("tcp://b:1"), threads=1)
    with pytest.raises(kind, match=message):
        list(runner.results([dask_work.double], CALLS))


def test_the_first_worker_is_waited_for(pool, monkeypatch, caplog):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    late = threading.Timer(0.5, pool.scale, [1])
    late.start()
    with (
        caplog.at_level(logging.INFO, logger="absl"),
        threadpoolctl.threadpool_limits(),
        schedulers.opened(Schedule(pool.scheduler_address)) as runner,
    ):
        assert dict(runner.results([dask_work.double], CALLS)) == {0: 0, 1: 2, 2: 4}
    given = f"--scheduler={pool.scheduler_address}"
    assert caplog.messages[1:] == [f"{given}: no worker is there; waiting for one", f"{given}: a worker is there"]


def test_processes_of_this_machine_that_do_not_come_are_said(pool, monkeypatch):
    monkeypatch.setattr(dask_runner, "_ENDED", 0.2)
    message = "--scheduler=local: its processes have ended, and no new ones start; give the same command"
    with Client(pool) as client, pytest.raises(InputError, match=message):
        list(DaskRunner(client, Schedule("local"), threads=1).results([dask_work.double], CALLS))


def test_a_scheduler_that_has_gone_is_said(pool):
    with Client(pool) as client:
        runner = DaskRunner(client, Schedule(pool.scheduler_address), threads=1)
        pool.close()
        with pytest.raises(InputError, match="the scheduler has gone; what was done is kept: start it again"):
            list(runner.results([dask_work.double], CALLS))


def test_where_no_scheduler_is(monkeypatch):
    monkeypatch.setattr(dask_clusters, "PATIENCE", 0.5)
    start = time.monotonic()
    message = r"--scheduler=tcp://127\.0\.0\.1:1: no scheduler of Dask answers within 0\.5"
    with pytest.raises(InputError, match=message), schedulers.opened(Schedule("tcp://127.0.0.1:1")):
        pass
    assert time.monotonic() - start < 30.0


@pytest.mark.parametrize("words", [b"220 mail.example.org ESMTP ready, and more words\r\n", b""], ids=["mail", "web"])
def test_what_is_no_scheduler_of_dask_is_said(words, monkeypatch):
    """A server that speaks first, whose words are no lengths of messages; and one that waits to be asked."""
    monkeypatch.setattr(dask_clusters, "PATIENCE", 0.5)
    there = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet():
            with contextlib.suppress(OSError):
                while True:
                    there.append(server.accept()[0])
                    there[-1].sendall(words)

        threading.Thread(target=greet, daemon=True).start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        message = f"^--scheduler={address}: no scheduler of Dask answers within 0.5 s"
        with pytest.raises(InputError, match=message), schedulers.opened(Schedule(address)):
            pass
        server.shutdown(socket.SHUT_RDWR)
    for connection in there:
        connection.close()


def test_certificates_that_are_missing_are_said():
    message = "^--scheduler=tls://127.0.0.1:1: Dask has no certificates here; name them in the environment"
    with pytest.raises(InputError, match=message), schedulers.opened(Schedule("tls://127.0.0.1:1")):
        pass
