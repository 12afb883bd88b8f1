"""The folder of a final model: the SavedModel, what is known of it, and digests of whom it was trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from rembrandt_featgen.classification import pipeline_export
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import json_files, provenance, remarks
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import seen_patients
from rembrandt_featgen.evaluation.final_choice import Choice
from rembrandt_featgen.evaluation.final_model import THRESHOLD_RULE, Fitted
from rembrandt_featgen.evaluation.measure_rows import count_by_class
from rembrandt_featgen.features import patient_vectors
from rembrandt_featgen.features.model_columns import ModelColumns
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.nn import saved_models

MODEL, SEEN, CLASSIFIER = "model.json", "seen_patients.json", "classifier"


@dataclasses.dataclass(frozen=True, eq=False)
class FinalModel:
    """An exported model, as it is loaded.

    Attributes:
      record: what model.json holds.
      classes: of the study.
      columns: that it takes.
      seen: digests of the patients that it was trained on.
      classify: the SavedModel's signature.
    """

    record: dict
    classes: Classes
    columns: ModelColumns
    seen: dict[str, list[str]]
    classify: tf.types.experimental.ConcreteFunction

    @property
    def of_maps(self) -> bool:
        """Whether it takes maps of slices."""
        return bool(self.record.get("maps"))

    @property
    def of_volumes(self) -> bool:
        """Whether it was made of volumes, and takes them by its U-Net."""
        return "modalities" in self.record

    @property
    def modalities(self) -> list[str]:
        """Of the volumes that it takes; InputError where it takes a table."""
        if not self.of_volumes:
            raise InputError("--model_dir holds a model of a table of features; give a table instead of volumes")
        return self.record["modalities"]

    @property
    def thresholds(self) -> np.ndarray:
        """[classes] by which is decided."""
        return np.array(self.record["thresholds"], np.float64)

    def vectors(self, batch: int) -> patient_vectors.Settings:
        """How vectors of volumes are made for it, `batch` slices at a time; InputError where it takes a table."""
        kept = self.record.get("vectors")
        if not kept:
            raise InputError("--model_dir holds no model of patient vectors; give what it was made for")
        settings: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in kept.items()}
        return patient_vectors.Settings(**{**settings, "batch": batch})

    def values_of(self, numbers: Mapping[str, float]) -> np.ndarray:
        """[1, d] float32 of a patient's numbers by name, such as a vector has."""
        return np.array([[numbers[name] for name in self.columns.names]], np.float32)

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """[n, classes] float64 of vectors [n, d] float32 in the order of the columns, NaN where missing, or of maps."""
        return self.classify(feature=tf.constant(values, tf.float32))["probability"].numpy()


def write(
    folder: Path,
    table: FeatureTable,
    fitted: Fitted,
    *,
    choice: Choice,
    columns: ModelColumns,
    **known,
) -> dict:
    """Writes a model.

    Args:
      folder: that gets classifier/, model.json and seen_patients.json.
      table: that it was fitted on, columns as it takes them.
      fitted: of `final_model.fit`.
      choice: why this pipeline.
      columns: of the model.
      known: what else model.json is to say, by name.

    Returns:
      What model.json holds.
    """
    with remarks.errors_alone():
        module, signatures = pipeline_export.exported(fitted.pipeline, table.classes, columns.names)
        saved_models.save(module, folder / CLASSIFIER, signatures)
    _, first = np.unique(table.patients, return_index=True)
    preparation = fitted.pipeline.preparation
    record = json_files.plain(
        {
            "classes": table.classes.record,
            "columns": columns.record,
            "pipeline": choice.name,
            "choice": choice._asdict(),
            "strength": fitted.pipeline.model.strength,
            "inner_loss": fitted.loss,
            "thresholds": fitted.pipeline.thresholds,
            "threshold_rule": THRESHOLD_RULE,
            "threshold_patients": fitted.out_of_fold,
            "trained_on": {
                "patients": count_by_class(table.labels[first], table.classes),
                "groups": len(np.unique(table.groups)),
                "samples": count_by_class(table.labels, table.classes),
                "with_added_samples": dict(zip(table.classes.names, fitted.samples)),
                "imputed": preparation.imputed,
                "constant_columns": preparation.constant,
                "numbers": preparation.size,
            },
            **known,
            "versions": provenance.versions(),
            "commit": provenance.commit(),
        }
    )
    json_files.write_json(folder / SEEN, seen_patients.record(table))
    json_files.write_json(folder / MODEL, record)
    return record


def is_there(folder: str | Path) -> bool:
    """Whether a folder holds a final model."""
    return (Path(folder) / MODEL).is_file()


def read(folder: str | Path) -> FinalModel:
    """Loads a model; InputError where the folder of --model_dir holds none, or a damaged one."""
    if not is_there(folder):
        raise InputError(
            f"--model_dir={folder}: there is no {MODEL} in it; give the final/ folder of a study, which "
            "python -m rembrandt_featgen.stages.fit_final_model --run_dir=STUDY makes"
        )
    (classify,) = saved_models.signatures_of(str(folder), CLASSIFIER, ("classify",))
    record: Mapping = json_files.read_json(Path(folder) / MODEL)
    return FinalModel(
        dict(record),
        Classes.of_record(record["classes"]),
        ModelColumns.of_record(record["columns"]),
        seen=json_files.read_json(Path(folder) / SEEN),
        classify=classify,
    )
