"""Tests a study's final model, as it was exported, on labelled patients of another cohort.

Nothing is learnt or chosen on them; patients who were in the study are refused.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rembrandt_featgen import stages
from rembrandt_featgen.core import cli, json_files, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import external_report, model_folder, predictions, seen_patients
from rembrandt_featgen.features import model_columns
from rembrandt_featgen.reporting import external_page
from rembrandt_featgen.stages import shared_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = cli.flag("", "Folder that gets external/, such as one for each cohort.", required=True)
    model_dir: str = cli.flag("", "Folder of the model: final/ of a study.", required=True)
    test_features: str = cli.flag(
        "", "Features of the other cohort with labels, columns named as in the study: .csv, .parquet or .npz."
    )
    label_column: str = cli.flag("", "Column of the class; by default as in the study, as for the others.")
    patient_column: str = cli.flag("", "Column of the patient.")
    group_column: str = cli.flag("", "Column of groups of patients, which are drawn together for intervals.")
    site_column: str = cli.flag("", "Column of the site.")
    seed: int = shared_flags.seed()
    bootstrap_draws: int = shared_flags.bootstrap_draws()
    report_title: str = shared_flags.report_title()


def run(config: Config) -> None:
    """Writes run_dir/external: report.json, index.html and predictions.csv."""
    if not config.test_features:
        raise InputError("--test_features is empty; give a file of features with labels of another cohort")
    model = model_folder.read(config.model_dir)
    given = {
        "label": config.label_column,
        "patient": config.patient_column,
        "group": config.group_column,
        "site": config.site_column,
    }
    keys = {**model.record["keys"], **{name: column for name, column in given.items() if column}}
    table = model_columns.read_samples(config.test_features, model.columns, model.classes, keys=keys)
    seen_patients.refuse(table, model.seen, f"--test_features={config.test_features}")
    digests = {
        "model": rundir.file_digest(Path(config.model_dir) / model_folder.MODEL),
        "test_features": rundir.file_digest(Path(config.test_features)),
    }
    with rundir.open_stage(config, "evaluate_final_model", [], digests=digests, classes=model.classes.record) as stage:
        if not stage.done:
            predicted = external_report.predict(model, table)
            report = json_files.plain(
                {
                    **external_report.report(
                        predicted,
                        table,
                        model,
                        source=config.test_features,
                        draws=config.bootstrap_draws,
                        seed=config.seed,
                    ),
                    "settings": stage.record["config"],
                }
            )
            json_files.write_json(stage.path / "report.json", report)
            title = config.report_title or Path(config.test_features).stem
            links = {name: name for name in ("report.json", predictions.FILE)}
            page = external_page.render(report, {"title": title, "links": links})
            (stage.path / "index.html").write_text(page, encoding="utf-8")
            predictions.write(stage.path / predictions.FILE, predicted)
            stage.complete(finding=report["verdict"], last_line=external_report.last_line(report["arms"][0]))
    folder = Path(config.run_dir) / registry.folder("evaluate_final_model")
    print(f"report: {folder / 'index.html'}\n{stage.record['figures']['last_line']}")


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
