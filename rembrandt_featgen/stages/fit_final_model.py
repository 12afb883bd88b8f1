"""Fits the final model of a study on all of its patients, and exports it.

The pipeline is the classifier, arm and amount of the lowest mean validation loss in the study; no test patient's result
is used to choose it. Its preparation, strength of regularisation and thresholds are learnt anew, by inner
cross-validation on all patients. A study of volumes (crossvalidate --classifiers=ridge,mlp) also gets a U-Net of all
patients, but for the share that chooses its epoch, trained in run_dir/final_run. `predict` runs the model, and
`evaluate_final_model` tests it on another cohort.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import split_files, splits
from rembrandt_featgen.core import cli, folders, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import (
    competitors,
    external_report,
    final_choice,
    final_model,
    final_study,
    final_unet,
    model_folder,
)
from rembrandt_featgen.evaluation.arms import ARMS, SYNTHETIC
from rembrandt_featgen.evaluation.final_choice import Choice
from rembrandt_featgen.evaluation.final_study import Study
from rembrandt_featgen.features import importing, model_columns, run_tables, tables
from rembrandt_featgen.features.covariates import INPUTS
from rembrandt_featgen.features.model_columns import ModelColumns
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.generation.sample_pool import SamplePool
from rembrandt_featgen.stages import extract_vectors, prepare_slices, shared_flags, train_unet

_OF_VOLUMES = {"prepare_slices": prepare_slices, "train_unet": train_unet, "extract_vectors": extract_vectors}


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


def run(config: Config) -> None:
    """Writes run_dir/final: classifier/, a SavedModel, model.json, and seen_patients.json; unet/ where there is one."""
    study = final_study.read(config.run_dir)
    choice = final_choice.choose(study.choices, config.final_pipeline, inputs=_inputs(study))
    classes = study.found.record.get("classes")
    with rundir.open_stage(config, "fit_final_model", [study.found], digests=study.digests, classes=classes) as stage:
        if not stage.done:
            material = _of_volumes(config, study, stage.path) if study.stages else _of_file(config, study)
            record = _fit(config, study, choice, material=material, folder=stage.path)
            stage.complete(
                **{name: record[name] for name in ("pipeline", "strength", "thresholds", "trained_on")},
                expected_performance=record["expected_performance"],
            )
    figures = stage.record["figures"]
    for name, row in figures["expected_performance"].items():
        print(f"expected of the {name}, out of fold: {external_report.last_line(row)}")
    print(f"final model: {figures['pipeline']} in {Path(config.run_dir) / registry.folder('fit_final_model')}")


def _inputs(study: Study) -> tuple[str, ...]:
    """What a pipeline may learn from: of a new patient's volume no clinical column is known."""
    return ("features",) if study.stages else INPUTS


class _Material(NamedTuple):
    """Samples of all patients, what thresholds rest on (None: all of them), and what model.json says of them."""

    table: FeatureTable
    judging: np.ndarray | None
    known: dict


def _fit(config: Config, study: Study, choice: Choice, *, material: _Material, folder: Path) -> dict:
    """Fits the pipeline and writes the model's folder; what model.json holds."""
    table = material.table
    arm, settings = ARMS[choice.pipeline.arm], study.settings
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
            pools={SYNTHETIC: _pool(study, table)} if arm.name == SYNTHETIC else {},
        ),
        judging=material.judging,
        seed=settings["seed"],
    )
    expected = final_choice.expected_performance(
        study.predictions,
        study.choices,
        choice,
        draws=config.bootstrap_draws,
        seed=settings["seed"],
        inputs=_inputs(study),
    )
    return model_folder.write(
        folder,
        inputs,
        fitted,
        choice=choice,
        columns=ModelColumns.of_table(table, arm.inputs),
        expected_performance=expected,
        **material.known,
    )


def _of_file(config: Config, study: Study) -> _Material:
    """All samples of the study's file, which must be the same as it was; and what model.json says of it."""
    settings = study.settings
    path = config.study_features or settings["features"]
    table = importing.read_table(
        path,
        classes=settings["classes"],
        covariates=settings["covariates"],
        flag="--study_features" if config.study_features else "--features",
        **{f"{name}_column": settings[f"{name}_column"] for name in importing.DEFAULTS},
    )
    digest = _same(path, study.found.record["inputs"]["features"], "--study_features")
    keys = {name: settings[f"{name}_column"] for name in importing.DEFAULTS}
    return _Material(table, None, {"data": {"features": path, "sha256": digest}, "keys": keys})


def _of_volumes(config: Config, study: Study, folder: Path) -> _Material:
    """Vectors of all patients by a U-Net of all, which goes to `folder`; whose vectors it did not learn from."""
    home = Path(config.run_dir) / "final_run"
    _train_on_all(study, home)
    parts = [run_tables.table_of_run(home, "extract_vectors", split) for split in ("train", "validation")]
    cross_fitted = bool(study.stages["train_unet"].get("cross_fit"))
    judging = np.repeat([cross_fitted, True], [len(part) for part in parts])
    slices = study.stages["prepare_slices"]
    known = final_unet.write(folder, home, slices["modalities"])
    keys = {name: slices[f"{name}_column"] for name in ("label", "group", "site")}
    return _Material(tables.joined(parts), judging, {**known, "data": {"cohort": slices["cohort"]}, "keys": keys})


def _train_on_all(study: Study, home: Path) -> None:
    """Runs the stages of a fold without test patients in `home`, each where it is not done."""
    folders.make_folder(home, "--run_dir")
    configs = {name: _config(module, study.stages[name], home) for name, module in _OF_VOLUMES.items()}
    cohort = shared_flags.find_cohort(configs["prepare_slices"])
    assignment = splits.split_patients(
        cohort,
        validation_fraction=study.division["validation_fraction"],
        test_fraction=0.0,
        seed=study.division["seed"],
    )
    split_file = home / "all_patients.json"
    split_files.write_split(split_file, assignment, cohort)
    configs["prepare_slices"] = dataclasses.replace(
        configs["prepare_slices"], split_file=str(split_file), test_fraction=0.0
    )
    try:
        prepare_slices.run(configs["prepare_slices"])
    except InputError:
        if not configs["prepare_slices"].slices_from:
            raise
        # what the folds share may not be what all patients together ask for
        prepare_slices.run(dataclasses.replace(configs["prepare_slices"], slices_from=""))
    for stage in (train_unet, extract_vectors):
        stage.run(configs[stage.__name__.rpartition(".")[2]])
        tf.keras.backend.clear_session()


def _config(module, flags, home: Path) -> Any:
    """A stage's config from what its record says of its flags."""
    names = {field.name for field in dataclasses.fields(module.Config)}
    known = {name: tuple(v) if isinstance(v, list) else v for name, v in flags.items() if name in names}
    return module.Config(**{**known, "run_dir": str(home)})


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
