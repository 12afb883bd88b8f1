"""Gathers the records of the stages of a run into report.json and a self-contained index.html with a verdict."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.classification import map_networks
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import cli, json_files, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.reporting import run_page, run_report
from rembrandt_featgen.stages import shared_flags

_STUDY = "evaluate_features"


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    generators: tuple[str, ...] = shared_flags.generators()
    report_title: str = shared_flags.report_title()


def run(config: Config) -> None:
    """Writes run_dir/report: report.json, index.html, and copies of the figures and tables beside it."""
    config = shared_flags.with_first_generator(config)
    (kind,) = config.generators
    found = rundir.find_inputs(config.run_dir, "write_report", kind, optional=["run_sweep", _STUDY])
    if _STUDY in found and found[_STUDY].record["config"]["features"]:
        del found[_STUDY]  # somebody studied other features in this folder
    folders = {name: entry.folder for name, entry in found.items()}
    records = {name: entry.record for name, entry in found.items()}
    if set(records["train_classifiers"]["figures"]["comparison"]) != set(map_networks.KINDS):
        raise InputError(
            f"--run_dir={config.run_dir}: its classifiers/ lacks arms or classifiers that a report compares; "
            f"leave out --classifier_arms and --classifier_kinds, and delete {folders['train_classifiers']}"
        )
    with rundir.open_stage(config, "write_report", list(found.values())) as stage:
        if stage.done:
            return
        classes = Classes.of_record(records["prepare_slices"]["classes"])
        study = json_files.read_json(folders[_STUDY] / "report.json") if _STUDY in folders else None
        report = run_report.collect(records, classes, study)
        if "run_sweep" in found:
            swept = json_files.read_json(folders["run_sweep"] / "sweep.json")
            report["sweep"] = {**swept, "points": [{**point, "history": None} for point in swept["points"]]}
        json_files.write_json(stage.path / "report.json", report)
        title = config.report_title or Path(config.run_dir).resolve().name
        links = _copy(folders["draw_figures"], stage.path)
        if rundir.is_done(config.run_dir, "report_cohort"):
            links["the cohort"] = f"../{registry.folder('report_cohort')}/index.html"
        context = {"title": title, "links": links}
        figures = run_report.figures_of_page(folders, records, report=report, classes=classes)
        (stage.path / "index.html").write_text(run_page.render(report, figures, context), encoding="utf-8")
        stage.complete(verdict=report["verdict"], verdict_word=report["verdict_word"])
        logging.info("report: %s", Path(config.run_dir) / registry.folder("write_report") / "index.html")


def _copy(figures: Path, folder: Path) -> dict[str, str]:
    """Copies figures and tables into `folder`/figures and `folder`/tables; returns links to the tables."""
    for kind, ending in (("figures", "png"), ("tables", "csv")):
        (folder / kind).mkdir(exist_ok=True)
        for path in sorted(figures.glob(f"*.{ending}")):
            shutil.copyfile(path, folder / kind / path.name)
    return {f"tables/{path.name}": f"tables/{path.name}" for path in sorted(figures.glob("*.csv"))}


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
