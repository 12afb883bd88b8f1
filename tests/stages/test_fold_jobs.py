import concurrent.futures.process
import dataclasses
import errno
import multiprocessing
import os
import pickle
import threading
from concurrent.futures import Future

import pytest
from tqdm import tqdm

from rembrandt_featgen.core import thread_counts
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation.schedulers import Serial
from rembrandt_featgen.stages import fold_jobs, share_slices


def jobs(study, count):
    return [[("prepare_slices", share_slices.Config(run_dir=str(study / f"fold{number}")))] for number in range(count)]


def test_slices_come_first_then_each_fold(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(fold_jobs, "_share", lambda config: done.append(("share", config)))
    monkeypatch.setattr(fold_jobs, "_learn", lambda job: done.append(("learn", job)))
    folds, first = jobs(tmp_path, 2), share_slices.Config(run_dir=str(tmp_path))
    fold_jobs.learn_folds_by(Serial(), folds, first=first, study=tmp_path)
    assert done == [("share", first), ("learn", folds[0]), ("learn", folds[1])]
    assert not list(tmp_path.iterdir())  # the token is taken away


@pytest.mark.parametrize("token", ["of another folder of that name", None])
def test_a_process_that_does_not_see_the_study_is_named(tmp_path, monkeypatch, token):
    monkeypatch.chdir(tmp_path)
    if token:
        (tmp_path / ".shared").write_text(token)
    work = fold_jobs.FoldWork(str(tmp_path), study=str(tmp_path), token="mine")
    message = f"--run_dir={tmp_path}: the worker on .* does not see it .*; take a folder that all machines share"
    with pytest.raises(InputError, match=message):
        work(jobs(tmp_path, 1)[0])


def test_a_process_that_does_not_see_the_cohort_is_named(tmp_path, monkeypatch):
    cohort, done = tmp_path / "cohort", []
    cohort.mkdir()
    monkeypatch.setattr(fold_jobs, "_learn", done.append)
    config = dataclasses.replace(jobs(tmp_path, 1)[0][0][1], cohort=str(cohort))

    class Elsewhere(Serial):
        """Does calls where the cohort is not."""

        def results(self, shared, calls):
            if calls[0].name != "shared slices":
                cohort.rmdir()
            return super().results(shared, calls)

    monkeypatch.setattr(fold_jobs, "_share", done.append)
    monkeypatch.chdir(tmp_path)
    message = f"--cohort={cohort}: the worker on .* does not see it .*; put it where all machines see it"
    with pytest.raises(InputError, match=message):
        fold_jobs.learn_folds_by(Elsewhere(), [[("prepare_slices", config)]], first=config, study=tmp_path)
    assert done == [config]


@pytest.mark.parametrize(("given", "threads"), [("", max((os.cpu_count() or 1) // 2, 1)), ("7", 3)])
def test_fold_processes_share_the_cores_or_the_threads_of_this_one(tmp_path, monkeypatch, given, threads):
    """And this process stays as it was."""
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", given)
    monkeypatch.setattr(fold_jobs, "_submit", lambda pool, work, job: seen.append(dict(os.environ)) or Future())
    monkeypatch.setattr(concurrent.futures, "as_completed", lambda running: [])
    seen, before = [], dict(os.environ)
    fold_jobs.learn_folds(jobs(tmp_path, 1), 2)
    assert [seen[0][name] for name in thread_counts.VARIABLES] == [str(threads)] * len(thread_counts.VARIABLES)
    assert dict(os.environ) == before


def test_ctrl_c_ends_the_workers(monkeypatch):
    ended = []
    worker = dataclasses.make_dataclass("Worker", [], namespace={"terminate": lambda self: ended.append(self)})()
    monkeypatch.setattr(multiprocessing, "active_children", lambda: [worker])
    with pytest.raises(KeyboardInterrupt), fold_jobs._ended_workers():
        raise KeyboardInterrupt
    assert ended == [worker]


def test_workers_share_no_lock_of_progress_bars(monkeypatch):
    """A worker that is ended would leave a semaphore behind, which Python warns of after the line."""
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    before = tqdm.get_lock()
    try:
        fold_jobs._start_worker(0)
        assert isinstance(tqdm.get_lock(), type(threading.RLock()))
    finally:
        tqdm.set_lock(before)


def test_a_worker_that_was_killed_is_said():
    refused = pytest.raises(InputError, match="was killed, as happens where memory runs out.*--cv_workers")
    with refused, fold_jobs._ended_workers():
        raise concurrent.futures.process.BrokenProcessPool("A child process terminated abruptly")


def test_a_full_disk_in_a_fold_is_said(tmp_path, monkeypatch):
    """What an error came of does not leave the process of a fold, so that it is said there."""

    def run(config):
        try:
            raise OSError(errno.ENOSPC, "No space left on device", f"{tmp_path}/best.npz")
        finally:
            raise ValueError("Can't close the ZIP file while there is an open writing handle on it.")

    monkeypatch.setattr(share_slices, "run", run)
    with pytest.raises(InputError) as caught:
        fold_jobs._share(share_slices.Config(run_dir=str(tmp_path)))
    said = str(pickle.loads(pickle.dumps(caught.value)))
    assert said.startswith(f"{tmp_path}/best.npz: No space left on device (--run_dir={tmp_path}, ")
