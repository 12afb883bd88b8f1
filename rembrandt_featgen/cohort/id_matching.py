"""Whose row is whose: the column of a table that has a cohort's ids, exactly or as people vary them.

They vary them in case and in what separates words, without leading zeros (UCSF-PDGM-004 for UCSF-PDGM-0004), and
without the visit (TCGA_CS_4941 for TCGA_CS_4941_19960909); in a column that is named as one of ids also by the bare
number (00005 for BraTS2021_00005, 1 for sub-01), also as 5.0 where all are so. Bare numbers in other columns, such as
ages, are no ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from absl import logging

from rembrandt_featgen.cohort import classes
from rembrandt_featgen.cohort.csv_rows import Table
from rembrandt_featgen.cohort.manifest import PATIENT
from rembrandt_featgen.cohort.visit_names import group_of, patient_of, spelling
from rembrandt_featgen.core.errors import InputError

_BY_NUMBER = "by number"
_OF_IDS = re.compile(r"\bid|id\b|patient|subject|participant|case")  # names of columns of ids
_WAYS = (
    "exactly",
    "but for spelling",
    "but for leading zeros",
    "by the patient of a visit",
    "by the patient but for zeros",
    _BY_NUMBER,
)


def match(
    ids: Sequence[str], table: Table, *, name: str, group_pattern: str
) -> tuple[str, list[list[tuple[int, list[str]]]]]:
    """The column of the patients, and whose its rows are.

    Args:
      ids: of the cohort's patients.
      table: of patients, these among them.
      name: of the column; the usual one stands for that with the most ids.
      group_pattern: of --group_pattern, by which visits are known, too.

    Returns:
      Name of the column, and the rows of each id, none where it is not there.

    Raises:
      InputError: there is no such column, or none has any of the ids.
    """
    any_column = name.casefold() == PATIENT
    chosen = table.position(name) if any_column else table.needed(name, "--patient_column")
    known = _Ids(ids, group_pattern)
    candidates = [number for number in range(len(table.header)) if any_column or number == chosen]
    best: tuple = ()
    for number in candidates:
        of_ids = not any_column or bool(_OF_IDS.search(table.header[number].casefold()))
        ways, rows_of = _rows_of(known, table, number, of_ids=of_ids)
        matched = sum(map(bool, rows_of))
        by_name = sum(bool(rows) and _WAYS[way] != _BY_NUMBER for way, rows in zip(ways, rows_of))
        # most patients, by more than bare numbers, which count rows, too; then the column that is named so, the more
        # exact way, and the first
        score = (by_name, matched, number == chosen, -sum(ways), -number)
        if not best or score > best[0]:
            best = (score, number, ways, rows_of)
    (_, matched, *_), number, ways, rows_of = best
    if not matched:
        raise InputError(
            f"{table.where}: no column has the patients' ids, such as {ids[0]} (found {table.columns}; "
            f"{table.header[number]!r} has {table.rows[0][1][number]!r}); name that of the patients with "
            "--patient_column, or spell ids as the cohort does"
        )
    used = sorted({way for way, rows in zip(ways, rows_of) if rows})
    logging.info(
        "%s: the column %r has %d of %d patients (%s)",
        table.where,
        table.header[number],
        matched,
        len(ids),
        ", ".join(_WAYS[way] for way in used),
    )
    _say_other_visits(ids, table, number, rows_of=rows_of, group_pattern=group_pattern)
    return table.header[number], rows_of


def _say_other_visits(
    ids: Sequence[str], table: Table, number: int, *, rows_of: Sequence[list], group_pattern: str
) -> None:
    """Warns where a visit without a row of its own has that of another visit of the patient."""
    _, spelt, without_zeros, of_patient, *_ = _ways(group_pattern)
    others = [
        (name, rows[0][1][number])
        for name, rows in zip(ids, rows_of)
        if rows
        and without_zeros(name) != without_zeros(rows[0][1][number])
        and all(of_patient(one) != spelt(one) for one in (name, rows[0][1][number]))
    ]
    if others:
        logging.warning(
            "%s: %d visits have no row, and that of another visit of the patient is taken for them, such as %s for %s; "
            "add rows where things differ between visits",
            table.where,
            len(others),
            others[0][1],
            others[0][0],
        )


class _Ids:
    """The ids of a cohort, as each of _WAYS has them."""

    def __init__(self, ids: Sequence[str], group_pattern: str):
        self.ways = _ways(group_pattern)
        self.keys = [[key(name) for key in self.ways] for name in ids]
        numbers = {self.ways[3](name): keys[-1] for name, keys in zip(ids, self.keys)}
        self.has_numbers = len(set(numbers.values())) == len(numbers)


def _rows_of(
    ids: _Ids, table: Table, number: int, *, of_ids: bool
) -> tuple[list[int], list[list[tuple[int, list[str]]]]]:
    """Of each id, by which of _WAYS a column's cells are its id, and the rows of these cells.

    A bare number may be anything, unless the column is one of ids (`of_ids`); to be an id's number it must be no other
    patient's, too, and the column have nothing else.
    """
    keys = ids.ways
    column = [row[1][number] for row in table.rows]
    whole = classes.without_decimals(column)
    written = whole if all(cell.isdigit() for cell in whole if cell) else column
    cells = [(cell, row) for cell, row in zip(written, table.rows) if cell]
    cells = [(cell, row) for cell, row in cells if of_ids or not cell.isdigit()]
    if not ids.has_numbers or not all(cell.isdigit() for cell, _ in cells):
        keys = keys[:-1]
    by_key: list[dict[str, list]] = [{} for _ in keys]
    for cell, row in cells:
        for way, key in enumerate(keys):
            if key(cell):
                by_key[way].setdefault(key(cell), []).append(row)
    ways, found = [], []
    for of_id in ids.keys:
        hits = ((way, by_key[way].get(of_id[way], [])) for way in range(len(keys)) if by_key[way])
        way, rows = next(((way, rows) for way, rows in hits if rows), (len(keys), []))
        ways.append(way)
        found.append(rows)
    return ways, found


def _ways(group_pattern: str) -> list[Callable[[str], str]]:
    """Of each of _WAYS what two spellings of one patient have in common; "" where there is nothing."""

    def spelt(name: str) -> str:
        plain = spelling(name).removeprefix("sub_")
        return spelling(name) if plain.isdigit() else plain

    def without_zeros(name: str) -> str:
        return re.sub(r"(?<!\d)0+(?=\d)", "", spelt(name))

    def patient(name: str) -> str:
        known = patient_of(name)
        return known if known != name or not group_pattern else group_of(name, group_pattern) or name

    def of_patient(name: str) -> str:
        return spelt(patient(name))

    def of_patient_without_zeros(name: str) -> str:
        return without_zeros(patient(name))

    def number_of_patient(name: str) -> str:
        return _number(patient(name))

    return [str, spelt, without_zeros, of_patient, of_patient_without_zeros, number_of_patient]


def _number(name: str) -> str:
    """The number that an id ends in, where it has no other but that of a year: 5 of BraTS2021_00005."""
    found = re.fullmatch(r"\D*(?:(?:19|20)\d\d_)?(\d+)", name)
    return str(int(found[1])) if found else ""
