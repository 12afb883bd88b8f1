"""Splits a cohort by patient within each class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal

import numpy as np

from rembrandt_featgen.cohort.patients import Cohort
from rembrandt_featgen.core.errors import InputError

SPLITS = ("train", "validation", "test")


def split_patients(
    cohort: Cohort,
    *,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
    test_counts: Mapping[str, int] | None = None,
) -> dict[str, str]:
    """Puts each patient into one split, at random within each class (paper 3.4).

    A class of n patients gives fraction * n of them, rounded half up, but at least 1 if the fraction is above 0. The
    split depends on the ids and the seed, not on the order of the patients; a class's does not depend on the others.

    Args:
      cohort: patients with unique ids, and the classes.
      validation_fraction: in [0, 1); 0 leaves the split empty.
      test_fraction: in [0, 1); 0 leaves the split empty.
      seed: from 0.
      test_counts: class to its test patients, instead of test_fraction's; the paper's are {"HGG": 7, "LGG": 4}.

    Returns:
      Patient id to one of SPLITS.

    Raises:
      InputError: a fraction is out of range, or a class has too few patients to leave one for training.
    """
    fractions = {"--validation_fraction": validation_fraction, "--test_fraction": test_fraction}
    for flag, fraction in fractions.items():
        if not 0 <= fraction < 1:
            raise InputError(f"{flag}={fraction} is not a share of the patients; give a number from 0 to below 1")
    counts = {cohort.classes.match(name): count for name, count in (test_counts or {}).items()}
    if "" in counts:
        raise InputError(
            f"--test_counts={_counts_text(test_counts)} names other classes than {', '.join(cohort.classes.names)}; "
            "leave them out"
        )
    assignment = {}
    for label, name in enumerate(cohort.classes.names):
        members = _members(cohort, name)
        test = counts.get(name, _count(test_fraction, len(members)))
        validation = _count(validation_fraction, len(members))
        flags = " and ".join(f"{flag}={fraction:g}" for flag, fraction in fractions.items())
        if name in counts:
            flags += f" and --test_counts={_counts_text(counts)}"
        _check_counts(name, len(members), validation=validation, test=test, flags=flags)
        drawn = np.random.default_rng([seed, label]).permutation(members)
        for index, patient in enumerate(drawn):
            assignment[str(patient)] = (
                "test" if index < test else "validation" if index < test + validation else "train"
            )
    return dict(sorted(assignment.items()))


def fold_patients(
    cohort: Cohort, folds: int, *, validation_fraction: float, seed: int, repeat: int = 0
) -> list[dict[str, str]]:
    """Divides patients into the outer folds of a cross-validation, at random within each class.

    Each patient is tested in exactly one fold. Of the others of a fold, `validation_fraction` of each class are set
    apart for every choice that the fold has to make. Which patient is where depends on ids, seed and repeat alone.

    Args:
      cohort: patients with unique ids, and the classes.
      folds: from 2.
      validation_fraction: in (0, 1), of a fold's patients that are not tested.
      seed: from 0.
      repeat: from 0; each is another division.

    Returns:
      One assignment for each fold: patient id to one of SPLITS, as `split_patients` returns it.

    Raises:
      InputError: a class has fewer patients than folds, or too few to train and to validate.
    """
    by_fold: list[list[str]] = [[] for _ in range(folds)]
    placed = 0
    for label, name in enumerate(cohort.classes.names):
        members = _members(cohort, name)
        if len(members) < folds:
            raise InputError(
                f"--cv_folds={folds}, but --cohort has {len(members)} {name} patients, so that some folds would test "
                f"none; take at most {len(members)} folds or add patients"
            )
        for patient in np.random.default_rng([seed, repeat, label]).permutation(members):
            by_fold[placed % folds].append(str(patient))  # continues where the class before ended: folds of equal size
            placed += 1
    return [
        _hold_out(cohort, set(test), validation_fraction=validation_fraction, seeds=(seed, repeat, number))
        for number, test in enumerate(by_fold)
    ]


def site_folds(
    cohort: Cohort, pattern: str, *, validation_fraction: float, seed: int, repeat: int = 0
) -> dict[str, dict[str, str]]:
    """Leave-one-site-out: one fold for each site, which tests all of that site's patients.

    Args:
      cohort: patients with unique ids, and the classes.
      pattern: regular expression whose first group finds the site in an id, such as `TCGA_([A-Z]+)_`.
      validation_fraction, seed, repeat: as for `fold_patients`.

    Returns:
      Site to its fold's assignment, sorted by site.

    Raises:
      InputError: the pattern is none, or an id has no site, or there is one site only, or a fold cannot be trained.
    """
    sites = {patient.id: site_of(patient.id, pattern) for patient in cohort.patients}
    nowhere = sorted(name for name, site in sites.items() if not site)
    if nowhere:
        raise InputError(
            f"--site_pattern={pattern} finds no site in the id {nowhere[0]} of --cohort; correct the pattern"
        )
    if len(set(sites.values())) < 2:
        raise InputError(f"--site_pattern={pattern} finds one site only in --cohort; take --cv_grouping=patient")
    return {
        site: _hold_out(
            cohort,
            {patient for patient, its_site in sites.items() if its_site == site},
            validation_fraction=validation_fraction,
            seeds=(seed, repeat, number),
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


def _hold_out(
    cohort: Cohort, test: set[str], *, validation_fraction: float, seeds: tuple[int, int, int]
) -> dict[str, str]:
    """The assignment of a fold that tests `test`: a share of each class's others is for validation."""
    assignment = dict.fromkeys(test, "test")
    for label, name in enumerate(cohort.classes.names):
        others = [patient for patient in _members(cohort, name) if patient not in test]
        validation = _count(validation_fraction, len(others))
        if len(others) - validation < 1:
            raise InputError(
                f"{name}: a fold leaves {len(others)} patients, of whom --validation_fraction={validation_fraction:g} "
                f"takes {validation}, so none is left to train on; add patients, or take more folds"
            )
        for index, patient in enumerate(np.random.default_rng([*seeds, label]).permutation(others)):
            assignment[str(patient)] = "validation" if index < validation else "train"
    return dict(sorted(assignment.items()))


def _members(cohort: Cohort, name: str) -> list[str]:
    """Ids of the patients of a class, sorted."""
    return sorted(patient.id for patient in cohort.patients if patient.label == name)


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


def _counts_text(counts: Mapping[str, int] | None) -> str:
    """Counts as --test_counts gives them."""
    return ",".join(f"{name}:{count}" for name, count in (counts or {}).items())


def _check_counts(name: str, n: int, *, validation: int, test: int, flags: str) -> None:
    """InputError where a class of n patients is empty or leaves none to train on; `flags` are those that decide."""
    if n == 0:
        raise InputError(f"--cohort has no {name} patient, but a classifier needs patients of each class; add some")
    if test < 0 or test > n:
        raise InputError(
            f"--test_counts has {name}:{test}, but the cohort has {n} {name} patients; give {name} from 0 to {n}"
        )
    if n - validation - test < 1:
        raise InputError(
            f"{name}: {n} patient{'s' * (n != 1)} in --cohort, but {flags} take {validation} for validation and "
            f"{test} for test, which leaves none to train on; add patients or lower them"
        )
