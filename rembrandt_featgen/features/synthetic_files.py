"""Whether a file of features is a synthetic cohort of this program, and what lies beside it to say who made it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rembrandt_featgen.core import json_files, rundir, system_errors
from rembrandt_featgen.core.errors import InputError

NAME = "synthetic"  # begins the names of the files and of patients, and is what the column split says
_PATIENT = re.compile(rf"{NAME}_\d{{5,}}")


def beside(path: Path) -> Path:
    """The file that says where a cohort comes from: that of synthetic_gaussian.csv is synthetic_gaussian.csv.json."""
    return path.with_name(f"{path.name}.json")


def seen_beside(path: Path) -> Path:
    """The file by which those who hold patients can tell whether these made a cohort."""
    return path.with_name(f"{path.name}.seen.json")


def provenance(path: Path) -> tuple[Path, dict] | None:
    """What says where a cohort comes from, by the file's name or, where it was renamed, by its content.

    Returns:
      The path that the cohort had when it was written, and the record; None where nothing beside the file is of it.
    """
    record = _read(beside(path))
    if record is not None:
        return path, record
    records = {one: _read(one) for one in sorted(path.parent.glob(f"{NAME}_*.json"))}
    known = {one: record for one, record in records.items() if record is not None}
    if not known:
        return None
    digest = rundir.file_digest(path)
    for one, record in known.items():
        if record["sha256"] == digest:
            return one.with_name(one.name[: -len(".json")]), record
    return None


def refuse(path: Path, where: str, *, patients: np.ndarray, split: np.ndarray | None) -> None:
    """Ends where rows that are to be of real patients are of a synthetic cohort.

    Args:
      path: of the file.
      where: flag and file, for messages.
      patients: [n] text.
      split: [n] text; None where there is no such column.

    Raises:
      InputError: the column split, all names of patients, or what lies beside the file says that it is one.
    """
    by_split = split is not None and any(text.casefold() == NAME for text in np.unique(split).tolist())
    by_name = all(_PATIENT.fullmatch(name) for name in np.unique(patients).tolist())
    found = provenance(path)
    if by_split or by_name or found:
        raise InputError(
            f"{where} is a synthetic cohort that this program made{_of(found[1]) if found else ''}, and no real "
            "patients: give it by --synthetic (evaluate_features, --plan=split), and the real patients by --features"
        )


def _of(record: Mapping) -> str:
    """From what, as far as it is known."""
    settings = record.get("settings") or {}
    return f" (by {settings.get('share', 'a generator')} from {settings.get('features', 'a table')})"


def _read(path: Path) -> dict | None:
    """The record of a cohort; None where the file is none."""
    try:
        record = json_files.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        system_errors.raise_of_drive(error)
        return None
    return record if isinstance(record, dict) and {"sha256", "judged"} <= set(record) else None
