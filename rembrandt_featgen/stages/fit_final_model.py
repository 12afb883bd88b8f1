"""Fits the final model of a study on all of its patients, and exports it.

The pipeline is the classifier, arm and amount of the lowest mean validation loss in the study; no test patient's result
is used to choose it. Its preparation, strength of regularisation and thresholds are learnt anew, by inner
cross-validation on all patients. A study of volumes (crossvalidate) also gets a U-Net of all patients, but for the
share that chooses its epoch, and a generator if the pipeline draws from one, trained in run_dir/final_run. `predict`
runs the model, and `evaluate_final_model` tests it on another cohort.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.classification import classifier_kinds
from rembrandt_featgen.cohort import fresh_patients, split_files, splits
from rembrandt_featgen.cohort.pseudonyms import Pseudonyms
from rembrandt_featgen.core import cli, folders, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import shared_slices
from rembrandt_featgen.evaluation import (
    external_report,
    final_choice,
    final_model,
    final_study,
    final_unet,
    model_folder,
    run_features,
)
from rembrandt_featgen.evaluation.arms import ARMS, SYNTHETIC
from rembrandt_featgen.evaluation.competitors import Settings
from rembrandt_featgen.evaluation.final_choice import Choice
from rembrandt_featgen.evaluation.final_study import Study
from rembrandt_featgen.evaluation.run_features import Studied
from rembrandt_featgen.features import importing, model_columns, run_tables, tables
from rembrandt_featgen.features.model_columns import ModelColumns
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.generation.sample_pool import SamplePool
from rembrandt_featgen.nn import devices
from rembrandt_featgen.stages import evaluate_features, prepare_slices, pseudonym_flags, shared_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = cli.flag("", "Folder of a finished study.", required=True, path=True)
    final_pipeline: str = cli.flag(
        "",
        "Another pipeline than the one of the lowest validation loss: classifier, arm and, where the arm has one, "
        "amount, such as ridge/none or mlp/smote/1.",
    )
    study_features: str = cli.flag("", "The study's --features, if the file is elsewhere now.", path=True)
    deterministic: bool = shared_flags.deterministic()
    bootstrap_draws: int = shared_flags.bootstrap_draws()


def run(config: Config) -> None:
    """Writes run_dir/final: classifier/, a SavedModel, model.json, and seen_patients.json; unet/ where there is one."""
    study = final_study.read(config.run_dir)
    if config.study_features and study.stages:
        raise InputError(f"--study_features={config.study_features}: this study is of volumes; leave the flag out")
    choice = final_choice.choose(study.choices, config.final_pipeline, of_volumes=bool(study.stages))
    devices.use(devices.AUTO, deterministic=config.deterministic)
    classes = study.found.record.get("classes")
    with rundir.open_stage(config, "fit_final_model", [study.found], digests=study.digests, classes=classes) as stage:
        if not stage.done:
            make = _of_volumes if study.stages else _of_file
            material = make(config, study, choice, folder=stage.path)
            names = _pseudonyms(config, study)
            material.known["pseudonyms"] = names.check if names else ""  # with which others can be compared
            record = _fit(config, study, choice, material=material)
            stage.complete(
                **{name: record[name] for name in ("pipeline", "strength", "thresholds", "trained_on")},
                expected_performance=record["expected_performance"],
            )
    figures = stage.record["figures"]
    for name, row in figures["expected_performance"].items():
        print(f"expected of the {name}, out of fold: {external_report.last_line(row)}")
    print(f"final model: {figures['pipeline']} in {Path(config.run_dir) / registry.folder('fit_final_model')}")


class _Material(NamedTuple):
    """What a final model is made of.

    Attributes:
      folder: that gets the model.
      table: samples of all patients.
      settings: of the study's trainings.
      judging: [n] bool, samples that thresholds rest on.
      known: what model.json says of them.
    """

    folder: Path
    table: FeatureTable
    settings: Settings
    judging: np.ndarray
    known: dict


def _fit(config: Config, study: Study, choice: Choice, *, material: _Material) -> dict:
    """Fits the pipeline and writes the model's folder; what model.json holds."""
    table, arm, seed = material.table, ARMS[choice.pipeline.arm], study.settings["seed"]
    inputs = model_columns.inputs_of(table, arm.inputs)
    shown = " x ".join(map(str, inputs.values.shape[1:]))
    logging.info("final model: %s, on %d samples of %s numbers", choice.name, len(inputs), shown)
    fitted = final_model.fit(
        inputs,
        choice.classifier,
        choice.pipeline,
        settings=material.settings,
        judging=material.judging,
        seed=seed,
    )
    expected = final_choice.expected_performance(
        study.predictions,
        study.choices,
        choice,
        draws=config.bootstrap_draws,
        seed=seed,
        of_volumes=bool(study.stages),
    )
    return model_folder.write(
        material.folder,
        inputs,
        fitted,
        choice=choice,
        columns=ModelColumns.of_table(table, arm.inputs),
        expected_performance=expected,
        **material.known,
    )


def _pseudonyms(config: Config, study: Study) -> Pseudonyms | None:
    """Those of the study, by its key; None where it had none."""
    flags = study.stages["prepare_slices"] if study.stages else study.settings
    return pseudonym_flags.pseudonyms_by(
        flags.get("pseudonymise", False), key=flags.get("pseudonym_key", ""), run_dir=config.run_dir
    )


def _of_file(config: Config, study: Study, choice: Choice, *, folder: Path) -> _Material:
    """All samples of the study's file, which must be the same as it was."""
    flags = study.settings
    path = config.study_features or flags["features"]
    table = importing.read_table(
        path,
        classes=flags["classes"],
        covariates=flags["covariates"],
        group_pattern=flags.get("group_pattern", ""),
        pseudonyms=_pseudonyms(config, study),
        flag="--study_features" if config.study_features else "--features",
        **{f"{name}_column": flags[f"{name}_column"] for name in importing.DEFAULTS},
    )
    digest = _same(path, study.found.record["inputs"]["features_file"], "--study_features")
    pools, judging = {}, np.ones(len(table), bool)
    if choice.pipeline.arm == SYNTHETIC:
        pools[SYNTHETIC] = SamplePool(*importing.read_synthetic(flags["synthetic"], table))
        judging = final_model.judged(importing.read_split(path) == "train", unet_saw=False, pool=pools[SYNTHETIC])
        _same(flags["synthetic"], study.found.record["inputs"]["synthetic_file"], "--synthetic")
    keys = {name: flags[f"{name}_column"] for name in importing.DEFAULTS}
    return _Material(
        folder,
        table,
        settings=evaluate_features.settings_of(_study_flags(study, choice), Studied(table, [], pools=pools, notes={})),
        judging=judging,
        known={"data": {"features": path, "sha256": digest}, "keys": keys},
    )


def _of_volumes(config: Config, study: Study, choice: Choice, *, folder: Path) -> _Material:
    """Features of all patients by a U-Net of all, which goes to `folder`."""
    home, maps = Path(config.run_dir) / "final_run", classifier_kinds.kind_of(choice.classifier).of_maps
    _train_on_all(study, choice, home, deterministic=config.deterministic)
    flags, stage = _study_flags(study, choice, home), "extract_features" if maps else "extract_vectors"
    parts = [run_tables.table_of_run(home, stage, split) for split in ("train", "validation")]
    table = tables.joined(parts)
    pools, _ = run_features.pools_of_run(evaluate_features.wanted_of(flags), table)
    slices = study.stages["prepare_slices"]
    return _Material(
        folder,
        table,
        settings=evaluate_features.settings_of(flags, Studied(table, [], pools=pools, notes={})),
        judging=final_model.judged(
            np.repeat([True, False], [len(part) for part in parts]),
            # features of patients from whom a U-Net learnt are not like those of others, unless they are cross-fitted
            unet_saw=not study.stages["train_unet"].get("cross_fit"),
            pool=pools.get(choice.pipeline.arm),
        ),
        known={
            **final_unet.write(folder, home, slices["modalities"], maps=maps),
            "data": {"cohort": slices["cohort"]},
            "keys": {name: slices[f"{name}_column"] for name in ("label", "group", "site")},
        },
    )


def _train_on_all(study: Study, choice: Choice, home: Path, *, deterministic: bool) -> None:
    """Runs in `home`, without test patients, the stages of a fold that a pipeline needs; each where it is not done."""
    folders.make_folder(home, "--run_dir")
    slices = _config(prepare_slices, study.stages["prepare_slices"], home)
    cohort = shared_flags.find_cohort(slices)
    if shared_slices.content_digest(cohort) != study.cohort:
        raise InputError(
            f"--run_dir={home.parent}: files or labels of --cohort={slices.cohort} have changed since the study; put "
            "back what they were, or make the study again in another --run_dir"
        )
    assignment = fresh_patients.split(
        cohort,
        shared_flags.fresh_patients(slices),
        validation_fraction=study.division["validation_fraction"],
        seed=study.division["seed"],
        fresh_in=splits.LEFT_OUT,
    )
    split_file = home / "all_patients.json"
    split_files.write_split(split_file, assignment, cohort)
    slices = dataclasses.replace(slices, split_file=str(split_file), test_fraction=0.0)
    if not prepare_slices.are_shared(slices):  # what the folds share may not be what all patients together ask for
        slices = dataclasses.replace(slices, slices_from="")
    prepare_slices.run(slices)
    later = [("train_unet", "train_unet"), ("extract_vectors", "extract_vectors")]
    if classifier_kinds.kind_of(choice.classifier).of_maps:
        later[1] = ("extract_features", "extract_features")
        if choice.pipeline.arm in KINDS:
            later += [(name, f"{name}/{choice.pipeline.arm}") for name in ("train_generators", "generate_synthetic")]
    for name, key in later:
        module = stages.modules([name])[name]
        # no setting of the study's, whose records do not have it
        module.run(dataclasses.replace(_config(module, study.stages[key], home), deterministic=deterministic))
        tf.keras.backend.clear_session()


def _study_flags(study: Study, choice: Choice, home: Path | None = None) -> evaluate_features.Config:
    """Flags of evaluate_features, for one arm and classifier, in another run_dir."""
    flags = _config(evaluate_features, study.settings, home or Path(study.settings.get("run_dir", "")))
    return dataclasses.replace(flags, arms=(choice.pipeline.arm,), classifiers=(choice.classifier,))


def _config(module, flags: Mapping, home: Path) -> Any:
    """A stage's config from what its record says of its flags."""
    names = {field.name for field in dataclasses.fields(module.Config)}
    known = {name: tuple(v) if isinstance(v, list) else v for name, v in flags.items() if name in names}
    return module.Config(**{**known, "run_dir": str(home)})


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
