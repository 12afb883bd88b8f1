"""Splits of a cohort some of whose patients are fresh, there for tests alone: a phantom can have any number of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rembrandt_featgen.cohort.patients import Cohort
from rembrandt_featgen.cohort.splits import LEFT_OUT, split_patients


def without(cohort: Cohort, patients: Collection[str]) -> Cohort:
    """The cohort without some of its patients, given by id."""
    return cohort._replace(patients=[patient for patient in cohort.patients if patient.id not in patients])


def tested(assignment: Mapping[str, str], fresh: Collection[str]) -> dict[str, str]:
    """An assignment of the other patients that tests the fresh ones instead of those that it would have tested.

    Args:
      assignment: patient id to split, of the patients who are not fresh.
      fresh: ids of those who are.

    Returns:
      The assignment of all: who would have been tested is left out.
    """
    others = {patient: LEFT_OUT if split == "test" else split for patient, split in assignment.items()}
    return dict(sorted({**others, **dict.fromkeys(fresh, "test")}.items()))


def split(
    cohort: Cohort, fresh: Collection[str], *, validation_fraction: float, seed: int = 0, fresh_in: str = "test"
) -> dict[str, str]:
    """Divides the patients who are not fresh into training and validation as `splits.split_patients` does.

    Args:
      cohort: patients with unique ids, and the classes.
      fresh: ids of those who are there for tests alone.
      validation_fraction: of the others, in [0, 1).
      seed: from 0.
      fresh_in: where the fresh ones go, "test" or LEFT_OUT.

    Returns:
      Patient id to one of `splits.SPLITS`, or to LEFT_OUT.

    Raises:
      InputError: as `splits.split_patients`.
    """
    others = without(cohort, fresh)
    assignment = split_patients(others, validation_fraction=validation_fraction, test_fraction=0, seed=seed)
    return dict(sorted({**assignment, **dict.fromkeys(fresh, fresh_in)}.items()))
