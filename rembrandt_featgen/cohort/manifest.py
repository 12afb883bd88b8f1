"""Manifests: a CSV file with a row for each patient, and paths that are absolute or start at the file's folder."""

from __future__ import annotations

import csv
import dataclasses
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rembrandt_featgen.cohort import image_paths, modality_names
from rembrandt_featgen.cohort.csv_rows import read_lines, read_rows
from rembrandt_featgen.cohort.patients import MASK, Entry, Patient, Problem, ways_out
from rembrandt_featgen.core import paths
from rembrandt_featgen.core.errors import InputError

FILE = "manifest.csv"  # in a folder that is given as the cohort
PATIENT, LABEL, GRADE, GROUP, SITE = "patient", "label", "grade", "group", "site"
# What else the column of the patients may be called, letters alone: Patient ID, participant_id ...
_OF_PATIENTS = re.compile("patients?(id)?|participant(id)?|subject(id)?|caseid|id")


@dataclasses.dataclass(frozen=True)
class ManifestColumns:
    """Which columns of a manifest say what of a patient; names in any case.

    Attributes:
      label: of the class; where it is "label", a column "grade" does as well.
      patient: of the patient's id; where it is "patient", a column "Patient ID" or such does as well, and in a table of
        labels the one that has the ids.
      group, site: as `Patient` has them; those of the usual names may be missing.
      covariates: clinical columns that are read.
    """

    label: str = LABEL
    group: str = GROUP
    site: str = SITE
    covariates: tuple[str, ...] = ()
    patient: str = PATIENT

    @property
    def chosen(self) -> dict[str, str]:
        """The names that are not the usual ones, which must be there, in lower case; each with its flag."""
        named = {f"--{name}_column": getattr(self, name) for name in (LABEL, GROUP, SITE, PATIENT)}
        found = {column.lower(): flag for flag, column in named.items() if flag != f"--{column.lower()}_column"}
        return {**{name.lower(): "--covariates" for name in self.covariates}, **found}


USUAL = ManifestColumns()


def manifest_of(cohort: Path) -> Path:
    """The CSV file of a cohort that is one, or a folder with a manifest.csv."""
    return cohort / FILE if cohort.is_dir() else cohort


def read_manifest(
    cohort: Path,
    modalities: Sequence[str],
    columns: ManifestColumns = USUAL,
    *,
    masks: bool = True,
    labelled: bool = True,
) -> Iterator[Entry]:
    """The patients of a manifest; columns patient, mask, one for each modality, and those of `columns`, in any order.

    Args:
      cohort: the CSV file, or a folder with a manifest.csv.
      modalities: the columns of images that are needed; another name of a modality will do.
      columns: names of the others.
      masks: whether the column mask is needed.
      labelled: whether that of the class is; else the class is left open.
    """
    path = manifest_of(cohort)
    _check_covariates(columns, modalities)
    label, group, site = (name.lower() for name in (columns.label, columns.group, columns.site))
    header = _header(path)
    patient = _patient_column(header, columns.patient.lower())
    one_of = (LABEL, GRADE) if label == LABEL else (label,)
    chosen = columns.chosen if labelled else {k: v for k, v in columns.chosen.items() if v != "--label_column"}
    images = _image_columns(header, modalities)
    needed = (patient, *[MASK] * masks, *images.values())
    for where, row in read_rows(path, needed, one_of=one_of if labelled else (), also=(group, site), chosen=chosen):
        if not row[patient]:
            raise InputError(f"{where}: no patient id; fill it in, or take the row out of the --cohort manifest")
        if group in row and not row[group]:
            raise InputError(
                f"{where}: patient {row[patient]} has no {columns.group}, which no split may divide; fill it in (a "
                "patient's id where it stands alone), or take the row out"
            )
        column = next((name for name in one_of if name in row), "") if labelled else ""
        yield Entry(
            where,
            row[patient],
            row[column] if column else "",
            is_grade=column == GRADE,
            find=_finder(where, path.parent, row, patient=row[patient], images=images),
            group=row.get(group, ""),
            site=row.get(site, ""),
            covariates={name: row[name.lower()] for name in columns.covariates},
            column="" if column in (LABEL, GRADE) else columns.label,
        )


def _header(path: Path) -> list[str]:
    """Names of the columns, in lower case; none where there is no file, which `read_rows` says."""
    lines = read_lines(path, "--cohort:") if path.is_file() else []
    return [name.lower() for name in lines[0][1]] if lines else []


def _patient_column(header: Sequence[str], name: str) -> str:
    """The column of the patients: the one of that name, else the only one that is usually called otherwise."""
    others = [one for one in header if _OF_PATIENTS.fullmatch(re.sub("[^a-z]", "", one))]
    return others[0] if name == PATIENT and name not in header and len(others) == 1 else name


def _image_columns(header: Sequence[str], modalities: Sequence[str]) -> dict[str, str]:
    """Modality to its column, in lower case: one of that name, else one of another name of the modality."""
    found = {}
    for modality in modalities:
        others = [name for name in header if modality_names.same(name, modality)]
        found[modality] = others[0] if modality.lower() not in header and len(others) == 1 else modality.lower()
    return found


def _check_covariates(columns: ManifestColumns, modalities: Sequence[str]) -> None:
    """InputError for clinical columns that are something else, or there twice."""
    given = f"--covariates={','.join(columns.covariates)}"
    names = [name.lower() for name in columns.covariates]
    if not all(names) or len(set(names)) < len(names):
        raise InputError(f"{given}: give each column once, in any case")
    what = {name.lower(): "no clinical column" for name in (columns.patient, MASK, *modalities)}
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


def _finder(
    where: str, base: Path, row: Mapping[str, str], *, patient: str, images: Mapping[str, str]
) -> Callable[[str], Path]:
    def find(name: str) -> Path:
        cell = row[images.get(name, name.lower())]
        if not cell:
            raise Problem(name, f"{where}: patient {patient} has no {name}; fill in its path, or {ways_out(name)}")
        path = _place(base, cell)
        if not image_paths.exists(path):
            raise Problem(
                name,
                f"{where}: {name} {path} of {patient} is no file; correct its path, or {ways_out(name)}",
            )
        return path

    return find


def _place(base: Path, cell: str) -> Path:
    """The path that a cell gives, from the manifest's folder; with accents as macOS has them where that is there."""
    given = paths.expanded(cell)
    spelt = [base / given, *(base / unicodedata.normalize(form, given) for form in ("NFC", "NFD"))]
    return next((path for path in spelt if image_paths.exists(path)), spelt[0])


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
