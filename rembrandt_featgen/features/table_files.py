"""Columns of .csv and .parquet files, and arrays of .npz files, that others wrote: read, or refused in one line."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from rembrandt_featgen.core import array_files, file_sizes, system_errors
from rembrandt_featgen.core.errors import InputError

# Cells, in lower case, that stand for a missing value; infinite numbers do, too.
_INFINITE = ("inf", "-inf", "+inf", "infinity", "-infinity")
_OF_SPREADSHEETS = ("#div/0!", "#n/a", "#n/a n/a", "#na", "#name?", "#null!", "#num!", "#ref!", "#value!")
MISSING = ("", "-", ".", "?", "na", "n/a", "nan", "-nan", "none", "null", "missing", *_INFINITE, *_OF_SPREADSHEETS)
_SHOWN = 60  # characters of a cell in a message
_LISTED = 5  # names in a message
_WIDE, _MOST_COLUMNS = 20_000, 200_000  # columns that are read otherwise, and that are not


class Columns:
    """The columns of a file, each read when it is asked for.

    Attributes:
      where: flag and file, for messages.
      names: of the columns, in order; a name may be there twice, see `position`.
      rows: how many there are.
      first_row: the number of the first row as editors of such files count.
    """

    def __init__(self, path: Path, flag: str, *, names: Sequence[str], columns: Sequence[pa.ChunkedArray]):
        self.where, self.names, self._columns = f"{flag}={path}", list(names), columns
        self.rows = len(columns[0]) if columns else 0
        self.first_row = 2 if path.suffix.lower() == ".csv" else 1

    def position(self, name: str) -> int | None:
        """Number of the column of a name, in this or else in any case; None where there is none; InputError for two."""
        for names, wanted in ((self.names, name), ([one.casefold() for one in self.names], name.casefold())):
            if wanted in names:
                if names.count(wanted) > 1:
                    raise InputError(f"{self.where}: the column {name} is there {names.count(wanted)} times; keep one")
                return names.index(wanted)
        return None

    def is_text(self, position: int) -> bool:
        """Whether a column has cells that are neither numbers nor missing."""
        return self._converted(position)[1] is not None

    def numbers(self, position: int) -> np.ndarray:
        """A column as [rows] float64, NaN where missing; InputError where a cell is neither a number nor missing."""
        values, bad = self._converted(position)
        if bad is not None:
            raise InputError(
                f"{self.where}: column {self.names[position]!r}, row {bad + self.first_row}: "
                f"{shown(self.texts(position)[bad])} is neither a number nor a sign of a missing value; write numbers "
                "with a decimal point, name the column in --covariates if it is clinical, or take it out of the file"
            )
        return values

    def texts(self, position: int) -> np.ndarray:
        """A column as [rows] str, without spaces around; "" where missing, and whole numbers without decimals."""
        column = self._column(position)
        if pa.types.is_floating(column.type):
            values = column.to_numpy(zero_copy_only=False).astype(float)
            whole = np.isfinite(values) & (values == np.round(values))
            cells = [f"{v:.0f}" if w else "" if np.isnan(v) else repr(float(v)) for v, w in zip(values, whole)]
            return self._fixed(cells, position)
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        try:
            column = pc.utf8_trim_whitespace(column.cast(pa.string()))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise self._of_odd_type(position) from error
        return self._fixed(["" if cell is None else cell for cell in column.to_pylist()], position)

    def _fixed(self, cells: list[str], position: int) -> np.ndarray:
        """[rows] str, as wide as the longest cell; InputError where that takes far more memory than the cells."""
        longest = max(map(len, cells), default=0)
        if 4 * longest * len(cells) > max(file_sizes.TABLE_BYTES, file_sizes.RATIO * sum(map(len, cells))):
            raise self._of_long_cell(position, longest)
        return np.array(cells, str)

    def _column(self, position: int) -> pa.Array:
        chunks = self._columns[position].chunks
        column = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)
        if not pa.types.is_dictionary(column.type):
            return column
        if pa.types.is_string(column.type.value_type) and len(column.dictionary):
            longest = pc.max(pc.utf8_length(column.dictionary)).as_py() or 0
            if longest * self.rows > max(file_sizes.TABLE_BYTES, file_sizes.RATIO * column.nbytes):
                raise self._of_long_cell(position, longest)
        return column.dictionary_decode()

    def _converted(self, position: int) -> tuple[np.ndarray, int | None]:
        """[rows] float64, NaN where missing; and the number of the first cell that is no number, or None."""
        column = self._column(position)
        kind = column.type
        if pa.types.is_null(kind):
            return np.full(self.rows, np.nan), None
        if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
            wide = column.cast(pa.int8()) if pa.types.is_boolean(kind) else column
            return _finite(wide.to_numpy(zero_copy_only=False).astype(np.float64)), None
        if pa.types.is_decimal(kind):
            return _finite(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)), None
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise self._of_odd_type(position)
        trimmed = pc.utf8_trim_whitespace(column.cast(pa.string()))
        is_missing = pc.is_in(pc.utf8_lower(trimmed), pa.array(MISSING))
        cells = pc.if_else(is_missing, pa.scalar(None, pa.string()), trimmed)
        try:
            return _finite(cells.cast(pa.float64()).to_numpy(zero_copy_only=False)), None
        except pa.ArrowInvalid:  # pandas also takes such as "+1"
            series = cells.to_pandas().astype(object)
            values = pd.to_numeric(series, errors="coerce").to_numpy(np.float64)
            bad = np.flatnonzero(np.isnan(values) & series.notna().to_numpy())
            return _finite(values), int(bad[0]) if len(bad) else None

    def _of_long_cell(self, position: int, longest: int) -> InputError:
        return InputError(
            f"{self.where}: column {self.names[position]!r} has a cell of {longest} characters; shorten it, or take "
            "the column out of the file"
        )

    def _of_odd_type(self, position: int) -> InputError:
        return InputError(
            f"{self.where}: column {self.names[position]!r} holds {self._columns[position].type}, not numbers; write a "
            "column for each number, or take it out of the file"
        )


def read_columns(path: Path, flag: str) -> Columns:
    """Reads a table.

    Args:
      path: .csv, comma-separated UTF-8 with a header, or .parquet.
      flag: for messages, such as "--features".

    Raises:
      InputError: the file is missing, damaged, empty or of another kind.
    """
    readers = {".csv": _csv, ".parquet": _parquet}
    if path.suffix.lower() not in readers:
        raise InputError(f"{flag}={path} is no .csv, .parquet or .npz file; write the features as one of these")
    check_there(path, flag)
    names, columns = readers[path.suffix.lower()](path, flag)
    if len(names) > _MOST_COLUMNS:
        raise InputError(
            f"{flag}={path} has {len(names)} columns, and {_MOST_COLUMNS} are read; write the features as an array of "
            "an .npz file"
        )
    if not columns or not len(columns[0]):
        raise InputError(f"{flag}={path} has no rows; write a header, and a row for each sample")
    return Columns(path, flag, names=names, columns=columns)


def read_arrays(path: Path, flag: str) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name; InputError where it is missing, damaged, or holds Python objects."""
    check_there(path, flag)
    try:
        return array_files.read_npz(path)
    except ValueError as error:
        raise InputError(
            f"{flag}={path} cannot be read ({_one_line(error)}); write arrays of numbers and text with numpy.savez"
        ) from error


def check_there(path: Path, flag: str) -> None:
    """InputError where a file is missing."""
    if not path.is_file():
        raise InputError(f"{flag}={path}: there is no such file; correct the path")


def shown(cell: str) -> str:
    """A cell in quotes, cut to what a line holds."""
    return repr(cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]}...")


def _csv(path: Path, flag: str) -> tuple[list[str], Sequence]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            names = [name.strip() for name in next(csv.reader(file, strict=True), [])]
        if not names:
            raise ValueError("it is empty")
        if len(names) == 1:
            raise ValueError(f"its header {shown(names[0])} has no comma")
        if len(names) > _WIDE:
            return names, _wide(path, len(names)) if len(names) <= _MOST_COLUMNS else []
        # under numbers for names, as names may be there twice; the header's row is read and dropped
        read = pacsv.read_csv(
            path,
            read_options=pacsv.ReadOptions(column_names=[str(number) for number in range(len(names))], skip_rows=0),
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types={str(number): pa.string() for number in range(len(names))}, strings_can_be_null=False
            ),
        ).slice(1)
    except (ValueError, csv.Error, OSError, pa.ArrowException, MemoryError) as error:
        system_errors.raise_of_drive(error)
        raise InputError(
            f"{flag}={path} is not readable as CSV ({_one_line(error)}); save it as comma-separated UTF-8 with a header"
        ) from error
    return names, read.columns


def _wide(path: Path, width: int) -> _Wide:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [cells for cells in csv.reader(file, strict=True) if cells][1:]
    odd = next((number for number, cells in enumerate(rows) if len(cells) != width), None)
    if odd is not None:
        raise ValueError(f"row {odd + 2} has {len(rows[odd])} cells, and the header {width}")
    return _Wide(rows, width)


class _Wide(Sequence):
    """Columns of text of rows of cells: of many columns arrow would take 7 KB each, however few the rows."""

    def __init__(self, rows: list[list[str]], width: int):
        self._rows, self._width = rows, width

    def __len__(self) -> int:
        return self._width

    def __getitem__(self, number):
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(self._width))]
        return pa.chunked_array([pa.array([cells[number] for cells in self._rows], pa.string())])


def _parquet(path: Path, flag: str) -> tuple[list[str], Sequence]:
    try:
        read = read_parquet(path)
    except (ValueError, OSError, pa.ArrowException, MemoryError) as error:
        system_errors.raise_of_drive(error)
        raise InputError(
            f"{flag}={path} is not readable as Parquet ({_one_line(error)}); write it again, or as .csv"
        ) from error
    return read.column_names, read.columns


def read_parquet(path: Path) -> pa.Table:
    """A Parquet file, texts as dictionaries; ValueError or what arrow raises where it is damaged or would be too large.

    A few bytes of such a file may stand for any number of rows.
    """
    with path.open("rb") as source:
        file = pq.ParquetFile(source)
        known = file.metadata  # without what it says of single columns, which ends the process where that is damaged
        claimed = 8 * known.num_rows * known.num_columns
        file_sizes.check_unpacked(claimed, path.stat().st_size, file_sizes.TABLE_BYTES)
        texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
        table = pq.ParquetFile(source, read_dictionary=texts).read()
    table.validate(full=True)  # what is damaged may point anywhere
    return table


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."


def repeated(names: Sequence[str]) -> list[str]:
    """The names that are there more than once."""
    return [name for name, count in Counter(names).items() if count > 1]


def listed(names: Sequence[str]) -> str:
    """Names as text, the first few of many."""
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
