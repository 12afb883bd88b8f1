"""Tests a study's final model, as it was exported, on labelled patients of another cohort.

Nothing is learnt or chosen on them; patients who were in the study are refused.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import tensorflow as tf
from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.cohort.layouts import CohortOptions
from rembrandt_featgen.cohort.pseudonyms import Pseudonyms
from rembrandt_featgen.core import cli, json_files, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import (
    external_cohort,
    external_report,
    model_folder,
    predictions,
    seen_patients,
)
from rembrandt_featgen.evaluation.model_folder import FinalModel
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.features import model_columns
from rembrandt_featgen.nn import devices, distribution, worker_stages
from rembrandt_featgen.reporting import external_page
from rembrandt_featgen.stages import pseudonym_flags, shared_flags, slice_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = cli.flag("", "Folder that gets external/, such as one for each cohort.", required=True, path=True)
    model_dir: str = cli.flag("", "Folder of the model: final/ of a study.", required=True, path=True)
    test_features: str = cli.flag(
        "",
        "Features of the other cohort with labels, columns named as in the study: .csv, .parquet or .npz.",
        path=True,
    )
    test_cohort: str = cli.flag(
        "",
        "Folder or manifest CSV of the other cohort, as --cohort, for the final model of a study of volumes.",
        path=True,
    )
    layout: str = shared_flags.layout()
    labels_table: str = shared_flags.labels_table()
    label_column: str = cli.flag("", "Column of the class; by default as in the study, as for the others.")
    patient_column: str = cli.flag("", "Column of the patient, in --test_features or --labels_table.")
    group_column: str = cli.flag("", "Column of groups of patients, which are drawn together for intervals.")
    group_pattern: str = shared_flags.group_pattern()
    site_column: str = cli.flag("", "Column of the site.")
    site_pattern: str = shared_flags.site_pattern()
    incomplete: str = shared_flags.incomplete()
    pseudonymise: bool = pseudonym_flags.pseudonymise()
    pseudonym_key: str = pseudonym_flags.pseudonym_key()
    geometry: str = slice_flags.new_geometry()
    predict_batch: int = cli.flag(8, "Slices in a batch.", minimum=1)
    device: str = shared_flags.device()
    strategy: str = shared_flags.strategy()
    seed: int = shared_flags.seed()
    bootstrap_draws: int = shared_flags.bootstrap_draws()
    report_title: str = shared_flags.report_title("the name of the table or cohort")


def run(config: Config) -> None:
    """Writes run_dir/external: report.json, index.html and predictions.csv."""
    devices.use(config.device)
    where = _strategy(config.strategy)
    if bool(config.test_features) == bool(config.test_cohort):
        raise InputError("give --test_features, a table of another cohort, or else --test_cohort, its volumes")
    model = model_folder.read(config.model_dir)
    digests = {"model": rundir.file_digest(Path(config.model_dir) / model_folder.MODEL)}
    read = _of_file if config.test_features else _of_volumes
    make, digests["patients"] = read(config, model, where)
    with worker_stages.open_stage(
        where, config, "evaluate_final_model", digests=digests, classes=model.classes.record
    ) as stage:
        if not stage.done:
            predicted = make()
            if distribution.is_chief(where):
                _report(config, model, predicted, stage=stage)
    if not distribution.is_chief(where):
        return
    folder = Path(config.run_dir) / registry.folder("evaluate_final_model")
    print(f"report: {folder / 'index.html'}\n{stage.record['figures']['last_line']}")


def _strategy(given: str) -> tf.distribute.Strategy:
    """That of workers, or one device: of the GPUs of a host, too, an exported model takes one."""
    if given == distribution.MIRRORED:
        logging.info("--strategy=%s: an exported model runs on one device, as with %s", given, distribution.ONE)
        given = distribution.ONE
    return distribution.strategy(given)


def _report(config: Config, model: FinalModel, predicted: PredictionsTable, *, stage: rundir.Stage) -> None:
    source = config.test_features or config.test_cohort
    found = external_report.report(predicted, model, source=source, draws=config.bootstrap_draws, seed=config.seed)
    report = json_files.plain({**found, "settings": stage.record["config"]})
    json_files.write_json(stage.path / "report.json", report)
    links = {name: name for name in ("report.json", predictions.FILE)}
    context = {"title": config.report_title or Path(source).stem, "links": links}
    (stage.path / "index.html").write_text(external_page.render(report, context), encoding="utf-8")
    predictions.write(stage.path / predictions.FILE, predicted)
    stage.complete(finding=report["verdict"], last_line=external_report.last_line(report["arms"][0]))


def _of_file(config: Config, model: FinalModel, where: tf.distribute.Strategy):
    """What predicts the samples of --test_features, and a digest of the file."""
    table = model_columns.read_samples(
        config.test_features,
        model.columns,
        model.classes,
        keys=_keys(config, model),
        pseudonyms=_pseudonyms(config, model),
    )
    seen_patients.refuse(table, model.seen, f"--test_features={config.test_features}")
    return (lambda: external_report.predict(model, table)), rundir.file_digest(Path(config.test_features))


def _of_volumes(config: Config, model: FinalModel, where: tf.distribute.Strategy):
    """What predicts the patients of --test_cohort, each worker some of them, and a digest of them."""
    cohort = external_cohort.find(
        config.test_cohort,
        model,
        layout=config.layout,
        keys=_keys(config, model),
        site_pattern=config.site_pattern,
        options=CohortOptions(
            config.labels_table, config.group_pattern, config.incomplete, pseudonyms=_pseudonyms(config, model)
        ),
    )
    seen_patients.refuse_names(
        {patient.id: patient.group for patient in cohort.patients}, model.seen, f"--test_cohort={config.test_cohort}"
    )

    def make():
        work = rundir.part_of(config.run_dir, "evaluate_final_model")  # the chief's
        journal = work / "checkpoints" / "patients.jsonl"  # goes when the stage is done
        journal.parent.mkdir(exist_ok=True)
        return external_cohort.predict(
            cohort,
            model,
            config.model_dir,
            journal=journal,
            batch=config.predict_batch,
            geometry=config.geometry,
            where=where,
        )

    return make, external_cohort.digest(cohort)


def _pseudonyms(config: Config, model: FinalModel) -> Pseudonyms | None:
    """Those that are asked for; warns where the study had none, or others, so that ids cannot be compared."""
    names = pseudonym_flags.pseudonyms_by(config.pseudonymise, key=config.pseudonym_key, run_dir=config.run_dir)
    if model.record.get("pseudonyms", "") != (names.check if names else ""):
        logging.warning(
            "--pseudonymise, --pseudonym_key: the study had %s, so that its patients cannot be identified by their ids "
            "here: see to it that none of them is tested",
            "pseudonyms by a key that is not this one" if model.record.get("pseudonyms") else "no pseudonyms",
        )
    return names


def _keys(config: Config, model: FinalModel) -> dict[str, str]:
    """Names of the columns of the label and others: those of the study, but for what flags say."""
    given = {
        "label": config.label_column,
        "patient": config.patient_column,
        "group": config.group_column,
        "site": config.site_column,
    }
    return {**model.record["keys"], **{name: column for name, column in given.items() if column}}


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
