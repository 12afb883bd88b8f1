"""Splits a cohort by patient within each grade, and keeps the split as a file that travels with the results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np

from rembrandt_featgen.cohort.layouts import GRADES, Patient
from rembrandt_featgen.core.errors import InputError

SPLITS = ("train", "validation", "test")


def split_patients(
    patients: Sequence[Patient],
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
    test_counts: Mapping[str, int] | None = None,
) -> dict[str, str]:
    """Puts each patient into one split, at random within each grade (paper 3.4).

    A grade of n patients gives fraction * n of them, rounded half up, but at least 1 if the fraction is above 0. The
    split depends on the ids and the seed, not on the order of the patients; a grade's does not depend on the other.

    Args:
      patients: with unique ids.
      validation_fraction: in [0, 1); 0 leaves the split empty.
      test_fraction: in [0, 1); 0 leaves the split empty.
      seed: from 0.
      test_counts: test patients of a grade, instead of test_fraction's; the paper's are {"HGG": 7, "LGG": 4}.

    Returns:
      Patient id to one of SPLITS.

    Raises:
      InputError: a fraction is out of range, or a grade has too few patients to leave one for training.
    """
    fractions = {"--validation_fraction": validation_fraction, "--test_fraction": test_fraction}
    for flag, fraction in fractions.items():
        if not 0 <= fraction < 1:
            raise InputError(f"{flag}={fraction} is not a share of the patients; give a number from 0 to below 1")
    test_counts = dict(test_counts or {})
    if not set(test_counts) <= set(GRADES):
        raise InputError(f"--test_counts={test_counts} names other grades than {', '.join(GRADES)}; leave them out")
    assignment = {}
    for label, grade in enumerate(GRADES):
        members = sorted(patient.id for patient in patients if patient.grade == grade)
        test = test_counts.get(grade, _count(test_fraction, len(members)))
        validation = _count(validation_fraction, len(members))
        _check_counts(grade, len(members), validation, test, fractions, test_counts)
        drawn = np.random.default_rng([seed, label]).permutation(members)
        for index, name in enumerate(drawn):
            assignment[str(name)] = "test" if index < test else "validation" if index < test + validation else "train"
    return {name: assignment[name] for name in sorted(assignment)}


def fold_patients(
    patients: Sequence[Patient], folds: int, validation_fraction: float, seed: int, repeat: int = 0
) -> list[dict[str, str]]:
    """Deals patients into the outer folds of a cross-validation, at random within each grade.

    Each patient is tested in exactly one fold. Of the others of a fold, `validation_fraction` of each grade are set
    apart for every choice that the fold has to make. Which patient falls where depends on ids, seed and repeat alone.

    Args:
      patients: with unique ids.
      folds: from 2.
      validation_fraction: in (0, 1), of a fold's patients that are not tested.
      seed: from 0.
      repeat: from 0; another one deals anew.

    Returns:
      One assignment for each fold: patient id to one of SPLITS, as `split_patients` returns it.

    Raises:
      InputError: a grade has fewer patients than folds, or too few to train and to validate.
    """
    by_fold: list[list[str]] = [[] for _ in range(folds)]
    dealt = 0
    for label, grade in enumerate(GRADES):
        members = sorted(patient.id for patient in patients if patient.grade == grade)
        if len(members) < folds:
            raise InputError(
                f"--cv_folds={folds}, but --cohort has {len(members)} {grade} patients, so that some folds would test "
                f"none; take at most {len(members)} folds or add patients"
            )
        for name in np.random.default_rng([seed, repeat, label]).permutation(members):
            by_fold[dealt % folds].append(str(name))  # goes on where the other grade ended: folds of equal size
            dealt += 1
    return [_hold_out(patients, set(test), validation_fraction, (seed, repeat, k)) for k, test in enumerate(by_fold)]


def site_folds(
    patients: Sequence[Patient], pattern: str, validation_fraction: float, seed: int, repeat: int = 0
) -> dict[str, dict[str, str]]:
    """Leave-one-site-out: one fold for each site, which tests all of that site's patients.

    Args:
      patients: with unique ids.
      pattern: regular expression whose first group finds the site in an id, such as `TCGA_([A-Z]+)_`.
      validation_fraction, seed, repeat: as for `fold_patients`.

    Returns:
      Site to its fold's assignment, sorted by site.

    Raises:
      InputError: the pattern is none, or an id has no site, or there is one site only, or a fold cannot be trained.
    """
    sites = {patient.id: site_of(patient.id, pattern) for patient in patients}
    nowhere = sorted(name for name, site in sites.items() if not site)
    if nowhere:
        raise InputError(f"--site_pattern={pattern} finds no site in the id {nowhere[0]} of --cohort; mend the pattern")
    if len(set(sites.values())) < 2:
        raise InputError(f"--site_pattern={pattern} finds one site only in --cohort; take --cv_grouping=patient")
    return {
        site: _hold_out(
            patients, {name for name, own in sites.items() if own == site}, validation_fraction, (seed, repeat, number)
        )
        for number, site in enumerate(sorted(set(sites.values())))
    }


def site_of(name: str, pattern: str) -> str:
    """The site that `pattern`'s first group finds in a patient's id; "" where it finds none, or is empty."""
    try:
        match = re.search(pattern, name) if pattern else None
        return match.group(1) if match else ""
    except (re.error, IndexError) as error:
        raise InputError(
            f"--site_pattern={pattern} is no regular expression with a group ({error}); write it like TCGA_([A-Z]+)_"
        ) from error


def _hold_out(patients, test: set[str], validation_fraction: float, seeds) -> dict[str, str]:
    """The assignment of a fold that tests `test`: a share of each grade's others is for validation."""
    assignment = dict.fromkeys(test, "test")
    for label, grade in enumerate(GRADES):
        others = sorted(patient.id for patient in patients if patient.grade == grade and patient.id not in test)
        validation = _count(validation_fraction, len(others))
        if len(others) - validation < 1:
            raise InputError(
                f"{grade}: a fold leaves {len(others)} patients, of whom --validation_fraction={validation_fraction:g} "
                f"takes {validation}, so none is left to train on; add patients, or take more folds"
            )
        for index, name in enumerate(np.random.default_rng([*seeds, label]).permutation(others)):
            assignment[str(name)] = "validation" if index < validation else "train"
    return dict(sorted(assignment.items()))


def write_split(path: str | Path, assignment: Mapping[str, str], patients: Iterable[Patient]) -> None:
    """Writes a split as JSON: split, then grade, then patient ids.

    Args:
      path: the file; it is replaced if it is there.
      assignment: patient id to one of SPLITS, as `split_patients` returns it.
      patients: those of the assignment, for their grades.
    """
    groups = {split: {grade: [] for grade in reversed(GRADES)} for split in SPLITS}
    for patient in sorted(patients, key=lambda patient: patient.id):
        groups[assignment[patient.id]][patient.grade].append(patient.id)
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(groups, indent=2) + "\n", encoding="utf-8")
    part.replace(path)


def read_split(path: str | Path) -> dict[str, str]:
    """Reads what `write_split` wrote.

    Returns:
      Patient id to one of SPLITS, sorted by id.

    Raises:
      InputError: the file is missing or damaged.
      RuntimeError: a patient is in two splits.
    """
    try:
        groups = json.loads(Path(path).read_text(encoding="utf-8"))
        members = {split: [name for grade in GRADES for name in groups[split][grade]] for split in SPLITS}
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"{path}: not a split file ({reason}); delete its folder in --run_dir to split again"
        ) from error
    check_disjoint(members)
    assignment = {name: split for split, names in members.items() for name in names}
    return dict(sorted(assignment.items()))


def check_disjoint(groups: Mapping[str, Iterable[str]]) -> None:
    """Sees to it that no patient is in two splits, whatever made them.

    Args:
      groups: split to its patient ids; an id may be repeated within a split (once for each slice, say).

    Raises:
      RuntimeError: a patient is in two splits.
    """
    seen: dict[str, str] = {}
    for split, names in groups.items():
        for name in names:
            if seen.setdefault(name, split) != split:
                raise RuntimeError(f"patient {name} is in two splits, {seen[name]} and {split}: results would be void")


def _count(fraction: float, n: int) -> int:
    """fraction * n, rounded half up in decimal (0.145 of 100 is 15), at least 1 for a fraction above 0."""
    rounded = (Decimal(str(fraction)) * n).quantize(Decimal(1), ROUND_HALF_UP)
    return max(int(rounded), 1) if fraction > 0 else 0


def _check_counts(grade, n, validation, test, fractions, test_counts) -> None:
    if n == 0:
        raise InputError(f"--cohort has no {grade} patient, but a classifier of grades needs both; add some")
    if test < 0 or test > n:
        raise InputError(
            f"--test_counts={test_counts}, but the cohort has {n} {grade} patients; give {grade} from 0 to {n}"
        )
    if n - validation - test < 1:
        flags = " and ".join(f"{flag}={fraction:g}" for flag, fraction in fractions.items())
        if grade in test_counts:
            flags += f" and --test_counts={test_counts}"
        raise InputError(
            f"{grade}: {n} patient{'s' * (n != 1)} in --cohort, but {flags} take {validation} for validation and "
            f"{test} for test, which leaves none to train on; add patients or lower them"
        )
