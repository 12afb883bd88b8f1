"""Finds the patients of a cohort, with class, images and mask, in one of several layouts of files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rembrandt_featgen.cohort import brats_layouts, classes, image_paths, manifest
from rembrandt_featgen.cohort.manifest import ManifestColumns
from rembrandt_featgen.cohort.patients import MASK, NO_MASK, Cohort, Entry, Patient, Problem
from rembrandt_featgen.cohort.who_grades import GLIOMAS, parse_grade
from rembrandt_featgen.core.errors import InputError


class Layout(NamedTuple):
    """A way in which files are laid out.

    Attributes:
      read: from the cohort's path and the modalities to its entries.
      expected: what such a cohort looks like, for messages.
    """

    read: Callable[[Path, Sequence[str]], Iterator[Entry]]
    expected: str


_MANIFEST = "manifest"  # the layout that has columns


_LAYOUTS = {
    "brats2017": Layout(brats_layouts.read_brats2017, "a folder with HGG/<patient>/ and LGG/<patient>/"),
    "brats2020": Layout(brats_layouts.read_brats2020, f"a folder with <patient>/ and {brats_layouts.MAPPING}"),
    _MANIFEST: Layout(
        manifest.read_manifest, f"a manifest: a .csv file, or a folder with {manifest.FILE}, a row for each patient"
    ),
}
LAYOUTS = ("auto", *_LAYOUTS)


def find_cohort(
    cohort: str | Path,
    layout: str = "auto",
    modalities: Sequence[str] = ("flair",),
    *,
    names: Sequence[str] = (),
    columns: ManifestColumns = manifest.USUAL,
    masks: bool = True,
) -> Cohort:
    """Finds the patients of a cohort.

    Layouts (f stands for each modality; files end in .nii.gz or .nii):
      brats2017: `HGG/<id>/<id>_f.nii.gz`, mask `HGG/<id>/<id>_seg.nii.gz`; the same below `LGG/`. Also 2018 and 2019.
      brats2020: `<id>/<id>_f.nii.gz` and `_seg`, grades in `name_mapping.csv` (Grade, BraTS_2020_subject_ID).
      manifest: a CSV with the columns patient, label (or grade), mask and one for each modality; paths are absolute or
        start at the CSV's folder. Column names in any case.
      auto: a .csv file is a manifest; a folder is recognised by what is in it.

    Args:
      cohort: folder, or manifest CSV.
      layout: one of LAYOUTS.
      modalities: what each patient must have, such as flair, t1, t1ce, t2.
      names: the classes of --classes, the positive one last; none to take a known pair.
      columns: of a manifest that say the class, group, site and covariates of a patient.
      masks: whether each patient must have one; else none is looked for.

    Returns:
      The patients, sorted by id, and the classes. WHO grades become LGG and HGG where --classes names these, or where
      there is no --classes and the layout or the manifest's column says grade; all other labels are taken as written,
      in any case.

    Raises:
      InputError: nothing found, or a patient without class, image or mask, or given twice (the message is about the
        first such patient, and counts the others); or the classes are no known pair, or not those of --classes.
    """
    cohort = Path(cohort).expanduser()
    _check_modalities(modalities)
    layout = _detect(cohort) if layout == "auto" else layout
    if layout not in _LAYOUTS:
        raise InputError(f"--layout={layout} is not known; take one of {', '.join(LAYOUTS)}")
    if layout == _MANIFEST:
        entries = list(manifest.read_manifest(cohort, modalities, columns, masks=masks))
    else:
        _refuse_columns(columns, f"--cohort={cohort} (--layout={layout})")
        entries = list(_LAYOUTS[layout].read(cohort, modalities))
    if not entries:
        raise InputError(
            f"--cohort={cohort}: no patients in it; expected {_LAYOUTS[layout].expected} (--layout={layout})"
        )
    patients = _patients(entries, modalities, names, masks=masks)
    found = _classes(entries, patients=patients, names=names, cohort=cohort)
    # Labels as the classes spell them.
    spelt = [dataclasses.replace(patient, label=found.match(patient.label)) for patient in patients.values()]
    return Cohort(sorted(spelt, key=lambda patient: patient.id), found)


def _classes(
    entries: Sequence[Entry], *, patients: Mapping[str, Patient], names: Sequence[str], cohort: Path
) -> classes.Classes:
    """The classes; InputError where a label is none of --classes, naming the first patient that has it."""
    if len(names) > 1:
        known = {name.strip().casefold() for name in names}
        for where, name, *_ in entries:
            label = patients[name].label
            if label.strip().casefold() not in known:
                raise InputError(
                    f"{where}: patient {name} is of class {label!r}, which is none of --classes={','.join(names)}; "
                    "correct the label, or leave this patient out"
                )
    return classes.infer(names, (patient.label for patient in patients.values()), f"--cohort={cohort}")


def _patients(
    entries: Sequence[Entry], modalities: Sequence[str], names: Sequence[str], *, masks: bool
) -> Mapping[str, Patient]:
    """Id to patient, with labels as written; InputError for the first problem and the number of others like it."""
    as_grades = {name.upper() for name in names} == set(GLIOMAS) if names else entries[0].is_grade
    patients: dict[str, Patient] = {}
    owners: dict[Path, str] = {}
    problems: list[Problem] = []
    texts = classes.without_decimals([entry.text for entry in entries])
    for entry, text in zip(entries, texts):
        where, name = entry.where, entry.id
        try:
            if name in patients:
                raise Problem("twice", f"{where}: patient {name} is there twice; keep one of the two in --cohort")
            images = {modality: entry.find(modality) for modality in modalities}
            if as_grades:
                label = parse_grade(text, f"{where}: patient {name}")
            else:
                label = _parse_label(text, f"{where}: patient {name}", entry.column)
            patients[name] = Patient(
                id=name,
                label=label,
                images=images,
                mask=entry.find(MASK) if masks else NO_MASK,
                group=entry.group,
                site=entry.site,
                covariates=entry.covariates,
            )
            for file in image_paths.files_of_all([*images.values(), *[patients[name].mask] * masks]):
                owner = owners.setdefault(file.resolve(), name)
                if owner != name:
                    raise Problem(
                        "shared",
                        f"{where}: patients {owner} and {name} share the file {file}; give each patient separate files "
                        "in --cohort",
                    )
        except Problem as problem:
            problems.append(problem)
    if problems:
        alike = sum(problem.kind == problems[0].kind for problem in problems) - 1
        raise InputError(f"{problems[0]}{f' (and {alike} more like it)' if alike else ''}")
    return patients


def _refuse_columns(columns: ManifestColumns, where: str) -> None:
    """InputError for columns that were asked for of a cohort that has none."""
    for name, flag in columns.chosen.items():
        raise InputError(
            f"{where} has no columns, and {flag} names {name}; write a manifest with such a column, or leave {flag} out"
        )


def _parse_label(text: str, where: str, column: str) -> str:
    if not text.strip():
        raise Problem(
            "label",
            f"{where}: no {column or 'label'}; write the name of a class, or leave this patient out of --cohort",
        )
    return text.strip()


def _check_modalities(modalities: Sequence[str]) -> None:
    given = f"--modalities={','.join(modalities)}"
    if not modalities or not all(modalities):
        raise InputError(f"{given} names none; give at least one, such as flair")
    if len(set(modalities)) < len(modalities):
        raise InputError(f"{given} names one twice; give each once")
    columns = {"seg", MASK, manifest.PATIENT, manifest.LABEL, manifest.GRADE}
    reserved = columns & {modality.lower() for modality in modalities}
    if reserved:
        raise InputError(f"{given}: {reserved.pop()} is not an image; give modalities such as flair, t1, t1ce, t2")


def _detect(cohort: Path) -> str:
    if not cohort.exists():
        raise InputError(f"--cohort={cohort}: no such folder or file; give a folder or a manifest CSV that exists")
    if cohort.is_file() and cohort.suffix.lower() == ".csv" or (cohort / manifest.FILE).is_file():
        return "manifest"
    if any((cohort / grade).is_dir() for grade in GLIOMAS):
        return "brats2017"
    if (cohort / brats_layouts.MAPPING).is_file():
        return "brats2020"
    expected = "; ".join(f"{layout}: {entry.expected}" for layout, entry in _LAYOUTS.items())
    raise InputError(f"--cohort={cohort}: no layout fits; looked for {expected}; rearrange it, or write a manifest")
