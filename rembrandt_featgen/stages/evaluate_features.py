"""Studies features: does generation help classifiers of them? Of a file made anywhere, or of a run's patient vectors.

Every fold learns everything from its training patients, and tunes the regularisation of each pipeline on them. Folds
that are done are skipped; those that were killed are resumed.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rembrandt_featgen import stages
from rembrandt_featgen.classification.classifier_kinds import CLASSIFIER_KINDS
from rembrandt_featgen.cohort import splits
from rembrandt_featgen.core import cli, json_files, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import (
    engine,
    plans,
    predictions,
    table_report,
    vector_arms,
    vector_pipelines,
    vector_trials,
)
from rembrandt_featgen.evaluation.vector_arms import VECTOR_ARMS
from rembrandt_featgen.features import importing, run_tables
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.generation.sample_pool import SamplePool
from rembrandt_featgen.reporting import study_figures, study_page, study_tables
from rembrandt_featgen.stages import shared_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    features: str = cli.flag(
        "",
        "Features that were made elsewhere: a .csv or .parquet file with a row for each sample and columns patient, "
        "label and numbers (maybe group, site, sample), or an .npz file of vectors. Without it, the vectors that the "
        "stage extract_vectors made in this run, whose own split then is the plan.",
    )
    classes: tuple[str, ...] = shared_flags.classes()
    label_column: str = shared_flags.label_column()
    patient_column: str = cli.flag(importing.DEFAULTS["patient"], "Column of the patient in --features.")
    group_column: str = shared_flags.group_column()
    site_column: str = shared_flags.site_column()
    covariates: tuple[str, ...] = shared_flags.covariates()
    synthetic: str = cli.flag(
        "",
        "Samples that somebody else's generator made of the training patients alone, with the columns of --features: "
        "an arm, with --plan=split only, since with other plans each patient is tested once.",
    )
    seed: int = shared_flags.seed()
    plan: str = cli.flag(
        "k-fold",
        "Who tests: a part of the groups at a time (k-fold), one part (hold-out), one site at a time (sites), or those "
        "of whom the column split of --features says 'test', beside 'train' and 'validation' (split).",
        choices=("k-fold", "hold-out", "sites", "split"),
    )
    test_fraction: float = shared_flags.test_fraction()
    validation_fraction: float = shared_flags.validation_fraction()
    cv_folds: int = shared_flags.cv_folds()
    cv_repeats: int = shared_flags.cv_repeats()
    cv_seeds: int = shared_flags.cv_seeds()
    vector_arms: tuple[str, ...] = cli.flag(
        tuple(VECTOR_ARMS),
        f"Arms that compete, of {', '.join(VECTOR_ARMS)}; those with covariates need --covariates, and synthetic needs "
        "--synthetic.",
    )
    arm_amounts: tuple[str, ...] = shared_flags.arm_amounts()
    vector_classifiers: tuple[str, ...] = cli.flag(
        ("ridge", "mlp"), f"Classifiers of each arm, of {', '.join(CLASSIFIER_KINDS)}."
    )
    components: int = cli.flag(
        0, "Principal components of the training samples that stand for the columns; 0: the columns.", minimum=0
    )
    inner_folds: int = cli.flag(3, "Parts of the training groups by which regularisation is tuned.", minimum=2)
    bootstrap_draws: int = shared_flags.bootstrap_draws()
    report_title: str = shared_flags.report_title()


def run(config: Config) -> None:
    """Writes run_dir/study: report.json, index.html, predictions.csv, and tables as CSV and LaTeX."""
    cli.some_of("vector_arms", config.vector_arms, VECTOR_ARMS)
    cli.some_of("vector_classifiers", config.vector_classifiers, CLASSIFIER_KINDS)
    amounts = shared_flags.amounts(config.arm_amounts)
    if config.synthetic and config.features and config.plan != "split":
        raise InputError(
            f"--synthetic={config.synthetic} with --plan={config.plan}: its generator may have seen patients who are "
            "tested; say with a column split in --features who trained it, and take --plan=split"
        )
    table, tasks, inputs = _of_file(config) if config.features else _of_run(config)
    pool = SamplePool(*importing.read_synthetic(config.synthetic, table)) if config.synthetic else None
    files = {"features": config.features, "synthetic": config.synthetic}
    digests = {name: rundir.file_digest(Path(path)) for name, path in files.items() if path}
    settings = vector_pipelines.Settings(
        arms=vector_arms.available(
            config.vector_arms, covariates=bool(config.covariates), synthetic=bool(config.synthetic)
        ),
        amounts=tuple(amounts),
        classifiers=tuple(name for name in CLASSIFIER_KINDS if name in config.vector_classifiers),
        components=config.components,
        inner_folds=config.inner_folds,
        synthetic=pool,
    )
    missing = set(config.vector_arms) - set(settings.arms)
    if missing and set(config.vector_arms) != set(VECTOR_ARMS):
        raise InputError(
            f"--vector_arms: {', '.join(sorted(missing))} {'has' if len(missing) == 1 else 'have'} nothing to learn "
            "from; give --covariates or --synthetic"
        )
    with rundir.open_stage(config, "evaluate_features", inputs, digests=digests, classes=table.classes.record) as stage:
        if not stage.done:
            kept = stage.path / "checkpoints"  # until the stage is done
            outcomes = engine.run(tasks, lambda task: vector_trials.run(table, task, settings), kept)
            gathered = engine.gather(outcomes)
            report = json_files.plain(
                table_report.report(
                    gathered,
                    table_report.cohort_of(table, config.features or f"vectors of {config.run_dir}"),
                    choices=[outcome.choices for outcome in outcomes],
                    settings=stage.record["config"],
                    draws=config.bootstrap_draws,
                    seed=config.seed,
                )
            )
            json_files.write_json(stage.path / "report.json", report)
            title = config.report_title or Path(config.features or config.run_dir).stem
            tables = {name: text for name, text in study_tables.files(report).items() if "generators" not in name}
            context = {"title": title, "links": {name: name for name in ("report.json", *tables)}}
            page = study_page.render(report, study_figures.draw(report), context)
            (stage.path / "index.html").write_text(page, encoding="utf-8")
            for name, text in tables.items():
                (stage.path / name).write_text(text, encoding="utf-8")
            predictions.write(stage.path / predictions.FILE, gathered)
            stage.complete(verdict=report["verdict"], choices=[outcome.choices for outcome in outcomes])
    folder = Path(config.run_dir) / registry.folder("evaluate_features")
    print(f"report: {folder / 'index.html'}\nverdict: {stage.record['figures']['verdict']}")


def _of_file(config) -> tuple[FeatureTable, list[plans.Task], list[rundir.Found]]:
    """Features made elsewhere, and the tasks of --plan."""
    table = importing.read_table(
        config.features,
        classes=config.classes,
        label_column=config.label_column,
        patient_column=config.patient_column,
        group_column=config.group_column,
        site_column=config.site_column,
        covariates=config.covariates,
    )
    if table.is_map:
        raise InputError(f"--features={config.features} has maps [n, h, w, c]; give vectors, such as means of channels")
    seeds = range(config.seed, config.seed + config.cv_seeds)
    share = {"validation": config.validation_fraction, "division": config.seed}
    if config.plan == "split":
        split = importing.read_split(config.features)
        table, tasks = plans.given({name: table.take(split == name) for name in splits.SPLITS}, seeds)
    elif config.plan == "sites":
        tasks = plans.sites(table, seeds=seeds, **share)
    elif config.plan == "hold-out":
        tasks = plans.hold_out(table, test=config.test_fraction, seeds=seeds, **share)
    else:
        tasks = plans.k_fold(table, folds=config.cv_folds, repeats=config.cv_repeats, seeds=seeds, **share)
    return table, tasks, []


def _of_run(config) -> tuple[FeatureTable, list[plans.Task], list[rundir.Found]]:
    """Vectors of a run, whose split is the plan."""
    if not rundir.is_done(config.run_dir, "extract_vectors"):
        raise InputError(
            f"--features is empty, and there are no vectors in --run_dir={config.run_dir}: give a .csv, .parquet or "
            ".npz file of features, or run extract_vectors on a finished run first"
        )
    found = rundir.find(config.run_dir, "extract_vectors")
    parts = {
        split: run_tables.table_of_run(config.run_dir, "extract_vectors", split, covariates=config.covariates)
        for split in splits.SPLITS
    }
    table, tasks = plans.given(parts, range(config.seed, config.seed + config.cv_seeds))
    return table, tasks, [found]


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
