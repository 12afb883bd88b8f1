"""What a cohort's manifest, or another file with a row a patient, says beside images: group, site, covariates."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rembrandt_featgen.cohort.manifest import FILE
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features.table_files import listed, read_columns
from rembrandt_featgen.features.tables import FeatureTable


def with_clinical(
    table: FeatureTable,
    path: str | Path,
    *,
    covariates: Sequence[str] = (),
    group_column: str = "",
    site_column: str = "",
    flag: str = "--cohort",
) -> FeatureTable:
    """The table with what a file says of its patients.

    Args:
      table: of patients, such as those of a run.
      path: .csv or .parquet with a column `patient`, or a folder with a manifest.csv; patients who are not in the table
        are not used.
      covariates: names of columns, of numbers or of text; they are added to those of the table.
      group_column, site_column: name of a column; "" leaves groups or sites as they are.
      flag: for messages.

    Raises:
      InputError: a column or a patient is not in the file, or a patient is there twice.
    """
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    columns = read_columns(file, flag)

    def position(name: str) -> int:
        found = columns.position(name)
        if found is None:
            raise InputError(f"{flag}={file} has no column {name!r}; add it, or correct the flag that names it")
        return found

    ids = columns.texts(position("patient"))
    rows = {name: row for row, name in enumerate(ids.tolist()) if name}
    absent = [name for name in dict.fromkeys(table.patients.tolist()) if name not in rows]
    if absent:
        raise InputError(f"{flag}={file} has no row for {len(absent)} patients: {listed(absent)}; add rows for them")
    order = np.array([rows[name] for name in table.patients.tolist()], np.int64)
    used = set(table.patients.tolist())
    twice = len([name for name in ids.tolist() if name in used]) - len(used)
    if twice:
        raise InputError(f"{flag}={file} has {twice} patients in several rows; keep one row of each")
    changes: dict = {}
    for key, chosen in (("groups", group_column), ("sites", site_column)):
        if chosen:
            changes[key] = columns.texts(position(chosen))[order]
    if "groups" in changes and (changes["groups"] == "").any():
        patient = table.patients[np.flatnonzero(changes["groups"] == "")[0]]
        raise InputError(f"{flag}={file}: patient {patient} has no {group_column}; fill it in")
    clinical = dict(table.covariates)
    for name in covariates:
        number = position(name)
        column = columns.texts(number) if columns.is_text(number) else columns.numbers(number)
        clinical[name] = column[order]
    return dataclasses.replace(table, **changes, covariates=clinical)
