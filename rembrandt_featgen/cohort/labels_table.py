"""A table of clinical data beside images, --labels_table: the class, group, site and covariates of each patient.

The column of the patients is the one whose cells are their ids, exactly or as people vary them: in case and in what
separates words, without the visit (TCGA_CS_4941 for TCGA_CS_4941_19960909), and without leading zeros (UCSF-PDGM-004
for UCSF-PDGM-0004); in a column that is named as one of ids also by the bare number (00005 for BraTS2021_00005).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import logging

from rembrandt_featgen.cohort.csv_rows import read_lines
from rembrandt_featgen.cohort.manifest import GRADE, GROUP, LABEL, PATIENT, SITE, ManifestColumns
from rembrandt_featgen.cohort.patients import Entry
from rembrandt_featgen.cohort.visit_names import group_of, patient_of, spelling
from rembrandt_featgen.core.errors import InputError

FLAG = "--labels_table"
_MISSING = ("n/a", "nan", "#n/a")  # what stands for an empty cell; of BIDS n/a
_SHOWN = 30  # columns that a message names
_WAYS = (
    "exactly",
    "but for spelling",
    "but for leading zeros",
    "by the patient of a visit",
    "by the patient but for zeros",
    "by number",
)


class Table(NamedTuple):
    """A table.

    Attributes:
      path: of the file.
      header: names of its columns.
      rows: number of the line in the file, and its cells, "" where empty.
      where: flag and file, for messages.
    """

    path: Path
    header: tuple[str, ...]
    rows: list[tuple[int, list[str]]]
    where: str

    def position(self, name: str) -> int | None:
        """Number of the column of a name, in any case; None where there is none."""
        wanted = name.casefold()
        return next((number for number, one in enumerate(self.header) if one.casefold() == wanted), None)

    def needed(self, name: str, flag: str) -> int:
        """The same, but InputError where there is none."""
        number = self.position(name)
        if number is None:
            raise InputError(
                f"{self.where}: no column {name!r} (found {self.columns}); name one of these with {flag}, or add it"
            )
        return number

    @property
    def columns(self) -> str:
        """Names of the columns, for messages."""
        more = f" and {len(self.header) - _SHOWN} more" if len(self.header) > _SHOWN else ""
        return ", ".join(self.header[:_SHOWN]) + more


def read(path: Path, flag: str = FLAG) -> Table:
    """Reads a table: .csv with commas or semicolons, .tsv or .txt with tabs, in UTF-8, a header first.

    Args:
      path: of the file.
      flag: that names it, for messages.

    Raises:
      InputError: it is no such file.
    """
    where = f"{flag}={path}"
    if not path.is_file():
        raise InputError(f"{where}: no such file; give a .csv or .tsv file with a row for each patient")
    if path.suffix.lower() in (".xlsx", ".xls", ".ods", ".parquet"):
        raise InputError(f"{where}: not a .csv or .tsv file; save the sheet with the patients as one")
    tabs = path.suffix.lower() in (".tsv", ".txt")
    lines = read_lines(path, f"{flag}:", "\t" if tabs else ",")
    if not tabs and lines and len(lines[0][1]) == 1 and ";" in lines[0][1][0]:
        lines = read_lines(path, f"{flag}:", ";")
    if not lines or len([number for number, cells in lines if any(cells)]) < 2:
        raise InputError(f"{where}: no rows; it needs a header and a row for each patient")
    header = lines[0][1]
    rows = []
    for number, cells in lines[1:]:
        if any(cells):
            if len(cells) != len(header):
                raise InputError(
                    f"{where} line {number}: {len(cells)} cells, but {len(header)} columns; put a cell that has the "
                    "separator within it in quotes, and fill in what is missing"
                )
            rows.append((number, ["" if cell.casefold() in _MISSING else cell for cell in cells]))
    return Table(path, tuple(header), rows=rows, where=where)


def join(
    entries: Sequence[Entry],
    table: Table,
    columns: ManifestColumns,
    *,
    usual: str = "",
    group_pattern: str = "",
    has_groups: bool = True,
) -> list[Entry]:
    """The entries with what a table says of their patients.

    Args:
      entries: of a layout.
      table: of the patients.
      columns: names of its columns; the patient's, of the usual name, is found by its cells.
      usual: name of the column of the class where --label_column names none: of grades.
      group_pattern: of --group_pattern, by which visits are known, too.
      has_groups: whether a column of the usual name is of groups; in BIDS it is of classes.

    Returns:
      The entries: the class is the table's (blank without a row), group, site and covariates are where it has them.

    Raises:
      InputError: a column is missing or the patients' is not to be found, or rows contradict each other.
    """
    label, is_grade = _label_column(table, columns.label, usual)
    named = {name: table.position(getattr(columns, name)) for name in (GROUP, SITE)}
    if named[GROUP] == label or not has_groups and columns.group.casefold() == GROUP:
        del named[GROUP]
    covariates = {name: number for name in columns.covariates if (number := table.position(name)) is not None}
    for name, number in covariates.items():
        if number == label:
            raise InputError(f"--covariates={','.join(columns.covariates)}: {name} is the class itself; leave it out")
    key, rows_of = _match(entries, table, name=columns.patient, group_pattern=group_pattern)
    joined = []
    for entry, rows in zip(entries, rows_of):
        where = f"{table.where} line {rows[0][0]}" if rows else f"{table.where} (column {key!r} lacks this patient)"
        cells = rows[0][1] if rows else [""] * len(table.header)
        for number, others in rows[1:]:
            if others[label] != cells[label]:
                raise InputError(
                    f"{where}: patient {entry.id} has {table.header[label]} {cells[label]!r} here and "
                    f"{others[label]!r} in line {number}; keep one of the rows"
                )
        changes: dict = {name: cells[at] for name, at in named.items() if at is not None and cells[at]}
        known = {name: cells[at] for name, at in covariates.items()}
        joined.append(
            entry._replace(
                where=where,
                text=cells[label],
                is_grade=is_grade,
                column=table.header[label],
                covariates={**entry.covariates, **known},
                **changes,
            )
        )
    return joined


def _label_column(table: Table, name: str, usual: str) -> tuple[int, bool]:
    """Number of the column of the class, and whether it is one of grades."""
    if name.casefold() != LABEL:
        return table.needed(name, "--label_column"), name.casefold() in (GRADE, usual.casefold() or GRADE)
    for one in filter(None, (LABEL, GRADE, usual)):
        number = table.position(one)
        if number is not None:
            return number, one != LABEL
    return table.needed(name, "--label_column"), False


def _match(
    entries: Sequence[Entry], table: Table, *, name: str, group_pattern: str
) -> tuple[str, list[list[tuple[int, list[str]]]]]:
    """Name of the column of the patients, and the rows of each entry."""
    any_column = name.casefold() == PATIENT
    chosen = table.position(name) if any_column else table.needed(name, "--patient_column")
    candidates = [number for number in range(len(table.header)) if any_column or number == chosen]
    best: tuple = ()
    for number in candidates:
        ways, rows_of = _rows_of(entries, table, number, group_pattern=group_pattern)
        # most patients; then the column that is named so, the more exact way, and the first
        score = (sum(map(bool, rows_of)), number == chosen, -sum(ways), -number)
        if not best or score > best[0]:
            best = (score, number, ways, rows_of)
    (matched, *_), number, ways, rows_of = best
    if not matched:
        raise InputError(
            f"{table.where}: no column has the patients' ids, such as {entries[0].id} (found {table.columns}; "
            f"{table.header[number]!r} has {table.rows[0][1][number]!r}); name that of the patients with "
            "--patient_column, or spell ids as the cohort does"
        )
    used = sorted({way for way, rows in zip(ways, rows_of) if rows})
    logging.info(
        "%s: the column %r has %d of %d patients (%s)",
        table.where,
        table.header[number],
        matched,
        len(entries),
        ", ".join(_WAYS[way] for way in used),
    )
    return table.header[number], rows_of


def _rows_of(
    entries: Sequence[Entry], table: Table, number: int, *, group_pattern: str
) -> tuple[list[int], list[list[tuple[int, list[str]]]]]:
    """Of each entry, by which of _WAYS a column's cells are its id, and the rows of these cells."""
    keys = _ways(group_pattern)
    cells = [(row[1][number], row) for row in table.rows if row[1][number]]
    # a bare number may be anything, unless a column of ids has nothing else, and no two patients have the same
    if not _has_bare_ids(table.header[number], [cell for cell, _ in cells], [entry.id for entry in entries]):
        keys = keys[:-1]
    by_key: list[dict[str, list]] = [{} for _ in keys]
    for cell, row in cells:
        for way, key in enumerate(keys):
            if key(cell):
                by_key[way].setdefault(key(cell), []).append(row)
    ways, found = [], []
    for entry in entries:
        hits = ((way, by_key[way].get(key(entry.id), [])) for way, key in enumerate(keys) if by_key[way])
        way, rows = next(((way, rows) for way, rows in hits if rows), (len(keys), []))
        ways.append(way)
        found.append(rows)
    return ways, found


def _ways(group_pattern: str) -> list[Callable[[str], str]]:
    """Of each of _WAYS what two spellings of one patient have in common; "" where there is nothing."""

    def spelt(name: str) -> str:
        return spelling(name).removeprefix("sub_")

    def without_zeros(name: str) -> str:
        return re.sub(r"(?<!\d)0+(?=\d)", "", spelt(name))

    def patient(name: str) -> str:
        known = patient_of(name)
        return known if known != name or not group_pattern else group_of(name, group_pattern) or name

    def of_patient(name: str) -> str:
        return spelt(patient(name))

    def of_patient_without_zeros(name: str) -> str:
        return without_zeros(patient(name))

    return [str, spelt, without_zeros, of_patient, of_patient_without_zeros, _number]


def _number(name: str) -> str:
    """The number that an id ends in, where it has no other but that of a year: 5 of BraTS2021_00005."""
    found = re.fullmatch(r"\D*(?:(?:19|20)\d\d_)?(\d+)", name)
    return str(int(found[1])) if found else ""


def _has_bare_ids(header: str, cells: Sequence[str], ids: Sequence[str]) -> bool:
    if not re.search(r"\bid|id\b|patient|subject|participant|case", header.casefold()):
        return False
    patients = {patient_of(name): _number(patient_of(name)) for name in ids}
    return all(cell.isdigit() for cell in cells) and len(set(patients.values())) == len(patients)


def default_table(cohort: Path, patterns: Sequence[str]) -> Path | None:
    """The last, by name, of the files called as a layout's table, in the cohort's folder, the one above, or below."""
    return next((files[-1] for files in _files(cohort, patterns) if files), None)


def _files(cohort: Path, patterns: Sequence[str]) -> Iterator[list[Path]]:
    for folder in (cohort, cohort.parent):
        for pattern in patterns:
            yield sorted(folder.glob(pattern))
    for pattern in patterns:
        yield sorted(cohort.glob(f"*/{pattern}"))
