"""The folders of the public BraTS data sets, whose patients have gliomas of low or high grade."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rembrandt_featgen.cohort.manifest import read_rows
from rembrandt_featgen.cohort.patients import MASK, Entry, Problem, ways_out
from rembrandt_featgen.cohort.who_grades import GLIOMAS
from rembrandt_featgen.core.errors import InputError

MAPPING = "name_mapping.csv"
_SUBJECT = "BraTS_2020_subject_ID"


def read_brats2017(cohort: Path, modalities: Sequence[str]) -> Iterator[Entry]:
    """BraTS 2017 to 2019: `HGG/<id>/<id>_<modality>.nii.gz`, the mask `<id>_seg.nii.gz`; the same below `LGG/`."""
    _check_folder(cohort, "brats2017", "HGG/<patient>/ and LGG/<patient>/")
    for grade in GLIOMAS:
        for folder in _subfolders(cohort / grade):
            yield Entry(str(folder), folder.name, grade, is_grade=True, find=_finder(folder))


def read_brats2020(cohort: Path, modalities: Sequence[str]) -> Iterator[Entry]:
    """BraTS 2020: `<id>/<id>_<modality>.nii.gz`, the mask `<id>_seg.nii.gz`, and the grades in `name_mapping.csv`."""
    _check_folder(cohort, "brats2020", f"<patient>/ and {MAPPING}")
    mapping = cohort / MAPPING
    grades: dict[str, str] = {}
    for where, row in read_rows(mapping, ("Grade", _SUBJECT)):
        name = row[_SUBJECT.lower()]
        if name in grades:
            raise InputError(f"{where}: patient {name} is there twice; keep one row of the file in --cohort")
        grades[name] = row["grade"]
    for folder in _subfolders(cohort):
        # A patient without a row has a blank grade, which is refused with the name of the file to correct.
        yield Entry(str(mapping), folder.name, grades.get(folder.name, ""), is_grade=True, find=_finder(folder))


def _check_folder(cohort: Path, layout: str, content: str) -> None:
    if not cohort.is_dir():
        raise InputError(f"--cohort={cohort}: no such folder; --layout={layout} needs a folder with {content}")


def _subfolders(folder: Path) -> list[Path]:
    return [f for f in sorted(folder.iterdir()) if f.is_dir() and not f.name.startswith(".")] if folder.is_dir() else []


def _finder(folder: Path) -> Callable[[str], Path]:
    def find(name: str) -> Path:
        stem = f"{folder.name}_{'seg' if name == MASK else name}"
        files = [file for file in (folder / f"{stem}.nii.gz", folder / f"{stem}.nii") if file.is_file()]
        if not files:
            raise Problem(
                name, f"{folder}: no {name}, looked for {stem}.nii.gz and {stem}.nii; add it, or {ways_out(name)}"
            )
        if len(files) > 1:
            raise Problem("both", f"{folder}: both {stem}.nii.gz and {stem}.nii; keep one of them in --cohort")
        return files[0]

    return find
