"""Runs a study: nested cross-validation over patients, in each fold of which every arm is trained and tested.

A fold learns everything from its training patients: normalisation, U-Net, scale of features, generator, filter,
amount of synthetic data and threshold. Folds that are done are skipped; those that were killed are resumed.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import reading_choice
from rembrandt_featgen.core import cli, folders, json_files, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.estimates import limits, run_estimates
from rembrandt_featgen.evaluation import run_features, schedulers, verdicts
from rembrandt_featgen.stages import (
    assign_folds,
    evaluate_features,
    extract_features,
    fold_jobs,
    make_phantom,
    report_cohort,
    share_slices,
    shared_flags,
    train_unet,
    trial_stages,
    write_study_report,
)

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
    gans, stages_of_fold = _checked(config)
    schedule = shared_flags.schedule(config)
    if schedule.scheduler != schedulers.SERIAL and config.cv_workers > 1:
        raise InputError(
            f"--cv_workers={config.cv_workers} with --scheduler={config.scheduler}: it is of --scheduler=serial; leave "
            "it out, and say --workers of --scheduler=local"
        )
    run_dir = Path(config.run_dir)
    with folders.working_on(run_dir):
        jobs = _jobs(config, run_dir, gans=gans, stages_of_fold=stages_of_fold)
        _learn(config, run_dir, jobs, schedule=schedule)
        _report(config, run_dir)


def estimate(config) -> None:
    """Prints what the study takes, from a trial in a temporary folder; InputError where it does not fit."""
    gans, stages_of_fold = _checked(config)
    run_estimates.of_study(config, stages_of_fold, gans, calls=trial_stages.CALLS)


def _checked(config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """As `_check`; and InputError for U-Net's flags, and for what cannot fit here."""
    shared_flags.use_device(config)
    found = _check(config)
    train_unet.check(config)
    train_unet.read_weights(config)
    limits.check(config, found[1])
    return found


def _jobs(config, run_dir: Path, *, gans: tuple[str, ...], stages_of_fold: tuple[str, ...]) -> list[fold_jobs.Job]:
    """Assigns the folds; what is to be done for each."""
    make_phantom.run(stages.share(make_phantom, config))
    if config.cohort_report:
        report_cohort.run(stages.share(report_cohort, config))
    assign_folds.run(stages.share(assign_folds, config))
    folder, record, _ = rundir.find(config.run_dir, "assign_folds")
    logging.info("%s", verdicts.expectation(record["figures"]["tested"], config.margin, config.trainings))
    cohort = str(shared_flags.cohort_path(config.cohort, config.run_dir))
    jobs: list[fold_jobs.Job] = []
    for fold in record["figures"]["folds"]:
        changes = {
            "run_dir": str(run_dir / registry.FOLD_RUNS / fold["name"]),
            "cohort": cohort,
            "slices_from": str(run_dir),
            "split_file": str(folder / f"{fold['name']}.json"),
            "seed": fold["seed"],
            "generators": gans,
            **_serial(),
        }
        jobs.append(
            [(name, stages.share(_FOLD[name], config, **_fitting(_FOLD[name], changes))) for name in stages_of_fold]
        )
    return jobs


def _learn(config, run_dir: Path, jobs: list[fold_jobs.Job], *, schedule: schedulers.Schedule) -> None:
    """Trains the folds, each in a process."""
    logging.info(
        "watch with: tensorboard --logdir %s; each fold's log is log.txt in its folder", run_dir / registry.FOLD_RUNS
    )
    first = stages.share(share_slices, config)
    if schedule.scheduler == schedulers.SERIAL:
        fold_jobs.learn_folds(jobs, config.cv_workers, first=first)
    else:
        with schedulers.opened(schedule) as runner:
            fold_jobs.learn_folds_by(runner, jobs, first=first, study=run_dir)


def _report(config, run_dir: Path) -> None:
    folders.keep_text(run_dir / "flags.txt", cli.flagfile_text(config))
    write_study_report.run(stages.share(write_study_report, config))
    found = json_files.read_json(run_dir / registry.folder("write_study_report") / "report.json")
    print(f"report: {run_dir / registry.folder('write_study_report') / 'index.html'}\nverdict: {found['verdict']}")


def _check(config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """InputError now rather than after the first fold's networks.

    Returns:
      The generators that arms draw from, and the stages of a fold.
    """
    evaluate_features.check(config)
    shared_flags.check_strategy(config)
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


def _serial() -> dict:
    """Flags of a fold's own tasks: where folds are done at the same time, each does its tasks by itself."""
    fields = dataclasses.fields(evaluate_features.Config)
    return {field.name: field.default for field in fields if field.name in shared_flags.OF_SCHEDULE}


def _fitting(module, changes: dict) -> dict:
    """Those of `changes` that `module.Config` has a field for."""
    names = {field.name for field in dataclasses.fields(module.Config)}
    return {name: value for name, value in changes.items() if name in names}


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags, estimate=estimate)


if __name__ == "__main__":
    main()
