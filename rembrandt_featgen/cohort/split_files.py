"""A split as a file that travels with the results: split, then class, then patient ids, in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from rembrandt_featgen.cohort.groups import check_whole
from rembrandt_featgen.cohort.patients import Cohort
from rembrandt_featgen.cohort.splits import LEFT_OUT, SPLITS, check_disjoint
from rembrandt_featgen.core import folders, json_files, system_errors, withheld
from rembrandt_featgen.core.errors import InputError


def write_split(path: str | Path, assignment: Mapping[str, str], cohort: Cohort) -> None:
    """Writes a split as JSON: split, then class, then patient ids.

    Args:
      path: the file; it is replaced if it is there.
      assignment: patient id to one of SPLITS, as `split_patients` returns it, or to LEFT_OUT.
      cohort: the patients of the assignment, and the classes.
    """
    groups: dict[str, dict[str, list[str]]] = {
        split: {name: [] for name in cohort.classes.positive_first} for split in (*SPLITS, LEFT_OUT)
    }
    for patient in sorted(cohort.patients, key=lambda patient: patient.id):
        groups[assignment[patient.id]][patient.label].append(patient.id)
    if not any(groups[LEFT_OUT].values()):
        del groups[LEFT_OUT]
    with folders.whole(Path(path)) as temporary:
        temporary.write_text(json.dumps(groups, indent=2) + "\n", encoding="utf-8")


def read_split(path: str | Path) -> dict[str, str]:
    """Reads what `write_split` wrote.

    Returns:
      Patient id to one of SPLITS, or to LEFT_OUT, sorted by id.

    Raises:
      InputError: the file is missing or damaged, or a patient is in two splits.
    """
    try:
        groups = json_files.parse(Path(path).read_text(encoding="utf-8"))
        named = [*SPLITS, *({LEFT_OUT} & groups.keys())]
        members = {split: [patient for group in groups[split].values() for patient in group] for split in named}
        if not all(isinstance(name, str) for names in members.values() for name in names):
            raise ValueError("an id is no text")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        system_errors.raise_of_drive(error)
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"{path}: not a split file ({reason}); delete its folder in --run_dir to split again"
        ) from error
    try:
        check_disjoint(members)
    except RuntimeError as error:
        raise InputError(f"{path}: {error}; correct it") from error
    assignment = {name: split for split, names in members.items() for name in names}
    return dict(sorted(assignment.items()))


def read_split_of(path: str | Path, cohort: Cohort) -> dict[str, str]:
    """Reads the split of exactly this cohort's patients, by their ids or, where these are withheld, by pseudonyms.

    Returns, Raises:
      As `read_split`; InputError, too, where the patients are not those of the cohort, or a group is divided.
    """
    assignment = {withheld.other(name): split for name, split in read_split(path).items()}
    known = {patient.id for patient in cohort.patients}
    for names, where in ((known - set(assignment), "--cohort only"), (set(assignment) - known, "the split only")):
        if names:
            others = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise InputError(
                f"--split_file={path}: patient {sorted(names)[0]}{others} is in {where}; give the split "
                "of this very cohort"
            )
    check_whole(assignment, cohort, f"--split_file={path}")
    return assignment
