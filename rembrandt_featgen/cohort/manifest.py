"""Manifests: a CSV file with a row for each patient, and paths that are absolute or start at the file's folder."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rembrandt_featgen.cohort.patients import MASK, Entry, Patient, Problem, ways_out
from rembrandt_featgen.core.errors import InputError

FILE = "manifest.csv"  # in a folder that is given as the cohort
PATIENT, LABEL, GRADE = "patient", "label", "grade"


def read_manifest(cohort: Path, modalities: Sequence[str]) -> Iterator[Entry]:
    """The patients of a manifest; columns patient, mask, one for each modality, and label (or grade), in any order.

    Args:
      cohort: the CSV file, or a folder with a manifest.csv.
      modalities: the columns of images that are needed.
    """
    path = cohort / FILE if cohort.is_dir() else cohort
    for where, row in read_rows(path, (PATIENT, MASK, *modalities), one_of=(LABEL, GRADE)):
        if not row[PATIENT]:
            raise InputError(f"{where}: no patient id; fill it in, or take the row out of the --cohort manifest")
        is_grade = LABEL not in row
        yield Entry(
            where,
            row[PATIENT],
            row[GRADE if is_grade else LABEL],
            is_grade=is_grade,
            find=_finder(where, path.parent, row),
        )


def _finder(where: str, base: Path, row: Mapping[str, str]) -> Callable[[str], Path]:
    def find(name: str) -> Path:
        cell = row[name.lower()]
        if not cell:
            raise Problem(name, f"{where}: patient {row[PATIENT]} has no {name}; fill in its path, or {ways_out(name)}")
        if not (base / cell).is_file():
            raise Problem(
                name,
                f"{where}: {name} {base / cell} of {row[PATIENT]} is no file; correct its path, or {ways_out(name)}",
            )
        return base / cell

    return find


def write_manifest(path: Path, patients: Sequence[Patient]) -> Path:
    """Writes a manifest of patients who have the same modalities; files below its folder are given from there."""
    base, modalities = path.parent.resolve(), list(patients[0].images)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([PATIENT, LABEL, MASK, *modalities])
        for patient in patients:
            files = [entry.resolve() for entry in (patient.mask, *(patient.images[name] for name in modalities))]
            shown = [entry.relative_to(base) if entry.is_relative_to(base) else entry for entry in files]
            writer.writerow([patient.id, patient.label, *shown])
    return path


def read_rows(
    path: Path, columns: Sequence[str], *, one_of: Sequence[str] = ()
) -> Iterator[tuple[str, dict[str, str]]]:
    """Reads a CSV file with a header.

    Args:
      path: UTF-8, with commas.
      columns: names of the columns that are needed, in any case.
      one_of: names of columns of which exactly one is needed.

    Yields:
      File and line of a row, and its cells, stripped, by column name in lower case.

    Raises:
      InputError: the file is missing or not readable, or a column is missing or there twice.
    """
    if not path.is_file():
        raise InputError(f"--cohort: {path}: no such file; add it, or choose another --layout")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"--cohort: {path}: not readable as CSV ({reason}); save it as comma-separated UTF-8"
        ) from error
    header = [name.lower() for name in lines[0][1]] if lines else []
    _check_header(path, header, columns, one_of=one_of)
    for number, cells in lines[1:]:
        if any(cells):
            if len(cells) != len(header):
                raise InputError(
                    f"--cohort: {path} line {number}: {len(cells)} cells, but {len(header)} columns; put a path that "
                    "has commas in quotes, and fill in what is missing"
                )
            yield f"{path} line {number}", dict(zip(header, cells))


def _check_header(path: Path, header: Sequence[str], columns: Sequence[str], one_of: Sequence[str]) -> None:
    present = [name for name in one_of if name in header]
    missing = [name for name in [*columns, *one_of[: 0 if present else 1]] if name.lower() not in header]
    if missing:
        received = ", ".join(header) or "nothing"
        raise InputError(
            f"--cohort: {path}: missing columns {', '.join(missing)} (found {received}); add them, separated by commas"
        )
    if len(present) > 1:
        raise InputError(
            f"--cohort: {path}: columns {' and '.join(present)} both name the class; keep one of them, or rename the "
            "other"
        )
    if any(header.count(name.lower()) > 1 for name in [*columns, *present]):
        raise InputError(f"--cohort: {path}: a column is there twice ({', '.join(header)}); keep one of each")
