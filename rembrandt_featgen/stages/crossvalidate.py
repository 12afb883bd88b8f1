"""Runs a study: nested cross-validation over patients, in each fold of which every arm is trained and tested.

A fold learns everything from its training patients: normalisation, U-Net, scale of features, generator, filter,
amount of synthetic data and threshold. Folds that are done are skipped; those that were killed are resumed.
"""

from __future__ import annotations

import concurrent.futures.process
import contextlib
import dataclasses
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging
from tqdm import tqdm

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import reading_choice
from rembrandt_featgen.core import cli, folders, interrupts, json_files, registry, rundir, system_errors
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import run_features, verdicts
from rembrandt_featgen.stages import (
    assign_folds,
    evaluate_features,
    extract_features,
    make_phantom,
    report_cohort,
    share_slices,
    shared_flags,
    train_unet,
    write_study_report,
)

_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
_FOLD = stages.modules(registry.FOLD)
_OF_GENERATORS = ("train_generators", "generate_synthetic")  # not trained where no arm draws from a generator
_OWN = [
    ("cohort_report", bool, shared_flags.cohort_report()),
    ("cv_workers", int, cli.flag(1, "Folds that are trained at the same time, each in a process.", minimum=1)),
]
_GIVEN_BY_FOLD = {"split_file", "slices_from", "test_fraction", "test_counts"}
# Flags of evaluate_features that are of files.
_OF_FILES = {"features", "synthetic", "plan"}
Config = dataclasses.make_dataclass(
    "Config",
    [
        field
        for field in [
            *stages.all_fields([make_phantom, report_cohort, assign_folds, *_FOLD.values(), write_study_report]),
            *_OWN,
        ]
        if field[0] not in _GIVEN_BY_FOLD | _OF_FILES
    ],
    frozen=True,
)


def run(config) -> None:
    """Assigns the folds, trains each, and gathers them into report/; ends with the report's path and its verdict."""
    shared_flags.use_device(config)
    gans, stages_of_fold = _check(config)
    train_unet.check(config)
    train_unet.read_weights(config)
    run_dir = Path(config.run_dir)
    with folders.working_on(run_dir):
        _run(config, run_dir, gans=gans, stages_of_fold=stages_of_fold)


def _run(config, run_dir: Path, *, gans: tuple[str, ...], stages_of_fold: tuple[str, ...]) -> None:
    make_phantom.run(stages.share(make_phantom, config))
    if config.cohort_report:
        report_cohort.run(stages.share(report_cohort, config))
    assign_folds.run(stages.share(assign_folds, config))
    folder, record, _ = rundir.find(config.run_dir, "assign_folds")
    logging.info("%s", verdicts.expectation(record["figures"]["tested"], config.margin, config.trainings))
    cohort = str(shared_flags.cohort_path(config.cohort, config.run_dir))
    jobs = []
    for fold in record["figures"]["folds"]:
        changes = {
            "run_dir": str(run_dir / registry.FOLD_RUNS / fold["name"]),
            "cohort": cohort,
            "slices_from": str(run_dir),
            "split_file": str(folder / f"{fold['name']}.json"),
            "seed": fold["seed"],
            "generators": gans,
        }
        jobs.append(
            [(name, stages.share(_FOLD[name], config, **_fitting(_FOLD[name], changes))) for name in stages_of_fold]
        )
    logging.info(
        "watch with: tensorboard --logdir %s; each fold's log is log.txt in its folder", run_dir / registry.FOLD_RUNS
    )
    learn_folds(jobs, config.cv_workers, first=stages.share(share_slices, config))
    (run_dir / "flags.txt").write_text(cli.flagfile_text(config), encoding="utf-8")
    write_study_report.run(stages.share(write_study_report, config))
    found = json_files.read_json(run_dir / registry.folder("write_study_report") / "report.json")
    print(f"report: {run_dir / registry.folder('write_study_report') / 'index.html'}\nverdict: {found['verdict']}")


def _check(config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """InputError now rather than after the first fold's networks.

    Returns:
      The generators that arms draw from, and the stages of a fold.
    """
    evaluate_features.check(config)
    reading_choice.parse_spacing(config.spacing)
    maps, vectors = (bool(run_features.of_maps(config.classifiers, maps)) for maps in (True, False))
    gans: tuple[str, ...] = ()
    if maps:
        trained = shared_flags.check_generators(config)
        extract_features.check_tap(config)
        extract_features.check_crops(config, config.image_size)
        extract_features.check_cross_fit(config.features_from, config.cross_fit)
        gans = tuple(kind for kind in trained if kind in config.arms)
        for kind in set(trained) - set(gans):
            logging.warning("--generators: %s is in no arm of --arms, so it is not trained", kind)
    run_features.check_arms(config.arms, run_features.fed_arms(config, gans))
    left_out = [] if maps else [*registry.OF_MAPS]
    left_out += [] if vectors else registry.OF_VECTORS
    left_out += [] if gans else _OF_GENERATORS
    return gans, tuple(name for name in _FOLD if name not in left_out)


def learn_folds(jobs: list[list[tuple[str, Any]]], workers: int, *, first: share_slices.Config | None = None) -> None:
    """Runs each job in a process, the machine's cores shared between them.

    Args:
      jobs: each the stages of one fold, (name, config), in order; all have the fold's run_dir.
      workers: processes at a time.
      first: of the slices that jobs share; one of the processes writes them before the others start.

    Raises:
      InputError: from a job; those that have not started then never do.
    """
    threads = str(max((os.cpu_count() or 1) // workers, 1))
    for variable in _THREADS:  # workers inherit them, and read them when they import TensorFlow
        os.environ[variable] = threads
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, _start_worker, (os.getpid(),))
    with pool, contextlib.ExitStack() as stack:
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
    with interrupts.ignored():
        return pool.submit(work, argument)


def _fitting(module, changes: dict) -> dict:
    """Those of `changes` that `module.Config` has a field for."""
    names = {field.name for field in dataclasses.fields(module.Config)}
    return {name: value for name, value in changes.items() if name in names}


def _start_worker(parent: int) -> None:
    """Ends the worker should its parent be killed."""

    def watch():
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _share(config: share_slices.Config) -> None:
    """Writes the slices that folds share; what it says goes to the console."""
    cli.start_logging()
    with system_errors.said(cli.path_flags(config)):
        share_slices.run(config)
    tf.keras.backend.clear_session()


def _learn(job: list[tuple[str, Any]]) -> None:
    """Runs the stages of one fold; what they say goes into log.txt of its folder."""
    folder = Path(job[0][1].run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    cli.start_logging()
    for name, config in job:
        start = time.time()
        with system_errors.said(cli.path_flags(config)):
            _FOLD[name].run(config)
        tf.keras.backend.clear_session()
        logging.info("%s: %.0f s", name, time.time() - start)
        if name == "prepare_slices" and "extract_features" in dict(job):  # now rather than after the U-Net
            size = rundir.find(folder, name).record["figures"]["image_size"]
            extract_features.check_crops(dict(job)["extract_features"], size)


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
