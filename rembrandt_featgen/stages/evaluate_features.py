"""Studies features: does generation help classifiers of them? Of a file made anywhere, or of a run's maps and vectors.

Every fold learns everything from its training patients, and tunes the regularisation of each pipeline on them. Folds
that are done are skipped; those that were killed are resumed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.classification import classifier_kinds
from rembrandt_featgen.classification.classifier_kinds import CLASSIFIER_KINDS
from rembrandt_featgen.cohort import splits
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import cli, json_files, provenance, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.estimates import limits, study_estimates
from rembrandt_featgen.evaluation import (
    arms,
    competitors,
    engine,
    plans,
    predictions,
    run_features,
    schedulers,
    shared_cohort,
    study_report,
    trials,
    verdicts,
)
from rembrandt_featgen.evaluation.arms import ARMS, SYNTHETIC
from rembrandt_featgen.evaluation.competitors import Settings
from rembrandt_featgen.evaluation.run_features import Studied, of_maps
from rembrandt_featgen.evaluation.schedulers import Schedule
from rembrandt_featgen.features import importing
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.generation.sample_pool import SamplePool
from rembrandt_featgen.nn import tensorboard
from rembrandt_featgen.reporting import study_files
from rembrandt_featgen.stages import network_flags, pseudonym_flags, shared_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    features: str = shared_flags.features()
    classes: tuple[str, ...] = shared_flags.classes()
    label_column: str = shared_flags.label_column()
    patient_column: str = shared_flags.patient_column()
    group_column: str = shared_flags.group_column()
    group_pattern: str = shared_flags.group_pattern()
    site_column: str = shared_flags.site_column()
    covariates: tuple[str, ...] = shared_flags.covariates()
    pseudonymise: bool = pseudonym_flags.pseudonymise()
    pseudonym_key: str = pseudonym_flags.pseudonym_key()
    synthetic: str = cli.flag(
        "",
        "Samples that somebody else's generator made of the training patients alone, with the columns of --features: "
        "an arm, with --plan=split only, since with other plans each patient is tested once.",
        path=True,
    )
    seed: int = shared_flags.seed()
    plan: str = cli.flag(
        "k-fold",
        "Who tests: a part of the groups at a time (k-fold), one part (hold-out), one site at a time (sites), those of "
        "whom the column split of --features says 'test', beside 'train' and 'validation' (split).",
        choices=("k-fold", "hold-out", "sites", "split"),
    )
    test_fraction: float = shared_flags.test_fraction()
    validation_fraction: float = shared_flags.validation_fraction()
    cv_folds: int = shared_flags.cv_folds()
    trainings: int = shared_flags.trainings()
    margin: float = shared_flags.margin()
    arms: tuple[str, ...] = cli.flag(
        arms.USUAL,
        f"Arms that compete, of {', '.join(ARMS)}; of the default ones those for which there is nothing (covariates, "
        "generators, augmented slices, --synthetic) are left out.",
    )
    arm_amounts: tuple[str, ...] = shared_flags.arm_amounts()
    classifiers: tuple[str, ...] = cli.flag(
        ("cnn", "ridge", "mlp"),
        "Classifiers of each arm: "
        f"{', '.join(name for name, kind in CLASSIFIER_KINDS.items() if kind.of_maps)} of maps, "
        f"{', '.join(name for name, kind in CLASSIFIER_KINDS.items() if not kind.of_maps)} of vectors.",
    )
    components: int = shared_flags.components()
    inner_folds: int = shared_flags.inner_folds()
    precision: str = shared_flags.precision()
    device: str = shared_flags.device()
    tf32: bool = shared_flags.tf32()
    jit: bool = shared_flags.jit()
    deterministic: bool = shared_flags.deterministic()
    augmentation: str = shared_flags.augmentation()
    classifier_filters: int = network_flags.classifier_filters()
    classifier_units: int = network_flags.classifier_units()
    classifier_epochs: int = network_flags.classifier_epochs()
    classifier_batch: int = network_flags.classifier_batch()
    classifier_learning_rate: float = network_flags.classifier_learning_rate()
    scheduler: str = shared_flags.scheduler()
    workers: int = shared_flags.workers()
    task_threads: int = shared_flags.task_threads()
    bootstrap_draws: int = shared_flags.bootstrap_draws()
    report_title: str = shared_flags.report_title("the name of the table, or of the run's folder")


def run(config: Config) -> None:
    """Writes run_dir/study: report.json, index.html, predictions.csv, and tables as CSV and LaTeX."""
    schedule = _checked(config)
    of_file = _of_file(config, _read(config)) if config.features else None
    files = {"features_file": config.features, "synthetic_file": config.synthetic}  # "features" is a folder of a run
    digests = {name: rundir.file_digest(Path(path)) for name, path in files.items() if path}
    wanted = wanted_of(config)
    inputs = [] if of_file else run_features.inputs(wanted)
    classes = of_file.table.classes if of_file else Classes.of_record(inputs[0].record["classes"])
    with rundir.open_stage(config, "evaluate_features", inputs, digests=digests, classes=classes.record) as stage:
        if not stage.done:
            maps = registry.folder("extract_features")
            for figures in (one.record["figures"] for one in inputs if one.folder.name == maps):
                limits.check_maps(config.run_dir, figures["shape"], sum(figures["features"].values()))
            studied = run_features.studied(wanted) if of_file is None else [of_file]
            study(config, studied, stage, schedule=schedule)
    folder = Path(config.run_dir) / registry.folder("evaluate_features")
    print(f"report: {folder / 'index.html'}\nverdict: {stage.record['figures']['verdict']}")


def estimate(config: Config) -> None:
    """Prints what the study takes, from some of its tasks; InputError where it does not fit."""
    _checked(config)
    wanted = wanted_of(config)
    found = [_of_file(config, _read(config))] if config.features else run_features.studied(wanted)
    study_estimates.of_features(config, found, study=try_tasks)


def try_tasks(config: Config, studied: Sequence[Studied], run_dir: str) -> None:
    """Does the tasks of a study in the folder of a trial."""
    own = dataclasses.replace(config, run_dir=run_dir)
    with rundir.open_stage(own, "evaluate_features", classes=studied[0].table.classes.record) as stage:
        study(own, studied, stage, schedule=Schedule())


def _checked(config: Config) -> Schedule:
    """Where tasks are done; InputError for flags that do not go together."""
    shared_flags.use_device(config)
    check(config)
    schedule = shared_flags.schedule(config)
    if config.synthetic and not config.features:
        raise InputError(
            f"--synthetic={config.synthetic} without --features: it holds samples like those of --features; give both, "
            "or leave it out"
        )
    return schedule


def check(config) -> None:
    """InputError for arms, classifiers or amounts that are none, or that nothing can be compared with."""
    cli.some_of("arms", config.arms, ARMS)
    for name in config.classifiers:
        try:
            classifier_kinds.kind_of(name)
        except ValueError as error:
            raise InputError(f"--classifiers={','.join(config.classifiers)}: {error}") from error
    if not config.classifiers:
        cli.some_of("classifiers", config.classifiers, CLASSIFIER_KINDS)
    shared_flags.amounts(config.arm_amounts)
    try:
        competitors.check_arms(config.arms)
    except ValueError as error:
        raise InputError(f"--arms={','.join(config.arms)}: {error}") from error


def study(config, studied: Sequence[Studied], stage: rundir.Stage, *, schedule: Schedule) -> None:
    """Does the tasks of all features, and writes what came of them."""
    choices: list[dict] = [{} for _ in studied[0].tasks]
    notes: dict[str, dict] = {}
    tested = np.unique(np.concatenate([task.test for task in studied[0].tasks]))
    expected = verdicts.expectation(studied[0].table.take(tested).patient_counts, config.margin, config.trainings)
    if not any(ARMS[name].kind == "generative" for one in studied for name in settings_of(config, one).arms):
        expected = (
            "no arm of --arms generates samples by a model: the report will have the table of arms, and no verdict"
        )
    logging.info("%s", expected)
    parts = [
        engine.Part(
            one.tasks,
            functools.partial(trials.run, one.table, settings=settings_of(config, one), tuned={}),
            stage.path / "checkpoints" / one.table.kind,  # until the stage is done
        )
        for one in studied
    ]
    with schedulers.opened(schedule, stage.path / schedulers.LOG) as runner:
        outcomes = engine.run_parts(parts, runner)
        schedulers.note(stage.record, runner)
    for one, done in zip(studied, outcomes):
        for choice, outcome in zip(choices, done):
            for name, entries in outcome.choices.items():
                choice.setdefault(name, {}).update(entries)
        notes |= one.notes
    gathered = engine.gather([outcome for done in outcomes for outcome in done])
    for choice in choices:
        for name, measured in choice["generators"].items():
            measured.update(notes.get(name.split("/")[-1], {}))
    cohort = study_report.cohort_of(
        studied[0].table,
        config.features or f"features of {config.run_dir}",
        components=config.components if any(not one.table.is_map for one in studied) else 0,
        tasks=studied[0].tasks,
    )
    cohort["warnings"] += [line for one in studied for line in one.warnings]
    report = json_files.plain(
        study_report.report(
            gathered,
            cohort,
            choices=choices,
            settings={**stage.record["config"], **_ran(config, gathered)},
            draws=config.bootstrap_draws,
            seed=config.seed,
            margin=config.margin,
        )
        | {"versions": provenance.versions(), "commit": provenance.commit()}
    )
    if config.plan == "split" or not config.features:  # a division that was made before has a share of its own
        report["cross_validation"]["validation_fraction"] = _validating(studied[0])
    study_files.write(stage.path, report, config.report_title or Path(config.features or config.run_dir).stem)
    predictions.write(stage.path / predictions.FILE, gathered)
    names = ("classifier", "arm", "auroc", "balanced_accuracy")
    shown = [{name: row[name] for name in names} for row in report["arms"] if row["unit"] == "patient"]
    tensorboard.complete(
        stage,
        verdict=report["verdict"],
        verdict_word=report["verdict_word"],
        arms=shown,
        generators=report["generators"],
        choices=choices,
    )


def _validating(studied: Studied) -> float:
    """Share of the patients that are not tested who validate."""
    [validation, training] = (
        len(np.unique(studied.table.patients[rows])) for rows in (studied.tasks[0].validation, studied.tasks[0].train)
    )
    return validation / (validation + training)


def _ran(config, gathered: predictions.PredictionsTable) -> dict[str, list[str]]:
    """Arms and classifiers of the flags, without those for which there was nothing: `cnn` is not of vectors."""
    return {
        "arms": [name for name in config.arms if name in gathered.arm],
        "classifiers": [name for name in config.classifiers if name in gathered.classifier],
    }


def settings_of(config, studied: Studied) -> Settings:
    """What competes on some features."""
    table, vectors = studied.table, not studied.table.is_map
    covariates = bool(table.covariates) and vectors
    kept = any(len(task.reserve) for task in studied.tasks)
    chosen = arms.available(config.arms, covariates=covariates, pools=studied.pools, reserve=kept)
    return Settings(
        arms=chosen,
        amounts=tuple(shared_flags.amounts(config.arm_amounts)),
        classifiers=of_maps(config.classifiers, table.is_map),
        components=config.components if vectors else 0,
        inner_folds=config.inner_folds,
        pools=studied.pools,
        networks=network_flags.classifiers(config),
    )


def wanted_of(config) -> run_features.Wanted:
    """What a study asks of a run's features."""
    return run_features.Wanted(
        config.run_dir,
        arms=config.arms,
        classifiers=config.classifiers,
        amounts=tuple(shared_flags.amounts(config.arm_amounts)),
        covariates=config.covariates,
        seeds=seeds_of(config),
        augmentation=config.augmentation,
        precision=config.precision,
    )


def seeds_of(config) -> tuple[int, ...]:
    """Seeds of the trainings of one division; those of other folds and runs differ where their --seed does."""
    return tuple(config.seed * config.trainings + number for number in range(config.trainings))


def _read(config) -> FeatureTable:
    """The features of --features; InputError for flags that do not go with them."""
    if config.synthetic and config.plan != "split":
        raise InputError(
            f"--synthetic={config.synthetic} with --plan={config.plan}: its generator may have seen patients who are "
            "tested; say with a column split in --features who trained it, and take --plan=split"
        )
    table = shared_flags.read_features(config)
    if not of_maps(config.classifiers, table.is_map):
        fitting = ", ".join(name for name, kind in CLASSIFIER_KINDS.items() if kind.of_maps == table.is_map)
        raise InputError(
            f"--classifiers={','.join(config.classifiers)}: none is of {table.kind}, which --features="
            f"{config.features} has; take some of {fitting}"
        )
    have = (SYNTHETIC,) if config.synthetic else ()
    there = arms.available(
        config.arms,
        covariates=bool(config.covariates) and not table.is_map,
        pools=have,
    )
    run_features.check_arms(config.arms, {table.kind: there}, of_file=True)
    return table


def _of_file(config, table: FeatureTable) -> Studied:
    """Features made elsewhere, and the tasks of --plan."""
    drawn = {SYNTHETIC: SamplePool(*importing.read_synthetic(config.synthetic, table))} if config.synthetic else {}
    seeds = seeds_of(config)
    share = {"validation": config.validation_fraction, "division": config.seed}
    if config.plan == "split":
        split = importing.read_split(config.features)
        parts = {name: table.take(split == name) for name in splits.SPLITS}
        table, tasks = plans.given(parts, seeds, f"--features={config.features}, column split")
    elif config.plan == "sites":
        tasks = plans.sites(table, seeds=seeds, **share)
    elif config.plan == "hold-out":
        tasks = plans.hold_out(table, test=config.test_fraction, seeds=seeds, **share)
    else:
        tasks = plans.k_fold(table, folds=config.cv_folds, repeats=config.trainings, seeds=seeds[:1], **share)
    return Studied(table, tasks, pools=drawn, notes={}, warnings=_seen_before(config, table, tasks))


def _seen_before(config, table: FeatureTable, tasks: Sequence[plans.Task]) -> tuple[str, ...]:
    """Warns where those who are tested may have made the features, or the samples of --synthetic, or a poor U-Net."""
    line = ""
    if config.plan != "split":
        line = importing.trained_on(config.features)
    elif config.synthetic:
        held = table.take(np.concatenate([tasks[0].test, tasks[0].validation]))
        line = shared_cohort.check_unseen(Path(config.synthetic), held)
    lines = tuple(filter(None, (line, importing.made_by_poor_unet(config.features))))
    for line in lines:
        logging.warning("%s", line)
    return lines


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags, estimate=estimate)


if __name__ == "__main__":
    main()
