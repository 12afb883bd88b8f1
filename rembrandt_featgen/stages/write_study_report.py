"""Gathers the folds of a study into its report: the table of arms with intervals, the generators, and the verdict."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.core import cli, json_files, registry, rundir
from rembrandt_featgen.evaluation import predictions, study_folds
from rembrandt_featgen.reporting import study_files
from rembrandt_featgen.stages import shared_flags

SELF_CHECKS = "selfcheck/selfcheck.json"


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    seed: int = shared_flags.seed()
    bootstrap_draws: int = shared_flags.bootstrap_draws()
    report_title: str = shared_flags.report_title()


def run(config: Config) -> None:
    """Writes run_dir/report: report.json, index.html, predictions.csv, and tables as CSV and LaTeX."""
    assigned = rundir.find(config.run_dir, "assign_folds")
    record, digests = assigned.record, {}
    for fold in record["figures"]["folds"]:
        digests[fold["name"]] = rundir.find(_home(config, fold), "evaluate_features").digest
    checks = Path(config.run_dir) / SELF_CHECKS
    if checks.is_file():
        digests["selfcheck"] = rundir.file_digest(checks)
    with rundir.open_stage(config, "write_study_report", [assigned], digests=digests) as stage:
        if stage.done:
            return
        folds = study_folds.read_folds(config.run_dir, record)
        self_checks = json_files.read_json(checks) if checks.is_file() else {}
        report = json_files.plain(
            study_folds.report(record, folds, self_checks, draws=config.bootstrap_draws, seed=config.seed)
        )
        done = rundir.is_done(config.run_dir, "report_cohort")
        links = {"the cohort": f"../{registry.folder('report_cohort')}/index.html"} if done else {}
        title = config.report_title or Path(config.run_dir).resolve().name
        study_files.write(stage.path, report, title, links=links)
        predictions.write(
            stage.path / predictions.FILE,
            predictions.join([fold.predictions.select(chosen=True) for fold in folds]),
        )
        stage.complete(verdict=report["verdict"])
        logging.info("report: %s", Path(config.run_dir) / registry.folder("write_study_report") / "index.html")


def _home(config: Config, fold: dict) -> str:
    return str(Path(config.run_dir) / registry.FOLD_RUNS / fold["name"])


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
