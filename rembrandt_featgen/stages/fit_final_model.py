"""Fits the final model of a study on all of its patients, and exports it.

The pipeline is the classifier, arm and amount of the lowest mean validation loss in the study; no test patient's result
is used to choose it. Its preparation, strength of regularisation and thresholds are learnt anew, by inner
cross-validation on all patients. `predict` runs it, and `evaluate_final_model` tests it on another cohort.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.core import cli, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import (
    competitors,
    external_report,
    final_choice,
    final_model,
    model_folder,
    predictions,
)
from rembrandt_featgen.evaluation.arms import ARMS, SYNTHETIC
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.features import importing, model_columns
from rembrandt_featgen.features.model_columns import ModelColumns
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.generation.sample_pool import SamplePool
from rembrandt_featgen.stages import shared_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = cli.flag("", "Folder of a finished study.", required=True)
    final_pipeline: str = cli.flag(
        "",
        "Another pipeline than the one of the lowest validation loss: classifier, arm and, where the arm has one, "
        "amount, such as ridge/none or mlp/smote/1.",
    )
    study_features: str = cli.flag("", "The study's --features, if the file is elsewhere now.")
    bootstrap_draws: int = shared_flags.bootstrap_draws()


class Study(NamedTuple):
    """A finished study.

    Attributes:
      found: the stage that made its report.
      choices: of each task.
      predictions: of all of them.
      settings: its flags, by name.
    """

    found: rundir.Found
    choices: list[dict]
    predictions: PredictionsTable
    settings: dict


def run(config: Config) -> None:
    """Writes run_dir/final: classifier/, a SavedModel, model.json, and seen_patients.json."""
    study = _study(config)
    choice = final_choice.choose(study.choices, config.final_pipeline)
    arm, settings = ARMS[choice.pipeline.arm], study.settings
    with rundir.open_stage(
        config, "fit_final_model", [study.found], classes=study.found.record.get("classes")
    ) as stage:
        if not stage.done:
            table, data = _table(config, study)
            pool = _pool(study, table) if arm.name == SYNTHETIC else None
            columns = ModelColumns.of_table(table, arm.inputs)
            inputs = model_columns.inputs_of(table, arm.inputs)
            logging.info("final model: %s, on %d samples of %d numbers", choice.name, *inputs.values.shape)
            fitted = final_model.fit(
                inputs,
                choice.classifier,
                choice.pipeline,
                settings=competitors.Settings(
                    arms=(),
                    amounts=(),
                    classifiers=(),
                    components=settings["components"],
                    inner_folds=settings["inner_folds"],
                    pools={} if pool is None else {SYNTHETIC: pool},
                ),
                seed=settings["seed"],
            )
            expected = final_choice.expected_performance(
                study.predictions, study.choices, choice, draws=config.bootstrap_draws, seed=settings["seed"]
            )
            record = model_folder.write(
                stage.path,
                inputs,
                fitted,
                choice=choice,
                columns=columns,
                expected_performance=expected,
                data=data,
                keys={name: settings[f"{name}_column"] for name in importing.DEFAULTS},
            )
            stage.complete(
                **{name: record[name] for name in ("pipeline", "strength", "thresholds", "trained_on")},
                expected_performance=record["expected_performance"],
            )
    figures = stage.record["figures"]
    for name, row in figures["expected_performance"].items():
        print(f"expected of the {name}, out of fold: {external_report.last_line(row)}")
    print(f"final model: {figures['pipeline']} in {Path(config.run_dir) / registry.folder('fit_final_model')}")


def _study(config) -> Study:
    """The study in --run_dir."""
    if not rundir.is_done(config.run_dir, "evaluate_features"):
        raise InputError(
            f"--run_dir={config.run_dir}: there is no finished study of features in it; run "
            "python -m rembrandt_featgen.stages.evaluate_features --features=FILE with this --run_dir first"
        )
    found = rundir.find(config.run_dir, "evaluate_features")
    return Study(
        found,
        choices=found.record["figures"]["choices"],
        predictions=predictions.read(found.folder / predictions.FILE),
        settings=found.record["config"],
    )


def _table(config, study) -> tuple[FeatureTable, dict]:
    """All samples of the study's file, which must be the same as it was; and what model.json says of it."""
    settings = study.settings
    path = config.study_features or settings["features"]
    if not path:
        raise InputError(
            f"--run_dir={config.run_dir}: this study is of the vectors of one run, whose U-Net saw its training "
            "patients alone; make a study of --features, or of all patients with crossvalidate --classifiers=ridge,mlp"
        )
    table = importing.read_table(
        path,
        classes=settings["classes"],
        covariates=settings["covariates"],
        flag="--study_features" if config.study_features else "--features",
        **{f"{name}_column": settings[f"{name}_column"] for name in importing.DEFAULTS},
    )
    digest = _same(path, study.found.record["inputs"]["features"], "--study_features")
    return table, {"features": path, "sha256": digest}


def _pool(study, table) -> SamplePool:
    """Samples of the arm "synthetic"."""
    path = study.settings["synthetic"]
    pool = SamplePool(*importing.read_synthetic(path, table))
    _same(path, study.found.record["inputs"]["synthetic"], "--synthetic")
    return pool


def _same(path, digest, flag) -> str:
    """The digest of a file; InputError where it is not that of the study."""
    if rundir.file_digest(Path(path)) != digest:
        raise InputError(
            f"{flag}={path} is not the file that the study was made of, or has changed since; give that file, or make "
            "the study again"
        )
    return digest


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
