"""The predictions table: a row for each test sample, arm, amount and classifier; written and read here alone."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow
import pyarrow.csv
from numpy.typing import ArrayLike

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import folders, system_errors
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.measures import classification, decisions

FILE = "predictions.csv"
PROBABILITY = "p_"  # before the name of a class, in the last columns
THRESHOLD = "threshold"  # of the positive class of two; "threshold_" before the name of each of more


class Samples(NamedTuple):
    """Test samples: patient, position of the slice in its volume, label, group and site of each, all [n]."""

    patients: np.ndarray
    positions: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None  # None: the patients
    sites: np.ndarray | None = None  # None: not known


@dataclasses.dataclass(frozen=True, eq=False)
class PredictionsTable:
    """The table, as columns; texts are arrays of objects.

    Attributes:
      classes: two or more; labels are indices of them.
      plan: [n] text, such as "hold-out" or "k-fold".
      draw: [n] int64, of the training patients, where a plan draws them repeatedly: the repeat.
      fold: [n] text.
      seed: [n] int64, of the training.
      patient, group, site: [n] text; group is what no split divides, site "" where it is not known.
      sample: [n] int64, number within its patient: position of the slice in its volume.
      label: [n] int64; in the file the name of the class.
      arm: [n] text, such as "smote".
      kind: [n] text, of the arm: "none", "classical", "generative" or "control".
      amount: [n] text, of extra samples, as the report shows it; "" for an arm that has no amounts to choose from.
      classifier: [n] text, such as "cnn".
      chosen: [n] bool, whether validation patients chose this amount; true where there was none to choose.
      validation_loss: [n] float64, log loss of the validation patients of the task (without any, of its inner folds),
        by which pipelines are chosen; NaN where there is none.
      thresholds: [n, classes] float64, by which `decisions.decide` decides; (1 - t, t) of two.
      probabilities: [n, classes] float64.
    """

    classes: Classes
    plan: np.ndarray
    draw: np.ndarray
    fold: np.ndarray
    seed: np.ndarray
    patient: np.ndarray
    group: np.ndarray
    site: np.ndarray
    sample: np.ndarray
    label: np.ndarray
    arm: np.ndarray
    kind: np.ndarray
    amount: np.ndarray
    classifier: np.ndarray
    chosen: np.ndarray
    validation_loss: np.ndarray
    thresholds: np.ndarray
    probabilities: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: np.ndarray) -> PredictionsTable:
        """The rows of a mask [n], or of indices."""
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in COLUMNS}
        return dataclasses.replace(self, **columns)

    def select(self, **wanted) -> PredictionsTable:
        """The rows in which columns have the wanted values, such as select(arm="smote", classifier="cnn")."""
        rows = np.ones(len(self), bool)
        for name, value in wanted.items():
            rows &= getattr(self, name) == value
        return self.take(rows)

    def split(self, *names: str) -> Iterator[tuple[tuple, PredictionsTable]]:
        """The values of some columns, and the rows that have them, in the order in which they first come."""
        rows_of: dict[tuple, list[int]] = {}
        for row, key in enumerate(zip(*(getattr(self, name).tolist() for name in names))):
            rows_of.setdefault(key, []).append(row)
        for key, rows in rows_of.items():
            yield key, self.take(np.array(rows))

    def replace(self, **columns) -> PredictionsTable:
        """Another table with some columns replaced, by [n] values or by one for all rows."""
        made: dict[str, Any] = {name: _column(name, value, len(self)) for name, value in columns.items()}
        return dataclasses.replace(self, **made)

    def by_patient(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sorted ids, labels and probabilities [patients, classes] of the patients, of a table of one network."""
        return classification.by_patient(self.patient, self.label, self.probabilities)


COLUMNS = tuple(field.name for field in dataclasses.fields(PredictionsTable) if field.name != "classes")
_NUMBERS = ("draw", "seed", "sample", "label")
_MATRICES = ("thresholds", "probabilities")
_TEXTS = tuple(name for name in COLUMNS if name not in (*_NUMBERS, *_MATRICES, "chosen", "validation_loss"))
# Columns that a file may lack, and what is then meant; group is the patient.
_DEFAULTS = {"plan": "hold-out", "draw": 0, "fold": "0", "seed": 0, "site": "", "validation_loss": np.nan}
_IN_FILE = COLUMNS[:-2]


def rows(
    samples: Samples,
    probabilities: ArrayLike,
    *,
    classes: Classes,
    arm: str,
    kind: str,
    classifier: str,
    amount: str = "",
    chosen: bool = True,
    validation_loss: float = np.nan,
    thresholds: ArrayLike | None = None,
    plan: str = "hold-out",
    draw: int = 0,
    fold: str = "0",
    seed: int = 0,
) -> PredictionsTable:
    """A row for each sample.

    Args:
      samples: of the test patients.
      probabilities: [n, classes] in [0, 1]; ValueError for another shape.
      classes, arm, kind, classifier, amount, chosen, validation_loss, plan, draw, fold, seed: as `PredictionsTable`
        has them.
      thresholds: [classes], or [n, classes]; None for `decisions.even`.

    """
    n, p = len(samples.labels), np.asarray(probabilities, np.float64)
    if p.shape != (n, classes.count):
        raise ValueError(f"probabilities have shape {p.shape}; give [{n}, {classes.count}]")
    t = decisions.even(classes.count) if thresholds is None else np.asarray(thresholds, np.float64)
    columns = {
        "plan": plan,
        "draw": draw,
        "fold": fold,
        "seed": seed,
        "patient": samples.patients,
        "group": samples.patients if samples.groups is None else samples.groups,
        "site": "" if samples.sites is None else samples.sites,
        "sample": samples.positions,
        "label": samples.labels,
        "arm": arm,
        "kind": kind,
        "amount": amount,
        "classifier": classifier,
        "chosen": chosen,
        "validation_loss": validation_loss,
        "thresholds": np.broadcast_to(t, p.shape),
        "probabilities": p,
    }
    return PredictionsTable(classes, **{name: _column(name, value, n) for name, value in columns.items()})


def join(tables: Sequence[PredictionsTable]) -> PredictionsTable:
    """The rows of one or more tables of the same classes."""
    parts = {name: np.concatenate([getattr(table, name) for table in tables]) for name in COLUMNS}
    return dataclasses.replace(tables[0], **parts)


def write(path: Path, table: PredictionsTable) -> None:
    """Writes the table, whole or not at all; numbers have all their digits."""
    names = table.classes.names
    columns: dict[str, np.ndarray] = {name: getattr(table, name) for name in _IN_FILE}
    columns["label"] = np.array(names, object)[table.label]
    columns["chosen"] = table.chosen.astype(np.int8)
    if len(names) == 2:
        columns[THRESHOLD] = table.thresholds[:, 1]
    else:
        columns |= {f"{THRESHOLD}_{name}": column for name, column in zip(names, table.thresholds.T)}
    columns |= {PROBABILITY + name: column for name, column in zip(names, table.probabilities.T)}
    arrays = pyarrow.table({name: pyarrow.array(column, _type(name)) for name, column in columns.items()})
    plain = not any(set(text) & set(',"\r\n') for name in _TEXTS for text in set(columns[name]))
    with folders.whole(path) as temporary, temporary.open("wb") as file:
        file.write((",".join(columns) + "\n").encode())  # arrow would quote every name, and every text if any
        options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none" if plain else "needed")
        pyarrow.csv.write_csv(arrays, file, options)


def read(path: Path) -> PredictionsTable:
    """Reads the table; the order of the columns of probabilities is that of the labels.

    Raises:
      InputError: it is missing, damaged or of another version.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header = next(csv.reader(file), [])
        classes = Classes.of(name[len(PROBABILITY) :] for name in header if name.startswith(PROBABILITY))
        options = pyarrow.csv.ConvertOptions(column_types={name: _type(name, stored=True) for name in header})
        return _of_file(pyarrow.csv.read_csv(path, convert_options=options), classes)
    except (OSError, ValueError, KeyError, TypeError) as error:
        system_errors.raise_of_drive(error)
        raise InputError(
            f"{path} is no table of predictions ({type(error).__name__}: {error}); delete {path.parent} to redo it"
        ) from error


def _type(name: str, stored: bool = False) -> pyarrow.DataType:
    """Type of a column; in a file equal texts are read as one."""
    if name in _TEXTS or name == "label":
        return pyarrow.dictionary(pyarrow.int32(), pyarrow.string()) if stored else pyarrow.string()
    return pyarrow.int8() if name == "chosen" else pyarrow.int64() if name in _NUMBERS else pyarrow.float64()


def _of_file(file: pyarrow.Table, classes: Classes) -> PredictionsTable:
    n, stored = file.num_rows, {name: _values(file.column(name)) for name in file.column_names}
    values: dict[str, Any] = {**_DEFAULTS, "group": stored["patient"], **stored}
    values["label"] = np.array([classes.names.index(name) for name in values["label"]], np.int64)
    values["chosen"] = values["chosen"] == 1
    if classes.count == 2:
        values["thresholds"] = decisions.two_columns(values[THRESHOLD])
    else:
        values["thresholds"] = _matrix(values, f"{THRESHOLD}_", classes)
    values["probabilities"] = _matrix(values, PROBABILITY, classes)
    return PredictionsTable(classes, **{name: _column(name, values[name], n) for name in COLUMNS})


def _values(column: pyarrow.ChunkedArray) -> np.ndarray:
    if not pyarrow.types.is_dictionary(column.type):
        return column.to_numpy()
    texts = column.unify_dictionaries().combine_chunks()
    return np.array(texts.dictionary.to_pylist(), object)[texts.indices.to_numpy(zero_copy_only=False)]


def _matrix(values: dict[str, np.ndarray], prefix: str, classes: Classes) -> np.ndarray:
    return np.stack([values[prefix + name] for name in classes.names], axis=1)


def _column(name: str, values, n: int) -> np.ndarray:
    """A column of the table, [n] or [n, classes], from values or from one for all rows."""
    if name in _MATRICES:
        return np.array(values, np.float64)
    if name not in _TEXTS:
        kind = {"chosen": bool, "validation_loss": np.float64}.get(name, np.int64)
        return np.broadcast_to(np.asarray(values).astype(kind), (n,)).copy()
    if isinstance(values, str):
        return np.full(n, values, object)
    same: dict[str, str] = {}
    column = np.empty(n, object)
    column[:] = [same.setdefault(text, text) for text in map(str, np.asarray(values, object).tolist())]
    return column
