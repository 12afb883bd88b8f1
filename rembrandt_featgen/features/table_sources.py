"""A .csv, .parquet or .npz file of somebody else's features, behind one interface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Union

import numpy as np

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features.table_files import Columns, listed, read_arrays, read_columns
from rembrandt_featgen.features.tables import in_float32

FEATURES, NAMES = "features", "names"  # arrays of .npz files
UNET_DICE = "unet_dice"  # beside the features, or in the metadata of Parquet: how the network that made them segments


class OfColumns:
    """A file of columns."""

    def __init__(self, columns: Columns):
        self._columns, self.where, self.first_row = columns, columns.where, columns.first_row
        self.left_out: dict[str, tuple[str, ...]] = {}

    def texts(self, name: str) -> np.ndarray | None:
        """A column as text; None where there is none of the name."""
        position = self._columns.position(name)
        return None if position is None else self._columns.texts(position)

    def numbers(self, name: str) -> np.ndarray | None:
        """A column of numbers; None where it is none."""
        position = self._columns.position(name)
        if position is None or self._columns.is_text(position):
            return None
        return self._columns.numbers(position)

    def whole_numbers(self, name: str) -> np.ndarray | None:
        """A column as [n] int64; None where there is none."""
        position = self._columns.position(name)
        if position is None:
            return None
        return _whole(self._columns.numbers(position), name, where=self.where, first_row=self.first_row)

    def features(self, special: set[str]) -> tuple[np.ndarray, list[str]]:
        """All columns but the special ones, [n, d], and their names."""
        columns, names, unnamed = [], [], []
        for position, name in enumerate(self._columns.names):
            if name.casefold() in special:
                continue
            if not name or name.startswith(("Unnamed: ", "__index_level_")):  # an index that pandas wrote
                unnamed.append(name or f"number {position + 1}")
                continue
            columns.append(self._narrow(position))
            names.append(name)
        if unnamed:
            self.left_out["as they have no name"] = tuple(unnamed)
        if not columns:
            raise InputError(f"{self.where} has no column of features; add columns of numbers")
        return np.stack(columns, 1), names

    def named(self, names: Sequence[str], whose: str = "the real features") -> np.ndarray:
        """The columns of some names, [n, d]; InputError where one is missing, which says whose they are."""
        missing = [name for name in names if name not in self._columns.names]
        if missing:
            raise InputError(_lacks(self.where, f"{len(names)} columns of {whose}", missing))
        return np.stack([self._narrow(self._columns.names.index(name)) for name in names], 1)

    def _narrow(self, position: int) -> np.ndarray:
        try:
            return in_float32(self._columns.numbers(position))
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"{self.where}: column {self._columns.names[position]!r}: {error}") from error


class OfArrays:
    """A file of arrays."""

    first_row = 1

    def __init__(self, arrays: dict[str, np.ndarray], where: str):
        self._arrays, self.where = arrays, where
        self.left_out: dict[str, tuple[str, ...]] = {}
        values = self._arrays.get(FEATURES)
        if values is None or values.ndim not in (2, 4) or values.dtype.kind not in "fiub" or not values.size:
            received = "none" if values is None else f"{values.dtype} {list(values.shape)}"
            raise InputError(
                f"{where}: an array {FEATURES} of numbers, [n, d] or [n, height, width, channels], is needed; received "
                f"{received}"
            )
        self._values = values

    def texts(self, name: str) -> np.ndarray | None:
        """An array [n] as text; None where there is none of the name."""
        column = self._column(name)
        if column is None:
            return None
        if column.dtype.kind == "S":
            column = np.char.decode(column, "utf-8", "replace")
        if column.dtype.kind == "f" and np.isfinite(column).all() and (column == np.round(column)).all():
            column = column.astype(np.int64)
        return np.char.strip(column.astype(str))

    def numbers(self, name: str) -> np.ndarray | None:
        """An array [n] of numbers; None where it is none."""
        column = self._column(name)
        if column is None or column.dtype.kind not in "fiub":
            return None
        return column.astype(np.float64)

    def whole_numbers(self, name: str) -> np.ndarray | None:
        """An array as [n] int64; None where there is none."""
        if self._column(name) is None:
            return None
        numbers = self.numbers(name)
        if numbers is None:
            raise InputError(f"{self.where}: the array {name} must be of whole numbers")
        return _whole(numbers, name, where=self.where, first_row=self.first_row)

    def features(self, special: set[str]) -> tuple[np.ndarray, list[str]]:
        """The features and the names of their last axis."""
        unused = [name for name in self._arrays if name.casefold() not in special | {FEATURES, NAMES, UNET_DICE}]
        if unused:
            self.left_out["as arrays beside the features"] = tuple(unused)
        return self._finite(), self._names()

    def named(self, names: Sequence[str], whose: str = "the real features") -> np.ndarray:
        """The features, their last axis in the order of some names, or as it is where the file has no names."""
        given = self._names()
        if NAMES not in self._arrays and len(given) == len(names):
            return self._finite()
        missing = [name for name in names if name not in given]
        if missing:
            raise InputError(_lacks(self.where, f"{len(names)} names of {whose}", missing))
        return self._finite()[..., [given.index(name) for name in names]]

    def _names(self) -> list[str]:
        count = self._values.shape[-1]
        given = self._arrays.get(NAMES)
        if given is None:
            return [f"x{number}" for number in range(count)]
        if given.shape != (count,):
            raise InputError(f"{self.where}: the array names must be [{count}], received {list(given.shape)}")
        return [str(name) for name in given]

    def _finite(self) -> np.ndarray:
        values = self._values
        if values.ndim == 2:
            return np.where(np.isfinite(values), values, np.nan)
        if not np.isfinite(values).all():
            raise InputError(f"{self.where}: maps must be finite, and some values are NaN or infinite; correct them")
        return values

    def _column(self, name: str) -> np.ndarray | None:
        column = self._arrays.get(name)
        if column is not None and column.shape != (len(self._values),):
            raise InputError(
                f"{self.where}: the array {name} must be [{len(self._values)}] as the features, received "
                f"{list(column.shape)}"
            )
        return column


Source = Union[OfColumns, OfArrays]


def open_source(path: Path, flag: str) -> Source:
    """Opens a file; InputError where it is missing, damaged or of another kind."""
    if path.suffix.lower() == ".npz":
        return OfArrays(read_arrays(path, flag), f"{flag}={path}")
    return OfColumns(read_columns(path, flag))


def _whole(values: np.ndarray, name: str, *, where: str, first_row: int) -> np.ndarray:
    bad = np.flatnonzero(~(np.isfinite(values) & (values == np.round(values)) & (np.abs(values) < 2**53)))
    if len(bad):
        raise InputError(
            f"{where}: row {bad[0] + first_row}: {name} is {values[bad[0]]}, not a whole number; correct it"
        )
    return values.astype(np.int64)


def _lacks(where: str, what: str, missing: Sequence[str]) -> str:
    return f"{where} lacks {len(missing)} of the {what}: {listed(missing)}; add them"
