"""The columns that an exported model takes, and files of other patients brought into their order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.pseudonyms import Pseudonyms
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features import importing, synthetic_files
from rembrandt_featgen.features.covariates import with_inputs
from rembrandt_featgen.features.table_files import listed, shown
from rembrandt_featgen.features.table_sources import Source, open_source
from rembrandt_featgen.features.tables import FeatureTable, in_float32, table_of_arrays

MODEL = "the model"


@dataclasses.dataclass(frozen=True)
class ModelColumns:
    """What a model learnt from, in the order in which it takes it.

    Attributes:
      features: names of the columns of features in a file.
      covariates: name of each clinical column to the values that one of text had, or to None for one of numbers.
    """

    features: tuple[str, ...]
    covariates: Mapping[str, tuple[str, ...] | None] = dataclasses.field(default_factory=dict)

    @classmethod
    def of_table(cls, table: FeatureTable, inputs: str) -> ModelColumns:
        """Those that `with_inputs` makes of a table; `inputs` as there."""
        covariates: dict[str, tuple[str, ...] | None] = {}
        for name, column in {} if inputs == "features" else table.covariates.items():
            covariates[name] = None if column.dtype.kind == "f" else tuple(str(v) for v in np.unique(column) if v)
        return cls(() if inputs == "covariates" else table.names, covariates)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all numbers that the model takes, as `with_inputs` names them."""
        made: list[str] = []
        for name, values in self.covariates.items():
            made += [f"covariate {name}"] if values is None else [f"covariate {name}={value}" for value in values]
        return (*self.features, *made)

    @property
    def record(self) -> dict:
        """As JSON keeps it."""
        return {"features": list(self.features), "covariates": {k: v and list(v) for k, v in self.covariates.items()}}

    @classmethod
    def of_record(cls, record: Mapping) -> ModelColumns:
        """As `record` keeps them."""
        covariates = {name: values and tuple(values) for name, values in record["covariates"].items()}
        return cls(tuple(record["features"]), covariates)


def read_samples(
    path: str | Path,
    columns: ModelColumns,
    classes: Classes,
    *,
    keys: Mapping[str, str] | None = None,
    labelled: bool = True,
    pseudonyms: Pseudonyms | None = None,
    flag: str = "--test_features",
) -> FeatureTable:
    """Reads samples of other patients as a model takes them: columns by name, in any order, others left out.

    Args:
      path: .csv, .parquet or .npz, as `importing.import_table` reads.
      columns: of the model.
      classes: of the model; a file need not have samples of all of them.
      keys: names of the columns of "label", "patient", "group" and "site"; by default these.
      labelled: whether a label and a patient are needed. Else labels are 0, and without patients each row is one.
      pseudonyms: that the table has in place of patients' ids and groups; None for these.
      flag: for messages.

    Raises:
      InputError: a column is missing or of another type than in training, or the file cannot be used.
    """
    source, chosen = open_source(Path(path), flag), {**importing.DEFAULTS, **(keys or {})}
    parts = [source.named(columns.features, MODEL)] if columns.features else []
    if parts and parts[0].ndim != 2:
        raise InputError(f"{source.where} has maps {list(parts[0].shape)}, and the model takes vectors; give vectors")
    parts += [_covariate(source, name, values) for name, values in columns.covariates.items()]
    patients = source.texts(chosen["patient"])
    if patients is None and labelled:
        patients = importing.needed_column(source, "patient", chosen["patient"])
    if patients is not None and labelled:
        split = source.texts(importing.SPLIT)
        synthetic_files.refuse(Path(path), source.where, patients=patients, split=split)
    groups = source.texts(chosen["group"])
    for name, column in (("patient", patients), ("group", groups)):
        empty = np.zeros(0, np.int64) if column is None else np.flatnonzero(column == "")
        if len(empty):
            raise InputError(f"{source.where}: row {empty[0] + source.first_row} has no {name}; fill it in")
    if groups is None and patients is not None:
        groups = importing.groups_of_visits(patients)
    sites = source.texts(chosen["site"])
    if pseudonyms and patients is not None and groups is not None:
        patients, groups, sites = pseudonyms.of_columns(patients, groups, sites, where=source.where)
    values = np.concatenate(parts, axis=1)
    labels = _labels(source, chosen["label"], classes) if labelled else np.zeros(len(values), np.int64)
    try:
        table = table_of_arrays(
            in_float32(values),
            labels,
            classes=classes,
            patients=patients,
            groups=groups,
            sites=sites,
            samples=source.whole_numbers(importing.SAMPLE),
            names=columns.names,
        )
    except ValueError as error:
        raise InputError(f"{source.where}: {error}; correct the file") from error
    importing.check_samples(table, source.where)
    return table


def inputs_of(table: FeatureTable, inputs: str) -> FeatureTable:
    """`with_inputs` of the table of a study, of which a model is fitted, without covariates beside its values."""
    return dataclasses.replace(with_inputs(table, inputs), covariates={})


def _labels(source: Source, column: str, classes: Classes) -> np.ndarray:
    texts = importing.needed_column(source, "label", column)
    matched = [classes.match(text) for text in texts]
    if not all(matched):
        row = matched.index("")
        raise InputError(
            f"{source.where}: row {row + source.first_row} has label {shown(texts[row])}, which is none of the model's "
            f"classes {', '.join(classes.names)}; correct it, or leave those patients out"
        )
    return np.array([classes.label(name) for name in matched], np.int64)


def _covariate(source: Source, name: str, values: Sequence[str] | None) -> np.ndarray:
    """[n, 1] numbers, or [n, values] of 0 and 1, as `with_inputs` makes them."""
    texts, numbers = source.texts(name), source.numbers(name)
    if texts is None:
        raise InputError(f"{source.where} has no column {name!r}, a covariate of the model; add it")
    if values is None:
        if numbers is None:
            raise InputError(
                f"{source.where}: the column {name!r} has text, and the model takes numbers there; write numbers, and "
                "nothing where one is not known"
            )
        return numbers[:, None].astype(np.float32)
    unknown = sorted(set(texts.tolist()) - {*values, ""})
    if unknown:
        logging.warning("%s: %s was never %s in training; it counts as missing", source.where, name, listed(unknown))
    return np.stack([texts == value for value in values], axis=1).astype(np.float32)
