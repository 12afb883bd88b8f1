"""Whom a model was trained on, as digests that give no name away, and the refusal to test it on them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features.table_files import listed
from rembrandt_featgen.features.tables import FeatureTable


def record(table: FeatureTable) -> dict[str, list[str]]:
    """What is kept of the patients of a table: digests of their names, of their groups, and of each sample's values.

    Values, of vectors, are kept only where no two patients of the table have the same ones: else, as of an age and a
    sex, others may well have them, too.
    """
    patients_of: dict[str, set[str]] = {}
    if not table.is_map:
        for patient, values in zip(table.patients.tolist(), table.values):
            patients_of.setdefault(_of_values(values), set()).add(patient)
    distinct = all(len(patients) == 1 for patients in patients_of.values())
    return {
        "patients": _digests(np.unique(table.patients)),
        "groups": _digests(np.unique(table.groups)),
        "values": sorted(patients_of) if distinct else [],
    }


def refuse(table: FeatureTable, seen: Mapping[str, list[str]], where: str) -> None:
    """Ends where a patient of a table is among those of a record, under any name.

    Args:
      table: of patients to test on, columns as in training.
      seen: of `record`.
      where: flag and file, for messages.

    Raises:
      InputError: a patient or a group has the name of one, or a sample has the same values.
    """
    refuse_names(_groups(table), seen, where)
    same = _same_values(table, seen)
    if same:
        raise _refusal(same, "with all values of a sample that was", where)


def among(table: FeatureTable, seen: Mapping[str, list[str]]) -> list[str]:
    """The patients of a table who are among those of a record, under any name."""
    return list(dict.fromkeys([*_same_names(_groups(table), seen), *_same_values(table, seen)]))


def refuse_names(groups: Mapping[str, str], seen: Mapping[str, list[str]], where: str) -> None:
    """InputError where a patient or a group of `groups`, patient id to group, has the name of one of a record."""
    same = _same_names(groups, seen)
    if same:
        raise _refusal(same, "whose id or group was", where)


def _same_names(groups: Mapping[str, str], seen: Mapping[str, list[str]]) -> list[str]:
    patients, others = set(seen["patients"]), set(seen["groups"])
    return [name for name, group in groups.items() if _digest(name) in patients or _digest(group) in others]


def _same_values(table: FeatureTable, seen: Mapping[str, list[str]]) -> list[str]:
    kept = set(seen["values"])
    of_patients = zip(table.patients.tolist(), table.values)
    same = [patient for patient, values in of_patients if not np.isnan(values).all() and _of_values(values) in kept]
    return list(dict.fromkeys(same))


def _groups(table: FeatureTable) -> dict[str, str]:
    return dict(zip(table.patients.tolist(), table.groups.tolist()))


def _refusal(patients: list[str], how: str, where: str) -> InputError:
    return InputError(
        f"{where} has {len(patients)} patient{'s' * (len(patients) > 1)} {how} in the study that made the model: "
        f"{listed(patients)}; a test on them says nothing: leave them out, or rename them if they are others"
    )


def _digests(names: Iterable[str]) -> list[str]:
    return sorted(_digest(str(name)) for name in names)


def _digest(name: str) -> str:
    return hashlib.sha256(name.strip().casefold().encode()).hexdigest()


def _of_values(values: np.ndarray) -> str:
    """Of the values of a sample; a missing one has no sign and no payload, and 0 has no sign."""
    plain = np.where(np.isnan(values), np.float32(np.nan), values + np.float32(0))
    return hashlib.sha256(plain.astype(np.float32).tobytes()).hexdigest()
