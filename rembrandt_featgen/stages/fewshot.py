"""Studies few patients of a class: what does generation add to 3, 5 or 10 of them, and how many real ones is it worth?

The class is cut to some of its patients, drawn anew again and again; those who are left are tested. Regularisation is
chosen by real samples alone, before anything is generated, and holds for every arm. Draws that are done are skipped,
those of a finished study, too, where --draws is larger than it was, or --margin, --bootstrap_draws or --report_title
is another.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.classification import classifier_kinds
from rembrandt_featgen.core import cli, json_files, made_by, provenance, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.estimates import limits, study_estimates
from rembrandt_featgen.evaluation import (
    arms,
    competitors,
    engine,
    few_shot_contrasts,
    few_shot_kept,
    few_shot_report,
    few_shots,
    gan_pools,
    plans,
    schedulers,
    study_report,
)
from rembrandt_featgen.evaluation.arms import ARMS
from rembrandt_featgen.evaluation.competitors import Settings
from rembrandt_featgen.evaluation.gan_pools import GanPools
from rembrandt_featgen.features import importing
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.measures import differences
from rembrandt_featgen.nn import tensorboard
from rembrandt_featgen.reporting import few_shot_page
from rembrandt_featgen.stages import network_flags, pseudonym_flags, shared_flags

# Real samples alone, what people do without a generator, every generator of vectors, and the controls.
_ARMS = ("none", "class_weights", "undersampling", "mixup", *METHODS, arms.ORACLE, arms.COPY, arms.SHUFFLED)


# Arms that there can be samples for: those that draw from a pool are GANs of maps, which each draw trains for itself.
_POSSIBLE = tuple(name for name, arm in ARMS.items() if not arm.pool or name in gan_pools.OF_MAPS)


# Flags that change nothing but what is reckoned of the draws, and how it is shown.
_OF_THE_REPORT = ("margin", "bootstrap_draws", "report_title")


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
    seed: int = shared_flags.seed()
    cut_class: str = cli.flag("", "The class that is cut to a few patients; by default the one of fewest.")
    shots: tuple[str, ...] = cli.flag(
        ("3", "5", "10"),
        f"Numbers of groups of patients of it that are learnt from; {few_shots.TESTED} are left to test, at least.",
    )
    draws: int = cli.flag(
        60,
        "How often patients are drawn anew; some 300 where there is time. More of them extend a finished study.",
        minimum=differences.TRAININGS,
    )
    oracle_groups: int = cli.flag(
        17, f"Further groups of it that the arm {arms.ORACLE} adds, fewer where too few would be left.", minimum=0
    )
    test_fraction: float = cli.flag(
        0.4,
        "Share of the patients of each other class that a draw tests; of the class that is cut all who are left are.",
        minimum=0.01,
        maximum=0.9,
    )
    margin: float = shared_flags.margin()
    few_shot_arms: tuple[str, ...] = cli.flag(_ARMS, f"Arms that compete, of {', '.join(_POSSIBLE)}.")
    few_shot_amounts: tuple[str, ...] = cli.flag(
        ("0",), "Amounts of extra samples, as --arm_amounts says; inner folds choose among several."
    )
    few_shot_classifiers: tuple[str, ...] = cli.flag(
        ("ridge", "mlp", "mlp@0.001"),
        "Classifiers of each arm: ridge, mlp, neighbours (of maps: cnn, linear), or one whose strength is fixed, such "
        "as mlp@0.001 (hardly any).",
    )
    fixed_strengths: tuple[str, ...] = cli.flag(
        ("ridge@0.1", "mlp@10"),
        f"Strengths below {few_shots.TUNED_FROM} shots, where too few patients are there to choose them by.",
    )
    few_shot_inner_folds: int = cli.flag(
        10,
        "Each group of the class is left out once to choose by, by itself where they are no more than that.",
        minimum=2,
    )
    components: int = shared_flags.components()
    classifier_filters: int = network_flags.classifier_filters()
    classifier_units: int = network_flags.classifier_units()
    classifier_epochs: int = network_flags.classifier_epochs()
    classifier_batch: int = network_flags.classifier_batch()
    classifier_learning_rate: float = network_flags.classifier_learning_rate()
    precision: str = shared_flags.precision()
    device: str = shared_flags.device()
    tf32: bool = shared_flags.tf32()
    jit: bool = shared_flags.jit()
    deterministic: bool = shared_flags.deterministic()
    gan_steps: int = cli.flag(800, "Steps of each GAN of maps, which each draw of patients trains anew.", minimum=1)
    ndf: int = network_flags.ndf()
    ngf: int = network_flags.ngf()
    gan_batch: int = network_flags.gan_batch()
    gan_learning_rate: float = network_flags.gan_learning_rate()
    gan_beta1: float = network_flags.gan_beta1()
    generate_tries: int = network_flags.generate_tries()
    scheduler: str = shared_flags.scheduler()
    workers: int = shared_flags.workers()
    task_threads: int = shared_flags.task_threads()
    bootstrap_draws: int = shared_flags.bootstrap_draws()
    report_title: str = shared_flags.report_title("the name of the table")


def run(config: Config) -> None:
    """Writes run_dir/fewshot: report.json, index.html, tables as CSV and LaTeX, and the predictions of each shots."""
    shared_flags.use_device(config)
    if not config.features:
        raise InputError("--features is missing: give a table with a row for each sample, see stages.export_features")
    shots = few_shots.numbers(config.shots)
    config = _checked(config)
    schedule = shared_flags.schedule(config)
    table = shared_flags.read_features(config)
    few_shots.check_kind(
        table, f"--features={config.features}", classifiers=config.few_shot_classifiers, arms=config.few_shot_arms
    )
    warned = [*filter(None, (importing.trained_on(config.features), importing.made_by_poor_unet(config.features)))]
    for line in warned:
        logging.warning("%s", line)
    label = _label(config, table)
    planned = few_shots.tasks(
        table,
        draws=config.draws,
        shots=shots,
        label=label,
        test=config.test_fraction,
        reserve=config.oracle_groups,
        division=config.seed,
    )
    reserve = few_shots.reserved(table, shots=shots, label=label, reserve=config.oracle_groups)
    if arms.ORACLE in config.few_shot_arms and not reserve:
        logging.warning(
            "the arm %s is left out: of class %s no group is left beside those who learn and are tested",
            arms.ORACLE,
            table.classes.names[label],
        )
    settings = {number: _settings(config, table, number, reserve=reserve) for number in shots}
    gans = _gans(config)
    rows = sum(
        len(task.test) * len(competitors.pipelines(settings[number])) * len(config.few_shot_classifiers)
        for number, each in planned.items()
        for task in each
    )
    if not rundir.is_done_by(config, "fewshot"):
        limits.check_few_shots(config, table, rows, trains=bool(gans.kinds))
    digests = {"features_file": rundir.file_digest(Path(config.features))}
    kept = made_by.Kept(few_shot_kept.FILES, _serves)
    with rundir.open_stage(config, "fewshot", digests=digests, classes=table.classes.record, kept=kept) as stage:
        if not stage.done:
            # Draws of a finished study that serve are not run again.
            known = {
                number: few_shots.serving(
                    planned[number],
                    few_shot_kept.read(stage.path, number),
                    together=1 if gans.kinds else few_shots.TOGETHER,
                )
                for number in shots
            }
            parts = [
                few_shots.part(
                    table,
                    [task for task in planned[number] if task.draw not in known[number]],
                    settings[number],
                    folder=stage.path / "checkpoints" / str(number),
                    gans=gans,
                    name=f"{number} shots",
                )
                for number in shots
            ]
            for number, draws in known.items():
                if draws:
                    logging.info("%d shots: %d of %d draws were done before", number, len(draws), config.draws)
            with schedulers.opened(schedule, stage.path / schedulers.LOG) as runner:
                done = engine.run_parts(parts, runner)
                schedulers.note(stage.record, runner)
            outcomes = {}
            for number, part, each in zip(shots, parts, done):
                of_draw = known[number] | {task.draw: outcome for task, outcome in zip(part.tasks, each)}
                outcomes[number] = [of_draw[task.draw] for task in planned[number]]
            _report(
                config,
                table,
                stage,
                planned=planned,
                outcomes=outcomes,
                label=label,
                reserve=reserve,
                warned=warned,
            )
    folder = Path(config.run_dir) / registry.folder("fewshot")
    print(f"report: {folder / 'index.html'}\nverdict: {stage.record['figures']['verdict']}")


def estimate(config: Config) -> None:
    """Prints what the study takes, from some of its draws; InputError where it does not fit."""
    shared_flags.use_device(config)
    few_shots.numbers(config.shots)
    config = _checked(config)
    shared_flags.schedule(config)
    read = functools.partial(shared_flags.read_features, config)
    study_estimates.of_few_shots(config, read, trains=bool(_gans(config).kinds), run=run)


def _serves(flag: str, before, now) -> bool:
    """Whether draws that were made with another value of a flag are what they would be with this one."""
    return flag in _OF_THE_REPORT or (flag == "draws" and now > before)


def _checked(config):
    """The config with each arm and classifier once; InputError where they cannot compete."""
    config = dataclasses.replace(
        config,
        few_shot_arms=cli.some_of("few_shot_arms", config.few_shot_arms, _POSSIBLE),
        few_shot_classifiers=tuple(dict.fromkeys(config.few_shot_classifiers)),
    )
    if "none" not in config.few_shot_arms:
        raise InputError(
            f"--few_shot_arms={','.join(config.few_shot_arms)}: add none, real samples alone, which chooses strengths "
            "and with which all are compared"
        )
    for flag, names in (
        ("few_shot_classifiers", config.few_shot_classifiers),
        ("fixed_strengths", config.fixed_strengths),
    ):
        for name in names:
            try:
                classifier_kinds.kind_of(name)
            except ValueError as error:
                raise InputError(f"--{flag}={','.join(names)}: {error}") from error
    needs = [name for name in config.few_shot_arms if ARMS[name].inputs != "features"]
    if needs and not config.covariates:
        raise InputError(f"--few_shot_arms: {needs[0]} needs clinical columns; give --covariates, or leave it out")
    shared_flags.amounts(config.few_shot_amounts, "few_shot_amounts")
    if not any(ARMS[name].kind == "generative" for name in config.few_shot_arms):
        logging.warning(
            "--few_shot_arms=%s: none generates, so there is no verdict, but what real patients add",
            ",".join(config.few_shot_arms),
        )
    return config


def _gans(config) -> GanPools:
    """The GANs that each draw trains: none without an arm of one."""
    return GanPools(
        kinds=tuple(name for name in gan_pools.OF_MAPS if name in config.few_shot_arms),
        amounts=tuple(shared_flags.amounts(config.few_shot_amounts, "few_shot_amounts")),
        training=network_flags.gans(config),
        tries=config.generate_tries,
    )


def _label(config, table: FeatureTable) -> int:
    """The class that is cut."""
    if config.cut_class:
        if config.cut_class not in table.classes.names:
            known = ", ".join(table.classes.names)
            raise InputError(f"--cut_class={config.cut_class} is none of the classes {known}; name one of these")
        return table.classes.label(config.cut_class)
    return int(np.argmin([len(groups) for groups in plans.groups_by_class(table)]))


def _settings(config, table: FeatureTable, shots: int, *, reserve: int) -> Settings:
    """What competes at some shots; of the arm of real patients, where some are in reserve."""
    chosen = arms.available(config.few_shot_arms, covariates=True, pools=gan_pools.OF_MAPS, reserve=reserve > 0)
    return Settings(
        arms=chosen,
        amounts=tuple(shared_flags.amounts(config.few_shot_amounts, "few_shot_amounts")),
        classifiers=config.few_shot_classifiers,
        components=0 if table.is_map else config.components,
        inner_folds=max(2, min(shots, config.few_shot_inner_folds)),
        committed=True,
        fixed=few_shots.strengths(config.few_shot_classifiers, config.fixed_strengths, shots),
        measured=False,
        networks=network_flags.classifiers(config),
    )


def _report(config, table, stage, *, planned, outcomes, label, reserve, warned) -> None:
    tables = {number: engine.gather(each) for number, each in outcomes.items()}
    report = few_shot_report.few_shot_report(
        tables,
        trained=few_shots.trained(table, planned),
        label=label,
        reserve=reserve,
        draws=config.bootstrap_draws,
        seed=config.seed,
        margin=config.margin,
    )
    acceptance = {
        number: gan_pools.acceptance([one.choices["generators"] for one in each]) for number, each in outcomes.items()
    }
    cohort = study_report.cohort_of(
        table,
        config.features,
        components=0 if table.is_map else config.components,
        tasks=[task for each in planned.values() for task in each],
    )
    warnings = [
        *cohort.pop("warnings"),
        *gan_pools.few_accepted(acceptance),
        *few_shot_contrasts.few_draws(report["draws"]),
    ]
    for line in warnings:
        logging.warning("%s", line)
    report = json_files.plain(
        report
        | {
            "acceptance": acceptance,
            "warnings": [*warned, *warnings],
            "cohort": cohort,
            "settings": stage.record["config"],
            "versions": provenance.versions(),
            "commit": provenance.commit(),
        }
    )
    files = [
        name
        for number, each in outcomes.items()
        for name in few_shot_kept.write(stage.path, number, tasks=planned[number], outcomes=each)
    ]
    title = config.report_title or Path(config.features).stem
    few_shot_page.write(stage.path, report, title, links={name: name for name in files})
    tensorboard.complete(stage, verdict=report["verdict"], verdict_word=report["verdict_word"])


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags, estimate=estimate)


if __name__ == "__main__":
    main()
