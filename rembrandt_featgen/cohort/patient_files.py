"""What is known of a run's patients beside their images, as a CSV file in the folder of its slices."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rembrandt_featgen.cohort.manifest import GROUP, PATIENT, SITE
from rembrandt_featgen.cohort.patients import Patient
from rembrandt_featgen.core import system_errors
from rembrandt_featgen.core.errors import InputError

FILE = "patients.csv"


class PatientFile(NamedTuple):
    """What a file holds.

    Attributes:
      group, site: of each patient by id; site is "" where it is not known.
      covariates: names of its clinical columns.
    """

    group: dict[str, str]
    site: dict[str, str]
    covariates: tuple[str, ...]


def write_patients(folder: Path, patients: Sequence[Patient], covariates: Sequence[str]) -> Path:
    """Writes a row for each patient: patient, group, site and each covariate, as the cohort has them.

    Args:
      folder: of the slices.
      patients: all of them, with those covariates.
      covariates: names of clinical columns; "group" and "site" need no further column.

    Returns:
      The file.
    """
    more = [name for name in covariates if name.lower() not in (GROUP, SITE)]
    path = folder / FILE
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([PATIENT, GROUP, SITE, *more])
        for patient in patients:
            writer.writerow([patient.id, patient.group, patient.site, *(patient.covariates[name] for name in more)])
    return path


def read_patients(folder: Path) -> PatientFile:
    """Reads what `write_patients` wrote, but for the covariates.

    Args:
      folder: of the slices.

    Raises:
      InputError: the file is missing or damaged.
    """
    path = folder / FILE
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file, strict=True)
        if header[:3] != [PATIENT, GROUP, SITE] or any(len(row) != len(header) for row in rows):
            raise ValueError(f"its columns are {', '.join(header)}")
    except (OSError, ValueError, csv.Error) as error:
        system_errors.raise_of_drive(error)
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path} is missing or damaged ({reason}); delete {folder} so that its stage is done again"
        ) from error
    return PatientFile({row[0]: row[1] for row in rows}, {row[0]: row[2] for row in rows}, tuple(header[3:]))
