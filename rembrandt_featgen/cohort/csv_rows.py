"""CSV files with a header, as manifests and tables of labels are, with commas, semicolons or tabs between cells."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rembrandt_featgen.core import system_errors
from rembrandt_featgen.core.errors import InputError

_MOST_COLUMNS = 10_000  # of a manifest or clinical table, where each may be the one of the patients
_SHOWN = 30  # columns that a message names
_SEPARATORS = (",", ";", "\t")  # the preferred first
_Lines = list[tuple[int, list[str]]]


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
        """Number of the column of a name, in any case; None where there is none, InputError where there are two."""
        found = [number for number, one in enumerate(self.header) if one.casefold() == name.casefold()]
        if len(found) > 1:
            raise InputError(f"{self.where}: the column {name!r} is there twice; keep or rename one of the two")
        return found[0] if found else None

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


def read_lines(path: Path, flag: str) -> _Lines:
    """The lines of a CSV file in UTF-8: number, and cells without spaces around them.

    What separates cells is whichever of comma, semicolon and tab gives all rows as many cells as the header, and most.

    Args:
      path: of a file that exists.
      flag: that names it, for messages.

    Raises:
      InputError: it is not readable as such.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            text = file.read()
        if "\0" in text:
            raise csv.Error("it has null characters, as a table in UTF-16 has")
        lines = _separated(text)
        if lines and len(lines[0][1]) > _MOST_COLUMNS:
            raise csv.Error(f"{len(lines[0][1])} columns, more than {_MOST_COLUMNS}; leave out what is not needed")
        return lines
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        system_errors.raise_of_drive(error)
        reason = " ".join(str(error).split())
        raise InputError(f"{flag} {path}: not readable as CSV ({reason}); save it as CSV in UTF-8") from error


def _separated(text: str) -> _Lines:
    """The lines of a text by the separator that fits it best; csv.Error where it is readable by none."""
    readings: list[_Lines] = []
    problem = None
    for separator in _SEPARATORS:
        try:
            readings.append(_lines(text, separator))
        except csv.Error as error:
            problem = error if separator == _SEPARATORS[0] else problem
    best: _Lines = max(readings, key=_fit, default=[])
    if problem and _fit(best)[1] < 2:  # a single column may be anything
        raise problem
    return best


def _lines(text: str, separator: str) -> _Lines:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    return [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]


def _fit(lines: _Lines) -> tuple[bool, int]:
    """Whether all rows have as many cells as the header, of two or more, and how many it has."""
    width = len(lines[0][1]) if lines else 0
    return width > 1 and all(len(cells) == width for _, cells in lines if any(cells)), width


def read_rows(
    path: Path,
    columns: Sequence[str],
    *,
    one_of: Sequence[str] = (),
    also: Sequence[str] = (),
    chosen: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, dict[str, str]]]:
    """Reads a CSV file with a header.

    Args:
      path: of the file, as `read_lines` has it.
      columns: names of the columns that are needed, in any case.
      one_of: names of columns of which exactly one is needed.
      also: names of those that are read where they are there.
      chosen: further columns that are needed, each with the flag that names it.

    Yields:
      File and line of a row, and its cells, stripped, by column name in lower case.

    Raises:
      InputError: the file is missing or not readable, or a column is missing or there twice.
    """
    if not path.is_file():
        raise InputError(f"--cohort: {path}: no such file; add it, or choose another --layout")
    lines = read_lines(path, "--cohort:")
    header = [name.lower() for name in lines[0][1]] if lines else []
    _check_chosen(path, header, chosen or {})
    _check_header(path, header, columns, one_of=one_of, others=[*also, *(chosen or {})])
    for number, cells in lines[1:]:
        if any(cells):
            if len(cells) != len(header):
                raise InputError(
                    f"--cohort: {path} line {number}: {len(cells)} cells, but {len(header)} columns; put a path that "
                    "has commas in quotes, and fill in what is missing"
                )
            yield f"{path} line {number}", dict(zip(header, cells))


def _check_chosen(path: Path, header: Sequence[str], chosen: Mapping[str, str]) -> None:
    for name, flag in chosen.items():
        if name not in header:
            raise InputError(
                f"--cohort: {path}: no column {name!r}, which {flag} names (found {', '.join(header) or 'nothing'}); "
                "add it, or correct the flag"
            )


def _check_header(
    path: Path, header: Sequence[str], columns: Sequence[str], *, one_of: Sequence[str], others: Sequence[str]
) -> None:
    present = [name for name in one_of if name in header]
    missing = [name for name in [*columns, *one_of[: 0 if present else 1]] if name.lower() not in header]
    if missing:
        received = ", ".join(header) or "nothing"
        raise InputError(
            f"--cohort: {path}: missing columns {', '.join(missing)} (found {received}); add them to its first line"
        )
    if len(present) > 1:
        raise InputError(
            f"--cohort: {path}: columns {' and '.join(present)} both name the class; keep one of them, rename the "
            f"other, or give --label_column={present[-1]}"
        )
    if any(header.count(name.lower()) > 1 for name in [*columns, *present, *others]):
        raise InputError(f"--cohort: {path}: a column is there twice ({', '.join(header)}); keep one of each")
