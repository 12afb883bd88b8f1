"""The folders of the BraTS challenges, 2013 to 2025: one folder for each patient, or for each visit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from absl import logging

from rembrandt_featgen.cohort import case_files, modality_names
from rembrandt_featgen.cohort.case_files import Naming
from rembrandt_featgen.cohort.csv_rows import read_rows
from rembrandt_featgen.cohort.patients import MASK, Entry, Problem, ways_out
from rembrandt_featgen.cohort.who_grades import GLIOMAS
from rembrandt_featgen.core.errors import InputError

MAPPING = "name_mapping.csv"
_SUBJECT = "BraTS_2020_subject_ID"
# Of BraTS20_Training_355 the mask is called W39_1998.09.19_Segm.nii.
_NAMING = Naming(
    r"(?:{id}|W39_1998\.09\.19)_",
    masks=("seg", "Segm"),
    spelt={name: name for name in ("flair", "t1", "t1ce", "t2")},
)
_NAMING_2023 = Naming(
    "{id}[_-]",
    masks=("seg", "gtv"),  # gtv: of meningiomas in radiotherapy (MEN-RT), with _ instead of -
    spelt={"flair": "t2f", "t1": "t1n", "t1ce": "t1c", "t2": "t2w"},
    shown="{id}-{name}",
)
FOLDER_2021 = r"BraTS2021_\d+"
FOLDER_2023 = r"BraTS-[A-Za-z]+(-RT)?-\d+-\d+"
# 2013 and 2015: VSD.Brain.XX.O.MR_Flair.54512.mha, VSD.Brain_3more.XX.O.OT.54517.mha, maybe each in its folder.
_SERIES = r"(?:VSD|SMIR)\.Brain\.XX\.O\.MR_([A-Za-z0-9]+)(?:\.\d+)?"
_TRUTH = r"(?:VSD|SMIR)\.Brain_\dmore\.XX\.(?:O|XX)\.OT(?:\.\d+)?"
_OF_2013 = {"HG": "HGG", "LG": "LGG"}


def grade_folders(cohort: Path) -> dict[Path, str]:
    """Folders of patients of one grade, HGG and LGG, in BraTS 2013 HG and LG, in any case; each with its grade."""
    grades = {**_OF_2013, **{name: name for name in GLIOMAS}}
    found = {folder: grades.get(folder.name.upper(), "") for folder in case_files.subfolders(cohort)}
    return {folder: grade for name in GLIOMAS for folder, grade in found.items() if grade == name}


def has_series_of_2015(cohort: Path) -> bool:
    """Whether there are files named as those of BraTS 2013 and 2015 in folders of grades."""
    return any(_series(folder) for grade in grade_folders(cohort) for folder in case_files.subfolders(grade))


def read_brats2013(cohort: Path, modalities: Sequence[str]) -> Iterator[Entry]:
    """BraTS 2013 and 2015: `HGG/<id>/VSD.Brain.XX.O.MR_Flair.<n>/VSD.Brain.XX.O.MR_Flair.<n>.mha`, or without folders
    between; the mask `VSD.Brain_3more.XX.O.OT.<n>.mha`. In 2013 HG and LG, with ids from 0001 on in each."""
    _check_folder(cohort, "brats2013", "HGG/<patient>/ and LGG/<patient>/, or HG and LG")
    _warn_of_others(cohort)
    for parent, grade in grade_folders(cohort).items():
        for folder in case_files.subfolders(parent):
            name = f"{parent.name}_{folder.name}" if folder.name.isdigit() else folder.name
            yield Entry(str(folder), name, grade, is_grade=True, find=_series_finder(folder))


def read_brats2017(cohort: Path, modalities: Sequence[str]) -> Iterator[Entry]:
    """BraTS 2017 to 2019: `HGG/<id>/<id>_<modality>.nii.gz`, the mask `<id>_seg.nii.gz`; the same below `LGG/`."""
    _check_folder(cohort, "brats2017", "HGG/<patient>/ and LGG/<patient>/")
    _warn_of_others(cohort)
    for parent, grade in grade_folders(cohort).items():
        for folder in case_files.subfolders(parent):
            yield Entry(str(folder), folder.name, grade, is_grade=True, find=_finder(folder, _NAMING))


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
    for folder in case_files.subfolders(cohort):
        # A patient without a row has a blank grade, which is refused with the name of the file to correct.
        yield Entry(
            str(mapping), folder.name, grades.get(folder.name, ""), is_grade=True, find=_finder(folder, _NAMING)
        )


def read_brats2021(cohort: Path, modalities: Sequence[str]) -> Iterator[Entry]:
    """BraTS 2021: `BraTS2021_00000/BraTS2021_00000_<modality>.nii.gz`, the mask `_seg`; no labels."""
    _check_folder(cohort, "brats2021", "BraTS2021_00000/ and so on")
    for folder in case_files.visit_folders(cohort, FOLDER_2021):
        yield Entry(str(folder), folder.name, "", is_grade=False, find=_finder(folder, _NAMING))


def read_brats2023(cohort: Path, modalities: Sequence[str]) -> Iterator[Entry]:
    """BraTS 2023 on: a folder for each visit, `BraTS-GLI-00005-000/BraTS-GLI-00005-000-t2f.nii.gz`, with -t1n, -t1c,
    -t2w, and the mask -seg (-gtv in MEN-RT); other tumours have MET, MEN, PED, SSA and so on; no labels."""
    _check_folder(cohort, "brats2023", "BraTS-GLI-00005-000/ and so on")
    for folder in case_files.visit_folders(cohort, FOLDER_2023):
        yield Entry(str(folder), folder.name, "", is_grade=False, find=_finder(folder, _NAMING_2023))


def _check_folder(cohort: Path, layout: str, content: str) -> None:
    if not cohort.is_dir():
        raise InputError(f"--cohort={cohort}: no such folder; --layout={layout} needs a folder with {content}")


def _warn_of_others(cohort: Path) -> None:
    """Warns of folders with images, or with folders that have some, beside those of the grades."""
    graded = grade_folders(cohort)
    others = [
        folder
        for folder in case_files.subfolders(cohort)
        if folder not in graded and any(map(case_files.images_in, [folder, *case_files.subfolders(folder)]))
    ]
    if others:
        logging.warning(
            "--cohort=%s: %s left out, of no grade, such as %s; move patients of it into %s",
            cohort,
            case_files.folders_with_images(len(others)),
            others[0].name,
            " or ".join(folder.name for folder in graded),
        )


def _finder(folder: Path, naming: Naming) -> Callable[[str], Path]:
    return case_files.finder(folder, case_files.images_in(folder), name=folder.name, naming=naming)


def _series(folder: Path) -> list[Path]:
    """Images of a patient that are named as in 2013 and 2015, in the folder or in folders of one series each."""
    files = [file for place in (folder, *case_files.subfolders(folder)) for file in case_files.images_in(place)]
    return [file for file in files if re.fullmatch(f"{_SERIES}|{_TRUTH}", case_files.stem(file.name))]


def _series_finder(folder: Path) -> Callable[[str], Path]:
    files = _series(folder)

    def is_of(file: Path, wanted: str) -> bool:
        series = re.fullmatch(_SERIES, case_files.stem(file.name))
        return modality_names.same(series[1], wanted) if series else wanted == MASK

    def find(wanted: str) -> Path:
        hits = [file for file in files if is_of(file, wanted)]
        if len(hits) > 1:
            raise Problem("both", f"{folder}: both {hits[0].name} and {hits[1].name}; keep one of them in --cohort")
        if not hits:
            series = "VSD.Brain_3more.XX.O.OT" if wanted == MASK else f"VSD.Brain.XX.O.MR_{wanted.capitalize()}"
            raise Problem(
                wanted,
                f"{folder}: no {wanted}, found {case_files.shown(folder, files)}, expected {series}.<number>.mha; add "
                f"it, or {ways_out(wanted)}",
            )
        return hits[0]

    return find
