"""Runs the stages of a study's folds in processes: of this machine, or of Dask."""

from __future__ import annotations

import concurrent.futures.process
import contextlib
import dataclasses
import multiprocessing
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging
from tqdm import tqdm

from rembrandt_featgen import stages
from rembrandt_featgen.core import cli, interrupts, rundir, system_errors, thread_counts
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation.schedulers import Call, Runner

_TOKEN = ".shared"  # file in a study's folder, by which a process of Dask is known to see it
_FIRST = "share_slices"

Job = list[tuple[str, Any]]  # name of each stage of a fold, in order, and its config; all have the fold's run_dir


def learn_folds(jobs: list[Job], workers: int, *, first: Any = None) -> None:
    """Runs each job in a process, which share the threads that this one has, or the machine's cores.

    Args:
      jobs: one for each fold.
      workers: processes at a time.
      first: config of share_slices; one of the processes writes the slices that jobs share before the others start.

    Raises:
      InputError: from a job; those that have not started then never do.
    """
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, _start_worker, (os.getpid(),))
    threads = max(thread_counts.total() // workers, 1)
    with pool, contextlib.ExitStack() as stack:
        stack.enter_context(thread_counts.for_new_processes(threads))
        stack.enter_context(_ended_workers())
        if first is not None:
            _submit(pool, _share, first).result()
        bar = stack.enter_context(tqdm(total=len(jobs), desc="folds", unit="fold"))
        running = [_submit(pool, _learn, job) for job in jobs]
        try:
            for done in concurrent.futures.as_completed(running):
                done.result()
                bar.update()
        except BaseException:
            for job in running:
                job.cancel()
            raise


@contextlib.contextmanager
def _ended_workers() -> Iterator[None]:
    """Ends the workers on Ctrl-C, for what they do is resumed; says it in one line where the system has ended one."""
    try:
        yield
    except KeyboardInterrupt:
        for worker in multiprocessing.active_children():
            worker.terminate()
        raise
    except concurrent.futures.process.BrokenProcessPool as error:
        raise InputError(
            "a process that trained a fold was killed, as happens where memory runs out; give a smaller --cv_workers, "
            "and run the same command again, which keeps what is finished"
        ) from error


def _submit(pool: concurrent.futures.Executor, work, argument) -> concurrent.futures.Future:
    """Hands a job to the workers, one of which may start then; they leave Ctrl-C to this process."""
    with interrupts.left_to_this_process():
        return pool.submit(work, argument)


def learn_folds_by(runner: Runner, jobs: list[Job], *, first: Any, study: Path) -> None:
    """Runs each job in a process of Dask; all of these must see the study's folder, into which jobs write.

    Args:
      runner: of Dask.
      jobs, first: as for `learn_folds`.
      study: run_dir of the study.

    Raises:
      InputError: from a job; or a process does not see the folder. Stages that were done are kept.
    """
    token = uuid.uuid4().hex
    (study / _TOKEN).write_text(token, encoding="utf-8")
    seen = dict.fromkeys(item for _, config in [(_FIRST, first), *sum(jobs, [])] for item in _paths_there(config))
    work = FoldWork(str(Path.cwd()), study=str(study), token=token, seen=tuple(seen))
    try:
        list(runner.results([work], [Call("shared slices", 0, [(_FIRST, first)])]))
        calls = [Call(Path(job[0][1].run_dir).name, 0, job) for job in jobs]
        with tqdm(total=len(jobs), desc="folds", unit="fold") as bar:
            for _ in runner.results([work], calls):
                bar.update()
    finally:
        (study / _TOKEN).unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True)
class FoldWork:
    """Does jobs in a process of Dask as this process would.

    Attributes:
      folder: the working directory, by which other folders are named.
      study: run_dir of the study.
      token: what stands in a file there, if it is the same folder.
      seen: flags and their paths that are read.
    """

    folder: str
    study: str
    token: str
    seen: tuple[tuple[str, str], ...] = ()

    def __call__(self, job: Job) -> None:
        """Does a job; InputError where the folder is not the same, or a path is not there."""
        try:
            os.chdir(self.folder)
            there = (Path(self.study) / _TOKEN).read_text(encoding="utf-8")
        except OSError:
            there = ""
        if there != self.token:
            raise InputError(
                f"--run_dir={self.study}: the worker on {socket.gethostname()} does not see it (from {self.folder}), "
                "and folds write into it; take a folder that all machines share"
            )
        for name, path in self.seen:
            if not Path(path).exists():
                raise InputError(
                    f"--{name}={path}: the worker on {socket.gethostname()} does not see it (from {self.folder}); put "
                    "it where all machines see it under the same name"
                )
        if job[0][0] == _FIRST:
            _share(job[0][1])
        else:
            _learn(job)


def _paths_there(config) -> list[tuple[str, str]]:
    """Flags of a config, and their paths, that are there before anything is done."""
    return [(name, path) for name, path in cli.path_flags(config).items() if path and Path(path).exists()]


def _start_worker(parent: int) -> None:
    """Ends the worker should its parent be killed.

    Its progress bars share no lock with other processes: one of a process that is ended would be reported as leaked.
    """
    tqdm.set_lock(threading.RLock())

    def watch():
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _share(config) -> None:
    """Writes the slices that folds share; what it says goes to the console."""
    cli.start_logging()
    with system_errors.said(cli.path_flags(config)):
        stages.modules([_FIRST])[_FIRST].run(config)
    tf.keras.backend.clear_session()


def _log_to(path: Path) -> None:
    """Has this process write all that it says into a file; where its folder is read-only, nowhere."""
    kept = path if os.access(path.parent, os.W_OK) else Path(os.devnull)
    with kept.open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def _learn(job: Job) -> None:
    """Runs the stages of one fold; what they say goes into log.txt of its folder."""
    folder = Path(job[0][1].run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    _log_to(folder / "log.txt")
    cli.start_logging()
    modules = stages.modules(dict(job))
    for name, config in job:
        start = time.time()
        with system_errors.said(cli.path_flags(config)):
            modules[name].run(config)
        tf.keras.backend.clear_session()
        logging.info("%s: %.0f s", name, time.time() - start)
        if name == "prepare_slices" and "extract_features" in modules:  # now rather than after the U-Net
            size = rundir.find(folder, name).record["figures"]["image_size"]
            modules["extract_features"].check_crops(dict(job)["extract_features"], size)
