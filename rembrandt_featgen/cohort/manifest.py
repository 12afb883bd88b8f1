"""Manifests: a CSV file with a row for each patient, and paths that are absolute or start at the file's folder."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rembrandt_featgen.cohort import image_paths
from rembrandt_featgen.cohort.patients import MASK, Entry, Patient, Problem, ways_out
from rembrandt_featgen.core.errors import InputError

FILE = "manifest.csv"  # in a folder that is given as the cohort
PATIENT, LABEL, GRADE, GROUP, SITE = "patient", "label", "grade", "group", "site"


@dataclasses.dataclass(frozen=True)
class ManifestColumns:
    """Which columns of a manifest say what of a patient; names in any case.

    Attributes:
      label: of the class; where it is "label", a column "grade" does as well.
      group, site: as `Patient` has them; those of the usual names may be missing.
      covariates: clinical columns that are read.
    """

    label: str = LABEL
    group: str = GROUP
    site: str = SITE
    covariates: tuple[str, ...] = ()

    @property
    def chosen(self) -> dict[str, str]:
        """The names that are not the usual ones, which must be there, in lower case; each with its flag."""
        named = {f"--{name}_column": getattr(self, name) for name in (LABEL, GROUP, SITE)}
        found = {column.lower(): flag for flag, column in named.items() if flag != f"--{column.lower()}_column"}
        return {**{name.lower(): "--covariates" for name in self.covariates}, **found}


USUAL = ManifestColumns()


def read_manifest(
    cohort: Path, modalities: Sequence[str], columns: ManifestColumns = USUAL, *, masks: bool = True
) -> Iterator[Entry]:
    """The patients of a manifest; columns patient, mask, one for each modality, and those of `columns`, in any order.

    Args:
      cohort: the CSV file, or a folder with a manifest.csv.
      modalities: the columns of images that are needed.
      columns: names of the others.
      masks: whether the column mask is needed.
    """
    path = cohort / FILE if cohort.is_dir() else cohort
    _check_covariates(columns, modalities)
    label, group, site = (name.lower() for name in (columns.label, columns.group, columns.site))
    one_of = (LABEL, GRADE) if label == LABEL else (label,)
    for where, row in read_rows(
        path, (PATIENT, *[MASK] * masks, *modalities), one_of=one_of, also=(group, site), chosen=columns.chosen
    ):
        if not row[PATIENT]:
            raise InputError(f"{where}: no patient id; fill it in, or take the row out of the --cohort manifest")
        if group in row and not row[group]:
            raise InputError(
                f"{where}: patient {row[PATIENT]} has no {columns.group}, which no split may divide; fill it in (a "
                "patient's id where it stands alone), or take the row out"
            )
        column = next(name for name in one_of if name in row)
        yield Entry(
            where,
            row[PATIENT],
            row[column],
            is_grade=column == GRADE,
            find=_finder(where, path.parent, row),
            group=row.get(group, ""),
            site=row.get(site, ""),
            covariates={name: row[name.lower()] for name in columns.covariates},
            column="" if column in (LABEL, GRADE) else columns.label,
        )


def _check_covariates(columns: ManifestColumns, modalities: Sequence[str]) -> None:
    """InputError for clinical columns that are something else, or there twice."""
    given = f"--covariates={','.join(columns.covariates)}"
    names = [name.lower() for name in columns.covariates]
    if not all(names) or len(set(names)) < len(names):
        raise InputError(f"{given}: give each column once, in any case")
    what = {name.lower(): "no clinical column" for name in (PATIENT, MASK, *modalities)}
    classes = {columns.label.lower(), *([GRADE] if columns.label.lower() == LABEL else [])}
    what |= dict.fromkeys(classes, "the class itself")
    if columns.group.lower() == GROUP:
        what[GROUP] = "what no split divides, and no clinical column"
    for name in names:
        if name in what:
            raise InputError(f"{given}: {name} is {what[name]}; leave it out")
        if name in (GROUP, SITE) and getattr(columns, name).lower() != name:
            raise InputError(
                f"{given}: a run keeps what --{name}_column={getattr(columns, name)} says under the name {name}; "
                f"rename the other column {name} in the manifest"
            )


def _finder(where: str, base: Path, row: Mapping[str, str]) -> Callable[[str], Path]:
    def find(name: str) -> Path:
        cell = row[name.lower()]
        if not cell:
            raise Problem(name, f"{where}: patient {row[PATIENT]} has no {name}; fill in its path, or {ways_out(name)}")
        if not image_paths.exists(base / cell):
            raise Problem(
                name,
                f"{where}: {name} {base / cell} of {row[PATIENT]} is no file; correct its path, or {ways_out(name)}",
            )
        return base / cell

    return find


def write_manifest(path: Path, patients: Sequence[Patient]) -> Path:
    """Writes a manifest of patients who have the same modalities; files below its folder are given from there.

    Columns group and site are there where a patient has another group than its id, or a site.
    """
    base, modalities, covariates = path.parent.resolve(), list(patients[0].images), list(patients[0].covariates)
    more = [GROUP] * any(patient.group != patient.id for patient in patients)
    more += [SITE] * any(patient.site for patient in patients)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([PATIENT, LABEL, MASK, *modalities, *more, *covariates])
        for patient in patients:
            files = [entry.resolve() for entry in (patient.mask, *(patient.images[name] for name in modalities))]
            shown = [entry.relative_to(base) if entry.is_relative_to(base) else entry for entry in files]
            known = [getattr(patient, name) for name in more]
            known += [patient.covariates[name] for name in covariates]
            writer.writerow([patient.id, patient.label, *shown, *known])
    return path


def read_rows(
    path: Path,
    columns: Sequence[str],
    *,
    one_of: Sequence[str] = (),
    also: Sequence[str] = (),
    chosen: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, dict[str, str]]]:
    """Reads a CSV file with a header.

    Args:
      path: UTF-8, with commas.
      columns: names of the columns that are needed, in any case.
      one_of: names of columns of which exactly one is needed.
      also: names of those that are read where they are there.
      chosen: further columns that are needed, each with the flag that names it.

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
    _check_chosen(path, header, chosen or {})
    _check_header(path, header, columns, one_of=one_of, others=[*also, *(chosen or {})])
    for number, cells in lines[1:]:
        if any(cells):
            if len(cells) != len(header):
                raise InputError(
                    f"--cohort: {path} line {number}: {len(cells)} cells, but {len(header)} columns; put a path that "
                    "has commas in quotes, and fill in what is missing"
                )
            yield f"{path} line {number}", dict(zip(header, cells))


def _check_chosen(path: Path, header: Sequence[str], chosen: Mapping[str, str]) -> None:
    for name, flag in chosen.items():
        if name not in header:
            raise InputError(
                f"--cohort: {path}: no column {name!r}, which {flag} names (found {', '.join(header) or 'nothing'}); "
                "add it, or correct the flag"
            )


def _check_header(
    path: Path, header: Sequence[str], columns: Sequence[str], *, one_of: Sequence[str], others: Sequence[str]
) -> None:
    present = [name for name in one_of if name in header]
    missing = [name for name in [*columns, *one_of[: 0 if present else 1]] if name.lower() not in header]
    if missing:
        received = ", ".join(header) or "nothing"
        raise InputError(
            f"--cohort: {path}: missing columns {', '.join(missing)} (found {received}); add them, separated by commas"
        )
    if len(present) > 1:
        raise InputError(
            f"--cohort: {path}: columns {' and '.join(present)} both name the class; keep one of them, rename the "
            f"other, or give --label_column={present[-1]}"
        )
    if any(header.count(name.lower()) > 1 for name in [*columns, *present, *others]):
        raise InputError(f"--cohort: {path}: a column is there twice ({', '.join(header)}); keep one of each")
