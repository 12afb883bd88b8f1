"""Splits a cohort within each class by patient, or by group of patients where a group has several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal

import numpy as np

from rembrandt_featgen.cohort.groups import Group, counted_elsewhere, deal, groups_of, unit
from rembrandt_featgen.cohort.patients import Cohort
from rembrandt_featgen.cohort.sites import by_site
from rembrandt_featgen.core.errors import InputError

SPLITS = ("train", "validation", "test")
LEFT_OUT = "left_out"  # of patients whom a fold has no use for


def split_patients(
    cohort: Cohort,
    *,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
    test_counts: Mapping[str, int] | None = None,
) -> dict[str, str]:
    """Puts each patient into one split, at random within each class (paper 3.4); a group is in one split.

    A class of n patients gives fraction * n of them, rounded half up, but at least 1 if the fraction is above 0. The
    split depends on the ids and the seed, not on the order of the patients; a class's does not depend on the others.
    Where groups have several patients, n counts groups; see `groups.Group` for their class.

    Args:
      cohort: patients with unique ids, and the classes.
      validation_fraction: in [0, 1); 0 leaves the split empty.
      test_fraction: in [0, 1); 0 leaves the split empty.
      seed: from 0.
      test_counts: class to its test patients, instead of test_fraction's; the paper's are {"HGG": 7, "LGG": 4}. Groups
        are taken in the order in which they are drawn, as long as they fit.

    Returns:
      Patient id to one of SPLITS.

    Raises:
      InputError: a fraction is out of range, or a class has too few patients to leave one for training; or groups do
        not add up to `test_counts`.
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
    assignment: dict[str, str] = {}
    for label, (name, groups) in enumerate(groups_of(cohort).items()):
        _check_class(cohort, name, counts.get(name, 0))
        drawn = _permuted(groups, [seed, label])
        tested = _fitting(drawn, counts[name]) if name in counts else drawn[: _count(test_fraction, len(drawn))]
        taken = {group.key for group in tested}
        rest = [group for group in drawn if group.key not in taken]
        validation = _count(validation_fraction, len(drawn))
        if len(rest) - validation < 1:
            flags = " and ".join(f"{flag}={fraction:g}" for flag, fraction in fractions.items())
            if name in counts:
                flags += f" and --test_counts={_counts_text(counts)}"
            raise InputError(
                f"class {name}: {len(drawn)} {unit(cohort, len(drawn))} in --cohort, but {flags} take {validation} for "
                f"validation and {len(tested)} for test, which leaves none to train on; add patients or lower them"
                f"{counted_elsewhere(cohort, name)}"
            )
        for split, part in (("test", tested), ("validation", rest[:validation]), ("train", rest[validation:])):
            assignment |= {patient: split for group in part for patient in group.patients}
    _check_test_counts(cohort, assignment, counts)
    return dict(sorted(assignment.items()))


def fold_patients(
    cohort: Cohort, folds: int, *, validation_fraction: float, seed: int, repeat: int = 0
) -> list[dict[str, str]]:
    """Divides patients into the outer folds of a cross-validation, at random within each class.

    Each patient is tested in exactly one fold, and a group in one. Of the others of a fold, `validation_fraction` of
    each class are set apart for every choice that the fold has to make. Which patient is where depends on ids, groups,
    seed and repeat alone.

    Args:
      cohort: patients with unique ids, and the classes.
      folds: from 2.
      validation_fraction: in (0, 1), of a fold's patients that are not tested.
      seed: from 0.
      repeat: from 0; each is another division.

    Returns:
      One assignment for each fold: patient id to one of SPLITS, as `split_patients` returns it.

    Raises:
      InputError: a class has fewer patients (groups) than folds, or too few to train and to validate.
    """
    by_class = groups_of(cohort)
    for name, groups in by_class.items():
        if len(groups) < folds:
            raise InputError(
                f"--cv_folds={folds}, but --cohort has {len(groups)} {unit(cohort, len(groups))} of class {name}, so "
                f"that some folds would test none; take at most {len(groups)} folds or add patients"
                f"{counted_elsewhere(cohort, name)}"
            )
    fold_of = deal([[group.key for group in groups] for groups in by_class.values()], folds, [seed, repeat])
    everyone = [group for groups in by_class.values() for group in groups]
    return [
        _hold_out(
            cohort,
            {patient for group in everyone if fold_of[group.key] == number for patient in group.patients},
            validation_fraction=validation_fraction,
            seeds=(seed, repeat, number),
        )
        for number in range(folds)
    ]


def site_folds(cohort: Cohort, *, validation_fraction: float, seed: int, repeat: int = 0) -> dict[str, dict[str, str]]:
    """Leave-one-site-out: one fold for each site, which tests all of that site's patients.

    Args:
      cohort: patients with unique ids and sites, and the classes; see `sites.with_sites`.
      validation_fraction, seed, repeat: as for `fold_patients`.

    Returns:
      Site to its fold's assignment, sorted by site.

    Raises:
      InputError: a patient has no site, or a group several, or there is one site only, or a fold cannot be trained.
    """
    return {
        site: _hold_out(cohort, set(test), validation_fraction=validation_fraction, seeds=(seed, repeat, number))
        for number, (site, test) in enumerate(by_site(cohort.patients).items())
    }


def _hold_out(
    cohort: Cohort, test: set[str], *, validation_fraction: float, seeds: tuple[int, int, int]
) -> dict[str, str]:
    """The assignment of a fold that tests `test`: a share of each class's others is for validation."""
    assignment = dict.fromkeys(test, "test")
    for label, (name, groups) in enumerate(groups_of(cohort).items()):
        others = [group for group in groups if group.key not in test]
        validation = _count(validation_fraction, len(others))
        if len(others) - validation < 1:
            raise InputError(
                f"class {name}: a fold leaves {len(others)} {unit(cohort, len(others))}, of whom "
                f"--validation_fraction={validation_fraction:g} takes {validation}, so none is left to train on; add "
                "patients, or take more folds"
            )
        for index, group in enumerate(_permuted(others, [*seeds, label])):
            assignment |= dict.fromkeys(group.patients, "validation" if index < validation else "train")
    return dict(sorted(assignment.items()))


def _permuted(groups: Sequence[Group], key: Sequence[int]) -> list[Group]:
    by_key = {group.key: group for group in groups}
    return [by_key[str(name)] for name in np.random.default_rng(key).permutation(list(by_key))]


def _fitting(groups: Sequence[Group], count: int) -> list[Group]:
    """Groups of `count` patients together, or of fewer: each in turn that still fits."""
    chosen: list[Group] = []
    for group in groups:
        if len(group.patients) <= count:
            chosen.append(group)
            count -= len(group.patients)
    return chosen


def check_disjoint(parts: Mapping[str, Iterable[str]], what: str = "patient") -> None:
    """Sees to it that no patient is in two splits, whatever made them.

    Args:
      parts: split to its patient ids; an id may be repeated within a split (once for each slice, say).
      what: the ids are of, for the message: patient or group.

    Raises:
      RuntimeError: a patient is in two splits.
    """
    seen: dict[str, str] = {}
    for split, names in parts.items():
        for name in names:
            if seen.setdefault(name, split) != split:
                raise RuntimeError(f"{what} {name} is in two splits, {seen[name]} and {split}: results would be void")


def _count(fraction: float, n: int) -> int:
    """fraction * n, rounded half up in decimal (0.145 of 100 is 15), at least 1 for a fraction above 0."""
    rounded = (Decimal(str(fraction)) * n).quantize(Decimal(1), ROUND_HALF_UP)
    return max(int(rounded), 1) if fraction > 0 else 0


def _counts_text(counts: Mapping[str, int] | None) -> str:
    """Counts as --test_counts gives them."""
    return ",".join(f"{name}:{count}" for name, count in (counts or {}).items())


def _check_test_counts(cohort: Cohort, assignment: Mapping[str, str], counts: Mapping[str, int]) -> None:
    """InputError where groups, which are not divided, did not add up to --test_counts."""
    tested = Counter(patient.label for patient in cohort.patients if assignment[patient.id] == "test")
    if any(tested[name] != count for name, count in counts.items()):
        raise InputError(
            f"--test_counts={_counts_text(counts)}: no group of patients is divided, and those that were drawn give "
            f"{_counts_text({name: tested[name] for name in counts})}; take that, other numbers or --test_fraction"
        )


def _check_class(cohort: Cohort, name: str, test: int) -> None:
    """InputError where a class is empty, or --test_counts has more or fewer than it can have."""
    n = sum(patient.label == name for patient in cohort.patients)
    if n == 0:
        raise InputError(f"--cohort has no {name} patient, but a classifier needs patients of each class; add some")
    if test < 0 or test > n:
        raise InputError(
            f"--test_counts has {name}:{test}, but the cohort has {n} {name} patients; give {name} from 0 to {n}"
        )
