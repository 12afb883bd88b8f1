"""A table of clinical data beside images, --labels_table: the class, group, site and covariates of each patient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rembrandt_featgen.cohort.csv_rows import Table, read_lines
from rembrandt_featgen.cohort.id_matching import match
from rembrandt_featgen.cohort.manifest import GRADE, GROUP, LABEL, SITE, ManifestColumns
from rembrandt_featgen.cohort.patients import Entry
from rembrandt_featgen.core.errors import InputError

FLAG = "--labels_table"
_MISSING = ("n/a", "nan", "#n/a")  # what stands for an empty cell; of BIDS n/a


def read(path: Path, flag: str = FLAG) -> Table:
    """Reads a table: .csv, .tsv or .txt in UTF-8, with commas, semicolons or tabs, a header first.

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
    lines = read_lines(path, f"{flag}:")
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
    key, rows_of = match([entry.id for entry in entries], table, name=columns.patient, group_pattern=group_pattern)
    joined = []
    for entry, rows in zip(entries, rows_of):
        where = f"{table.where} line {rows[0][0]}" if rows else f"{table.where} (column {key!r} lacks this patient)"
        cells = rows[0][1] if rows else [""] * len(table.header)
        for number, others in rows[1:]:
            for at in (label, named.get(GROUP)):
                if at is not None and others[at] != cells[at]:
                    raise InputError(
                        f"{where}: patient {entry.id} has {table.header[at]} {cells[at]!r} here and {others[at]!r} in "
                        f"line {number}; keep one of the rows"
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


def default_table(cohort: Path, patterns: Sequence[str]) -> Path | None:
    """The last, by name, of the files called as a layout's table, in the cohort's folder, the one above, or below."""
    return next((files[-1] for files in _files(cohort, patterns) if files), None)


def _files(cohort: Path, patterns: Sequence[str]) -> Iterator[list[Path]]:
    for folder in (cohort, cohort.parent):
        for pattern in patterns:
            yield sorted(folder.glob(pattern))
    for pattern in patterns:
        yield sorted(cohort.glob(f"*/{pattern}"))
