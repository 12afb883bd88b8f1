"""Judges synthetic patients as a stand-in for real ones: what each generator loses and what it leaks; on request writes
a synthetic cohort.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.core import cli, json_files, provenance, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import shared_cohort, sharing_report
from rembrandt_featgen.evaluation.sharing_games import Sharing
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.nn import devices
from rembrandt_featgen.reporting import sharing_page
from rembrandt_featgen.stages import pseudonym_flags, shared_flags

COPIER = "random_oversampling"  # what sharing the real patients themselves would give away


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = cli.flag("", "Folder that gets shared/.", required=True, path=True)
    features: str = shared_flags.features(required=True)
    generators: tuple[str, ...] = cli.flag(
        (*(name for name, method in METHODS.items() if method.kind == "generative"), COPIER),
        f"Generators that are judged, of {', '.join(METHODS)}; {COPIER} shows what copies give away.",
    )
    classes: tuple[str, ...] = shared_flags.classes()
    label_column: str = shared_flags.label_column()
    patient_column: str = shared_flags.patient_column()
    group_column: str = shared_flags.group_column()
    group_pattern: str = shared_flags.group_pattern()
    site_column: str = shared_flags.site_column()
    pseudonymise: bool = pseudonym_flags.pseudonymise()
    pseudonym_key: str = pseudonym_flags.pseudonym_key()
    covariates: tuple[str, ...] = cli.flag(
        (), "Columns of --features that are no features: they are neither judged nor part of a synthetic cohort."
    )
    cv_folds: int = shared_flags.cv_folds()
    trainings: int = shared_flags.trainings()
    attack_games: int = cli.flag(
        20, "Trainings with half of the patients each, on which membership is attacked; an even number.", minimum=6
    )
    share_amount: float = cli.flag(
        1.0, "Synthetic patients for each real one, where judged as where written.", minimum=0.1, maximum=100.0
    )
    share: str = cli.flag(
        "",
        "The generator, a generative one of --generators, whose synthetic cohort of all patients is written, unless it "
        "gives back real patients; by default none. A judgement that is there is not made again.",
    )
    share_format: str = cli.flag("parquet", "Of the synthetic cohort.", choices=("parquet", "csv"))
    seed: int = shared_flags.seed()
    deterministic: bool = shared_flags.deterministic()
    bootstrap_draws: int = shared_flags.bootstrap_draws()
    report_title: str = shared_flags.report_title("the name of the table")


def run(config: Config) -> None:
    """Writes run_dir/shared: sharing.json, index.html, sharing.csv, sharing.tex, and with --share the cohort."""
    config = dataclasses.replace(config, generators=cli.some_of("generators", config.generators, METHODS))
    if config.share and config.share not in config.generators:
        raise InputError(f"--share={config.share} is not judged; add it to --generators, or share one that is there")
    if config.share and METHODS[config.share].kind == "classical":
        known = [name for name, method in METHODS.items() if method.kind == "generative"]
        raise InputError(
            f"--share={config.share} would give away real patients, as copies or mixtures of them; share a generator, "
            f"of {', '.join(known)}"
        )
    if config.attack_games % 2:
        raise InputError(f"--attack_games={config.attack_games}: give an even number, as each half trains once")
    table = shared_flags.read_features(config)
    if table.is_map:
        raise InputError(f"--features={config.features} has maps; distances and these generators are of vectors")
    devices.use(devices.AUTO, deterministic=config.deterministic)
    digests = {"features_file": rundir.file_digest(Path(config.features))}
    # What is shared changes nothing of what is judged.
    judged = dataclasses.replace(config, share="", share_format="parquet")
    with rundir.open_stage(judged, "share_synthetic", [], digests=digests, classes=table.classes.record) as stage:
        if not stage.done:
            _judge(config, table, stage)
    folder = Path(config.run_dir) / registry.folder("share_synthetic")
    print(f"report: {folder / 'index.html'}\n{stage.record['figures']['verdict']}")
    if config.covariates:
        print(
            f"note: covariates ({', '.join(config.covariates)}) are no part of what was judged, nor of what is shared"
        )
    if config.share:
        _share(config, table, folder, digests=digests)


def _sharing(config: Config) -> Sharing:
    return Sharing(
        folds=config.cv_folds,
        repeats=config.trainings,
        games=config.attack_games,
        amount=config.share_amount,
        seed=config.seed,
    )


def _judge(config: Config, table: FeatureTable, stage: rundir.Stage) -> None:
    made = sharing_report.sharing_report(
        table, config.generators, sharing=_sharing(config), draws=config.bootstrap_draws
    )
    record = {"versions": provenance.versions(), "commit": provenance.commit(), "settings": stage.record["config"]}
    report = json_files.plain({**made, **record})
    sharing_page.write(stage.path, report, config.report_title or Path(config.features).stem)
    stage.complete(verdict=report["verdict"])


def _share(config: Config, table: FeatureTable, folder: Path, *, digests: dict[str, str]) -> None:
    """Writes the cohort of --share into the folder of the judgement; InputError where it would be one of copies."""
    report = json_files.read_json(folder / sharing_page.JSON)
    row = next(one for one in report["generators"] if one["generator"] == config.share)
    if "copier" not in row:
        raise InputError(
            f"{folder} was judged before there was an attack across classes; delete that folder to judge again"
        )
    if row["copier"]:
        audit = row["memorisation"]
        raise InputError(
            f"--share={config.share}: it gives back real patients (the audit calls it a copier in "
            f"{audit['memorised_folds']} of {audit['folds']} folds, see {folder / 'index.html'}), so no cohort was "
            "written; share another generator, which is not judged again if it was among --generators"
        )
    if row["word"] == sharing_report.LEAKS:
        warning = (
            f"--share={config.share} is shown to leak: its synthetic patients tell who trained it; do not share them "
            "as if they were of nobody"
        )
        logging.warning("%s", warning)
    # What goes with the cohort names no patient, and no folder.
    row = {**row, "memorisation": {k: v for k, v in row["memorisation"].items() if k != "most_copied"}}
    settings = {k: v for k, v in cli.settings(config).items() if k not in ("run_dir", "pseudonym_key")}
    settings = json_files.plain({**settings, "features": Path(config.features).name})
    cohort = shared_cohort.make(table, config.share, _sharing(config))
    shared_cohort.write(
        folder,
        cohort,
        config.share,
        real=table,
        suffix=f".{config.share_format}",
        record={**digests, "settings": settings, "judged": row},
    )
    title = config.report_title or Path(config.features).stem
    shared = {"share": config.share, "share_format": config.share_format}
    report["settings"] = {**(report.get("settings") or {}), **shared}
    sharing_page.write(folder, report, title, links=shared_cohort.written(folder))


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
