"""The predictions table: a row for each test sample, arm, amount and classifier; written and read here alone."""

from __future__ import annotations

import csv
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.measures import classification, decisions

FILE = "predictions.csv"
PROBABILITY = "p_"  # before the name of a class, in the last columns
THRESHOLD = "threshold"  # of the positive class of two; "threshold_" before the name of each of more
_BLOCK = 50_000  # rows that are text at a time


class Samples(NamedTuple):
    """Test samples: patient, position of the slice in its volume, label, group and site of each, all [n]."""

    patients: np.ndarray
    positions: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None  # None: the patients
    sites: np.ndarray | None = None  # None: not known


@dataclasses.dataclass(frozen=True, eq=False)
class PredictionsTable:
    """The table, as columns; texts are arrays of objects, one object for equal texts.

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
      chosen: [n] bool, whether the validation patients chose this amount; true where there was none to choose.
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
    thresholds: np.ndarray
    probabilities: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: np.ndarray) -> PredictionsTable:
        """The rows of a mask [n], or of indices."""
        return dataclasses.replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})

    def select(self, **wanted) -> PredictionsTable:
        """The rows in which columns have the wanted values, such as select(arm="smote", classifier="cnn")."""
        rows = np.ones(len(self), bool)
        for name, value in wanted.items():
            rows &= getattr(self, name) == value
        return self.take(rows)

    def unique(self, name: str) -> list:
        """The values of a column, each once, in the order in which they first come."""
        return list(dict.fromkeys(getattr(self, name).tolist()))

    def split(self, *names: str) -> Iterator[tuple[tuple, PredictionsTable]]:
        """The values of some columns, and the rows that have them, in the order in which they first come."""
        rows_of: dict[tuple, list[int]] = {}
        for row, key in enumerate(zip(*(getattr(self, name).tolist() for name in names))):
            rows_of.setdefault(key, []).append(row)
        for key, rows in rows_of.items():
            yield key, self.take(np.array(rows))

    def replace(self, **columns) -> PredictionsTable:
        """Another table with some columns replaced, by [n] values or by one for all rows."""
        return dataclasses.replace(self, **{name: _column(name, value, len(self)) for name, value in columns.items()})

    def by_patient(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sorted ids, labels and probabilities [patients, classes] of the patients, of a table of one network."""
        return classification.by_patient(self.patient, self.label, self.probabilities)


COLUMNS = tuple(field.name for field in dataclasses.fields(PredictionsTable) if field.name != "classes")
_NUMBERS = ("draw", "seed", "sample", "label")
_MATRICES = ("thresholds", "probabilities")
_TEXTS = tuple(name for name in COLUMNS if name not in (*_NUMBERS, *_MATRICES, "chosen"))
# Columns that a file may lack, and what is then meant; group is the patient.
_DEFAULTS = {"plan": "hold-out", "draw": "0", "fold": "0", "seed": "0", "group": None, "site": ""}
_IN_FILE = COLUMNS[:-2]  # before thresholds and probabilities


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
    thresholds: ArrayLike | None = None,
    plan: str = "hold-out",
    draw: int = 0,
    fold: str = "0",
    seed: int = 0,
) -> PredictionsTable:
    """A row for each sample.

    Args:
      samples: of the test patients.
      probabilities: [n, classes] in [0, 1].
      classes, arm, kind, classifier, amount, chosen, plan, draw, fold, seed: as `PredictionsTable` has them.
      thresholds: [classes], or [n, classes]; None for `decisions.even`.

    Raises:
      ValueError: probabilities are not [n, classes].
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
        "thresholds": np.broadcast_to(t, p.shape),
        "probabilities": p,
    }
    return PredictionsTable(classes, **{name: _column(name, value, n) for name, value in columns.items()})


def join(tables: Sequence[PredictionsTable]) -> PredictionsTable:
    """The rows of one or more tables of the same classes."""
    parts = {name: np.concatenate([getattr(table, name) for table in tables]) for name in COLUMNS}
    return dataclasses.replace(tables[0], **parts)


def write(path: Path, table: PredictionsTable) -> None:
    """Writes the table; numbers have all their digits."""
    names = table.classes.names
    of_two = len(names) == 2
    thresholds = [THRESHOLD] if of_two else [f"{THRESHOLD}_{name}" for name in names]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*_IN_FILE, *thresholds, *(PROBABILITY + name for name in names)])
        for start in range(0, len(table), _BLOCK):
            block = table.take(np.arange(start, min(start + _BLOCK, len(table))))
            columns = {name: getattr(block, name).tolist() for name in _IN_FILE}
            columns["label"] = [names[label] for label in columns["label"]]
            columns["chosen"] = [int(chosen) for chosen in columns["chosen"]]
            matrices = (block.thresholds[:, 1:] if of_two else block.thresholds, block.probabilities)
            numbers = [column.tolist() for matrix in matrices for column in matrix.T]
            writer.writerows(zip(*columns.values(), *numbers))


def read(path: Path) -> PredictionsTable:
    """Reads the table; the order of the columns of probabilities is that of the labels.

    Raises:
      InputError: it is missing, damaged or of another version.
    """
    try:
        with path.open(newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            classes = Classes.of(name[len(PROBABILITY) :] for name in header if name.startswith(PROBABILITY))
            blocks = iter(lambda: list(itertools.islice(reader, _BLOCK)), [])
            parts = [_parsed(dict(zip(header, zip(*block, strict=True))), classes, len(block)) for block in blocks]
            return join(parts or [_parsed(dict.fromkeys(header, ()), classes, 0)])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is no table of predictions ({type(error).__name__}: {error}); delete {path.parent} to redo it"
        ) from error


def _parsed(texts: dict[str, Sequence[str]], classes: Classes, n: int) -> PredictionsTable:
    labels = {name: label for label, name in enumerate(classes.names)}
    values: dict = {}
    for name in _IN_FILE:
        values[name] = texts[name] if name in texts or name not in _DEFAULTS else _DEFAULTS[name]
    values["group"] = values["patient"] if values["group"] is None else values["group"]
    values["label"] = [labels[name] for name in values["label"]]
    values["chosen"] = [text == "1" for text in values["chosen"]]
    if classes.count == 2:
        values["thresholds"] = decisions.two_columns(np.array(texts[THRESHOLD], float))
    else:
        values["thresholds"] = _matrix(texts, f"{THRESHOLD}_", classes)
    values["probabilities"] = _matrix(texts, PROBABILITY, classes)
    return PredictionsTable(classes, **{name: _column(name, value, n) for name, value in values.items()})


def _matrix(texts: dict[str, Sequence[str]], prefix: str, classes: Classes) -> np.ndarray:
    return np.stack([np.array(texts[prefix + name], np.float64) for name in classes.names], axis=1)


def _column(name: str, values, n: int) -> np.ndarray:
    """A column of the table, [n] or [n, classes], from values or from one for all rows."""
    if name in _MATRICES:
        return np.array(values, np.float64)
    if name not in _TEXTS:
        return np.broadcast_to(np.asarray(values).astype(bool if name == "chosen" else np.int64), (n,)).copy()
    if isinstance(values, str):
        return np.full(n, values, object)
    same: dict[str, str] = {}
    column = np.empty(n, object)
    column[:] = [same.setdefault(text, text) for text in map(str, np.asarray(values, object).tolist())]
    return column
