"""Finds the patients of a cohort, with grade, images and mask, in a BraTS layout or by a manifest."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rembrandt_featgen.core.errors import InputError

GRADES = ("LGG", "HGG")  # a grade's label is its index
LAYOUTS = ("auto", "brats2017", "brats2020", "manifest")
MASK = "mask"
_MAPPING = "name_mapping.csv"
_SUBJECT = "BraTS_2020_subject_ID"
_WHO = {"LGG": "LGG", "2": "LGG", "II": "LGG", "HGG": "HGG", "3": "HGG", "III": "HGG", "4": "HGG", "IV": "HGG"}
_GRADE = re.compile(r"(?:WHO\s*)?(?:GRADE\s*|G)?(" + "|".join(_WHO) + r")(?:\.0)?")


@dataclasses.dataclass(frozen=True)
class Patient:
    """A patient.

    Attributes:
      id: unique in the cohort.
      grade: one of GRADES.
      images: modality (flair, ...) to file.
      mask: file of the tumour's labels.
    """

    id: str
    grade: str
    images: Mapping[str, Path]
    mask: Path


class _Problem(InputError):
    """A problem with one patient, of a kind that others may share."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


# What a layout knows of a patient: where it stands, id, grade as written, and how to find a modality or the mask.
_Entry = tuple[str, str, str, Callable[[str], Path]]


def find_patients(cohort: str | Path, layout: str = "auto", modalities: Sequence[str] = ("flair",)) -> list[Patient]:
    """Finds the patients of a cohort.

    Layouts (f stands for each modality; files end in .nii.gz or .nii):
      brats2017: `HGG/<id>/<id>_f.nii.gz`, mask `HGG/<id>/<id>_seg.nii.gz`; the same below `LGG/`. Also 2018 and 2019.
      brats2020: `<id>/<id>_f.nii.gz` and `_seg`, grades in `name_mapping.csv` (Grade, BraTS_2020_subject_ID).
      manifest: a CSV with the columns patient, grade, mask and one for each modality; paths are absolute or start at
        the CSV's folder. Column names in any case.
      auto: a .csv file is a manifest; a folder is told by what is in it.

    Args:
      cohort: folder, or manifest CSV.
      layout: one of LAYOUTS.
      modalities: what each patient must have, such as flair, t1, t1ce, t2.

    Returns:
      The patients, sorted by id.

    Raises:
      InputError: nothing found, or a patient without grade, image or mask, or given twice. The message is about the
        first such patient, and counts the others.
    """
    cohort = Path(cohort).expanduser()
    _check_modalities(modalities)
    layout = _detect(cohort) if layout == "auto" else layout
    if layout not in _READERS:
        raise InputError(f"--layout={layout} is not known; take one of {', '.join(LAYOUTS)}")
    patients: dict[str, Patient] = {}
    owners: dict[Path, str] = {}
    problems: list[_Problem] = []
    for where, name, grade, find in _READERS[layout](cohort, modalities):
        try:
            if name in patients:
                raise _Problem("twice", f"{where}: patient {name} is there twice; keep one of the two in --cohort")
            images = {modality: find(modality) for modality in modalities}
            patients[name] = Patient(name, parse_grade(grade, f"{where}: patient {name}"), images, find(MASK))
            for file in {*images.values(), patients[name].mask}:
                owner = owners.setdefault(file.resolve(), name)
                if owner != name:
                    mend = "give each patient files of its own in --cohort"
                    raise _Problem("shared", f"{where}: patients {owner} and {name} share the file {file}; {mend}")
        except _Problem as problem:
            problems.append(problem)
    if problems:
        alike = sum(problem.kind == problems[0].kind for problem in problems) - 1
        raise InputError(f"{problems[0]}{f' (and {alike} more like it)' if alike else ''}")
    if not patients:
        raise InputError(f"--cohort={cohort}: no patients in it; expected {_EXPECTED[layout]} (--layout={layout})")
    return [patients[name] for name in sorted(patients)]


def parse_grade(text: str, where: str) -> str:
    """The grade that a text names, in any case: LGG (also WHO 2, II, G2, grade II) or HGG (3, III, 4, IV).

    Args:
      text: what was written.
      where: file and patient, for the message.

    Returns:
      One of GRADES.

    Raises:
      InputError: the text is blank or names no such grade.
    """
    match = _GRADE.fullmatch(text.strip().upper())
    if not match:
        found = f"grade {text.strip()!r} is not known" if text.strip() else "no grade"
        raise _Problem("grade", f"{where}: {found}; write LGG (WHO 2) or HGG (WHO 3, 4), or leave it out of --cohort")
    return _WHO[match[1]]


def _check_modalities(modalities: Sequence[str]) -> None:
    given = f"--modalities={','.join(modalities)}"
    if not modalities or not all(modalities):
        raise InputError(f"{given} names none; give at least one, such as flair")
    if len(set(modalities)) < len(modalities):
        raise InputError(f"{given} names one twice; give each once")
    reserved = {"seg", MASK, "patient", "grade"} & {modality.lower() for modality in modalities}
    if reserved:
        raise InputError(f"{given}: {reserved.pop()} is not an image; give modalities such as flair, t1, t1ce, t2")


def _detect(cohort: Path) -> str:
    if not cohort.exists():
        raise InputError(f"--cohort={cohort}: no such folder or file; give a folder or a manifest CSV that exists")
    if cohort.is_file() and cohort.suffix.lower() == ".csv":
        return "manifest"
    if any((cohort / grade).is_dir() for grade in GRADES):
        return "brats2017"
    if (cohort / _MAPPING).is_file():
        return "brats2020"
    looked = "; ".join(f"{layout}: {what}" for layout, what in _EXPECTED.items())
    raise InputError(f"--cohort={cohort}: no layout fits; looked for {looked}; rearrange it, or write a manifest")


def _folder(cohort: Path, layout: str) -> Path:
    if not cohort.is_dir():
        raise InputError(f"--cohort={cohort}: no such folder; --layout={layout} needs {_EXPECTED[layout]}")
    return cohort


def _subfolders(folder: Path) -> list[Path]:
    return [f for f in sorted(folder.iterdir()) if f.is_dir() and not f.name.startswith(".")] if folder.is_dir() else []


def _brats2017(cohort: Path, modalities: Sequence[str]) -> Iterator[_Entry]:
    _folder(cohort, "brats2017")
    for grade in GRADES:
        for folder in _subfolders(cohort / grade):
            yield str(folder), folder.name, grade, _finder(folder)


def _brats2020(cohort: Path, modalities: Sequence[str]) -> Iterator[_Entry]:
    mapping = _folder(cohort, "brats2020") / _MAPPING
    grades: dict[str, str] = {}
    for where, row in _rows(mapping, ("Grade", _SUBJECT)):
        name = row[_SUBJECT.lower()]
        if name in grades:
            raise InputError(f"{where}: patient {name} is there twice; keep one row of the file in --cohort")
        grades[name] = row["grade"]
    for folder in _subfolders(cohort):
        # A patient without a row has a blank grade, which is told as such, with the file to mend.
        yield str(mapping), folder.name, grades.get(folder.name, ""), _finder(folder)


def _manifest(cohort: Path, modalities: Sequence[str]) -> Iterator[_Entry]:
    for where, row in _rows(cohort, ("patient", "grade", MASK, *modalities)):
        if not row["patient"]:
            raise InputError(f"{where}: no patient id; fill it in, or take the row out of the --cohort manifest")
        yield where, row["patient"], row["grade"], _lister(where, cohort.parent, row)


_READERS = {"brats2017": _brats2017, "brats2020": _brats2020, "manifest": _manifest}
_EXPECTED = {
    "brats2017": "a folder with HGG/<patient>/ and LGG/<patient>/",
    "brats2020": f"a folder with <patient>/ and {_MAPPING}",
    "manifest": "a .csv file with a row for each patient",
}


def _finder(folder: Path) -> Callable[[str], Path]:
    def find(name: str) -> Path:
        stem = f"{folder.name}_{'seg' if name == MASK else name}"
        files = [folder / f"{stem}{ending}" for ending in (".nii.gz", ".nii")]
        there = [file for file in files if file.is_file()]
        if len(there) == 1:
            return there[0]
        if there:
            raise _Problem("both", f"{folder}: both {stem}.nii.gz and {stem}.nii; keep one of them in --cohort")
        what, mend = ("mask", "leave this patient out of --cohort") if name == MASK else (name, _without(name))
        raise _Problem(name, f"{folder}: no {what}, looked for {stem}.nii.gz and {stem}.nii; add it, or {mend}")

    return find


def _lister(where: str, base: Path, row: Mapping[str, str]) -> Callable[[str], Path]:
    def find(name: str) -> Path:
        mend = "leave this patient out of --cohort" if name == MASK else _without(name)
        cell = row[name.lower()]
        if not cell:
            raise _Problem(name, f"{where}: patient {row['patient']} has no {name}; fill in its path, or {mend}")
        if not (base / cell).is_file():
            raise _Problem(
                name, f"{where}: {name} {base / cell} of {row['patient']} is no file; mend its path, or {mend}"
            )
        return base / cell

    return find


def _without(modality: str) -> str:
    return f"leave this patient out of --cohort or {modality} out of --modalities"


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row of a CSV with a header: where it stands, and its cells, stripped, by column name in lower case."""
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
    missing = [name for name in columns if name.lower() not in header]
    if missing:
        found = ", ".join(header) or "nothing"
        raise InputError(
            f"--cohort: {path}: missing columns {', '.join(missing)} (found {found}); add them, separated by commas"
        )
    if any(header.count(name.lower()) > 1 for name in columns):
        raise InputError(f"--cohort: {path}: a column is there twice ({', '.join(header)}); keep one of each")
    for number, cells in lines[1:]:
        if any(cells):
            if len(cells) != len(header):
                raise InputError(
                    f"--cohort: {path} line {number}: {len(cells)} cells, but {len(header)} columns; put a path that "
                    "has commas in quotes, and fill in what is missing"
                )
            yield f"{path} line {number}", dict(zip(header, cells))
