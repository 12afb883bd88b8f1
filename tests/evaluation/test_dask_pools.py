"""Processes of a pool end at once by Ctrl-C: those that are at work, and those that start."""

import signal
import subprocess
import sys
import threading

import pytest

from rembrandt_featgen.evaluation import dask_pools

HEEDS = "import time; print('at work', flush=True); time.sleep(600)"
IGNORES = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {HEEDS}"


class Nanny:
    """Has a process, as Dask's has."""

    def __init__(self, code):
        self.process, self.closes = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE), False
        self.process.stdout.readline()

    @property
    def pid(self):
        return self.process.pid if self.process.poll() is None else None

    def close_gracefully(self):
        assert self.process.poll() is None  # before the process ends, which would be started again
        self.closes = True


class Pool:
    """What a pool is ended by."""

    def __init__(self):
        self.workers = {"heeds": Nanny(HEEDS), "ignores": Nanny(IGNORES)}


@pytest.fixture
def pool():
    made = Pool()
    yield made
    for nanny in made.workers.values():
        nanny.process.kill()
        nanny.process.communicate()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_does_not_heed_is_killed(pool, error, monkeypatch):
    monkeypatch.setattr(dask_pools, "_GRACE", 0.5)
    with pytest.raises(error), dask_pools.ended_at_once(pool):
        raise error
    ended = {name: nanny.process.wait() for name, nanny in pool.workers.items()}
    assert ended["ignores"] == -signal.SIGKILL
    assert ended["heeds"] in (-signal.SIGTERM, -signal.SIGKILL)  # by when it was asked, on a machine that is busy
    assert all(nanny.closes for nanny in pool.workers.values())


def test_a_pool_that_has_done_its_work_is_left_to_dask(pool):
    with dask_pools.ended_at_once(pool):
        pass
    assert all(nanny.pid and not nanny.closes for nanny in pool.workers.values())


class Starting:
    """A pool that waits for a process, which fails where that is ended."""

    def __init__(self, monkeypatch):
        self.children, self.ended, self.mask = [], threading.Event(), None
        monkeypatch.setattr(dask_pools, "LocalCluster", self)
        monkeypatch.setattr(dask_pools.multiprocessing, "active_children", lambda: list(self.children))

    def __call__(self, **settings):
        self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        child = type("Child", (), {"terminate": lambda _: self.ended.set()})()
        self.children.append(child)
        if settings.get("pressed"):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        assert self.ended.wait(60)
        raise RuntimeError("a process failed to start")


def test_ctrl_c_does_not_wait_until_processes_have_started(monkeypatch):
    pool = Starting(monkeypatch)
    of_others = type("Child", (), {"terminate": lambda _: pytest.fail("a process of others")})()
    pool.children.append(of_others)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            dask_pools.start(pressed=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert pool.ended.is_set()
    assert signal.SIGINT in pool.mask and signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_what_a_pool_fails_by_is_raised(monkeypatch):
    pool = Starting(monkeypatch)
    pool.ended.set()
    with pytest.raises(RuntimeError, match="failed to start"):
        dask_pools.start()
