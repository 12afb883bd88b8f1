"""Runs all stages of a run, from NIfTI files to the report; finished ones are skipped, interrupted ones resume."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import time
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import reading_choice
from rembrandt_featgen.cohort.classes import KNOWN_PAIRS, Classes
from rembrandt_featgen.core import cli, folders, json_files, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.estimates import limits, run_estimates
from rembrandt_featgen.evaluation import run_features, verdicts
from rembrandt_featgen.features import crops
from rembrandt_featgen.generation import adding
from rembrandt_featgen.stages import (
    evaluate_features,
    extract_features,
    run_sweep,
    shared_flags,
    train_classifiers,
    train_unet,
    trial_stages,
)

_MODULES = stages.modules()
# Flags of evaluate_features that are of files, or of plans that a run does not have.
_NOT_OF_A_RUN = {"features", "synthetic", "plan", "cv_folds"}
_CLASSIFIERS = next(field for field in dataclasses.fields(evaluate_features.Config) if field.name == "classifiers")
_OWN = [
    ("cohort_report", bool, shared_flags.cohort_report()),
    # of vectors alone: they are cheap, and no maps are read into memory for them
    ("classifiers", tuple[str, ...], cli.flag(("ridge", "mlp"), **_CLASSIFIERS.metadata)),
    (
        "study_features",
        bool,
        cli.flag(
            True,
            "Whether a study of the run's features gives the verdict; false leaves out the stages "
            f"{' and '.join(registry.OF_STUDY)}.",
        ),
    ),
    (
        "last_stage",
        str,
        cli.flag(
            "write_report",
            "Stage to end with: 'train_unet' pre-trains a U-Net for another run, after 'extract_features' features can "
            "be exported (stages.export_features). Without it a later call goes on.",
            choices=registry.RUN,
        ),
    ),
]
Config = dataclasses.make_dataclass(
    "Config",
    [
        *(
            field
            for field in stages.all_fields(_MODULES.values())
            if field[0] not in {*_NOT_OF_A_RUN, *(name for name, *_ in _OWN)}
        ),
        *_OWN,
    ],
    frozen=True,
)


def run(config) -> None:
    """Runs each stage with its share of `config`; ends with the path of the report, if it comes so far."""
    names = _checked(config)
    run_dir = Path(config.run_dir)
    with folders.working_on(run_dir):
        _run(config, names, run_dir)


def estimate(config) -> None:
    """Prints what the run takes, from a trial in a temporary folder; InputError where it does not fit."""
    run_estimates.of_run(config, _checked(config), trial_stages.CALLS)


def _checked(config) -> list[str]:
    """Names of the stages; InputError now for what a late one would refuse, and for what cannot fit here."""
    shared_flags.use_device(config)
    names = stages_of(config)
    _check(config)
    if "evaluate_features" in names:
        evaluate_features.check(config)
        run_features.check_arms(config.arms, run_features.fed_arms(config, config.generators))
    limits.check(config, names)
    return names


def _run(config, names: Sequence[str], run_dir: Path) -> None:
    logging.info("watch with: tensorboard --logdir %s", run_dir / "tensorboard")
    for number, name in enumerate(names, 1):
        module = _MODULES[name]
        logging.info("[%d/%d] %s: %s", number, len(names), name, module.__doc__.splitlines()[0])
        start = time.time()
        # the last words are those of the run's report, which tells the verdict of the study
        with contextlib.redirect_stdout(io.StringIO()) if name == "evaluate_features" else contextlib.nullcontext():
            module.run(stages.share(module, config))
        if name == "prepare_slices" and "extract_features" in names:
            record = rundir.find(run_dir, name).record
            check_size(config, record["figures"]["image_size"])
            if "train_classifiers" in names:
                check_receivers(config, Classes.of_record(record["classes"]))
            tested = record["figures"]["split"]["test"]["patients"]
            logging.info("%s", verdicts.expectation(tested, config.margin, config.trainings))
        tf.keras.backend.clear_session()
        logging.info("[%d/%d] %s: %.0f s", number, len(names), name, time.time() - start)
    # once all stages agreed to these settings: a re-runnable flagfile of the whole run
    folders.keep_text(run_dir / "flags.txt", cli.flagfile_text(config))
    if config.last_stage != "write_report":
        print(f"ended with {config.last_stage}, as --last_stage says: {run_dir}")
        return
    found = json_files.read_json(run_dir / registry.folder("write_report") / "report.json")
    print(f"report: {run_dir / registry.folder('write_report') / 'index.html'}\nverdict: {found['verdict']}")


def stages_of(config) -> list[str]:
    """Names of the stages that a run has, in order, without those of a study or of vectors that nobody asks for."""
    names = registry.RUN[: registry.RUN.index(config.last_stage) + 1]
    left_out: tuple[str, ...] = () if config.study_features else registry.OF_STUDY
    left_out += () if config.cohort_report else registry.OF_COHORT
    left_out += () if run_features.of_maps(config.classifiers, False) else registry.OF_VECTORS
    return [name for name in names if name not in left_out]


def _check(config) -> None:
    """InputError for what a late stage would refuse: now rather than after hours of training."""
    reading_choice.parse_spacing(config.spacing)
    shared_flags.check_strategy(config)
    shared_flags.check_generators(config)
    extract_features.check_tap(config)
    extract_features.check_cross_fit(config.features_from, config.cross_fit)
    check_size(config, config.image_size)
    train_classifiers.check(config)
    train_unet.check(config)
    train_unet.read_weights(config)
    run_sweep.check(config)
    # a cohort whose classes have other names needs --classes
    known = config.classes or [name for pair in KNOWN_PAIRS for name in pair]
    receivers = (adding.ALL, adding.MINORITY, *known)
    cli.some_of("synthetic_to", (config.synthetic_to,), receivers)
    cli.some_of("sweep_added_to", config.sweep_added_to, receivers, at_least=0)
    count = (len(config.classes) or 2) if config.synthetic_to == adding.ALL else 1
    most, whose = count * config.synthetic_per_class, f"{count} classes" if count > 1 else "one class"
    if config.synthetic_added > most:
        raise InputError(
            f"--synthetic_added={config.synthetic_added} is more than {whose} of "
            f"--synthetic_per_class={config.synthetic_per_class} can give; take {most} at most, or generate more"
        )


def check_size(config, size: int) -> None:
    """InputError where crops do not fit into slices of that size, which with --fit=resize can be below --image_size."""
    extract_features.check_crops(config, size)
    if crops.TAP in config.sweep_taps:
        extract_features.check_crops(dataclasses.replace(config, tap=crops.TAP), size)


def check_receivers(config, classes: Classes) -> None:
    """InputError for a flag that names a class that the run lacks, once its classes are known.

    Args:
      config: of the pipeline.
      classes: of the run.
    """
    receivers = adding.receivers(classes)
    cli.some_of("synthetic_to", (config.synthetic_to,), receivers)
    if config.sweep_added:
        cli.some_of("sweep_added_to", config.sweep_added_to, receivers)


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags, estimate=estimate)


if __name__ == "__main__":
    main()
