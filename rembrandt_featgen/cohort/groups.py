"""Groups of patients that no split may divide, such as families or a patient's visits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.core.errors import InputError


class Group(NamedTuple):
    """A group.

    Attributes:
      key: the first of its patients' ids, so that the names of groups play no part in what is drawn.
      label: the class of most of its patients; of equally many, the one that fewer patients of the cohort have.
      patients: their ids, sorted.
    """

    key: str
    label: str
    patients: tuple[str, ...]


def groups_of(cohort: Cohort) -> dict[str, list[Group]]:
    """The groups of each class, sorted by key; where each patient is a group, the patients."""
    members: dict[str, list[Patient]] = {}
    for patient in sorted(cohort.patients, key=lambda patient: patient.id):
        members.setdefault(patient.group, []).append(patient)
    frequency = Counter(patient.label for patient in cohort.patients)
    by_class: dict[str, list[Group]] = {name: [] for name in cohort.classes.names}
    for patients in members.values():
        counts = Counter(patient.label for patient in patients)
        label = min(counts, key=lambda name: (-counts[name], frequency[name], cohort.classes.label(name)))
        by_class[label].append(Group(patients[0].id, label, tuple(patient.id for patient in patients)))
    return by_class


def unit(cohort: Cohort, count: int) -> str:
    """What splits are counted in: "patients", or "groups of patients" where a group has several."""
    alone = len({patient.group for patient in cohort.patients}) == len(cohort.patients)
    noun = "patient" if alone else "group"
    return noun + "s" * (count != 1) + " of patients" * (not alone)


def counted_elsewhere(cohort: Cohort, name: str) -> str:
    """Which groups with patients of a class count as another, in a clause for messages; "" where none does."""
    of_patient = {patient.id: patient for patient in cohort.patients}
    apart = []
    for label, groups in groups_of(cohort).items():
        for group in groups:
            counts = Counter(of_patient[one].label for one in group.patients)
            if label != name and counts[name]:
                apart.append((of_patient[group.key].group, label, counts))
    if not apart:
        return ""
    name_of_group, label, counts = apart[0]
    shown = ", ".join(f"{counts[each]} of class {each}" for each in cohort.classes.names if counts[each])
    more = f", as {len(apart) - 1} more do" if apart[1:] else ""
    how = (
        "a tie goes to the class that fewer patients have, else the first"
        if counts[name] == counts[label]
        else "most of its patients are of it"
    )
    return (
        f"; the group {name_of_group} ({shown}) counts as {label}{more}, as {how}: give its patients one label, leave "
        "some out, or make them groups of their own (--group_column, --group_pattern)"
    )


def by_class(groups: np.ndarray, labels: np.ndarray, num_classes: int) -> list[np.ndarray]:
    """The groups of samples, of each class; one with samples of several counts once, as the rarest of these.

    Args:
      groups: [n] what no split may divide.
      labels: [n] int, of the samples.
      num_classes: of the labels.

    Returns:
      For each class the names of its groups, sorted.
    """
    rarest_first = np.argsort(np.bincount(labels, minlength=num_classes), kind="stable")
    members = [np.zeros(0, np.asarray(groups).dtype)] * num_classes
    left = np.ones(len(labels), bool)
    for label in rarest_first:
        members[label] = np.unique(groups[left & (labels == label)])
        left &= ~np.isin(groups, members[label])
    return members


def deal(groups: Sequence[Sequence[str] | np.ndarray], folds: int, key: Sequence[int]) -> dict[str, int]:
    """Deals groups to folds, those of each class in turn, so that folds differ by one group of a class at most.

    Args:
      groups: keys of the groups of each class, sorted.
      folds: how many.
      key: of the random draws.

    Returns:
      Key of each group to its fold; each class continues where the one before ended, for folds of equal size.
    """
    fold_of: dict[str, int] = {}
    for label, keys in enumerate(groups):
        for name in np.random.default_rng([*key, label]).permutation(keys):
            fold_of[str(name)] = len(fold_of) % folds
    return fold_of


def check_whole(assignment: Mapping[str, str], cohort: Cohort, flag: str) -> None:
    """Sees to it that no group is in two splits.

    Args:
      assignment: patient id to split.
      cohort: of the patients.
      flag: that gave the assignment, for the message.

    Raises:
      InputError: a group is divided.
    """
    first: dict[str, Patient] = {}
    for patient in sorted(cohort.patients, key=lambda patient: patient.id):
        other = first.setdefault(patient.group, patient)
        one, two = assignment[other.id], assignment[patient.id]
        if one != two:
            raise InputError(
                f"{flag} divides the group {patient.group}: patient {other.id} is in {one}, {patient.id} in {two}; put "
                "all patients of a group into one split"
            )
