"""The one type in which features of any origin come to the engine: values, and whose they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from rembrandt_featgen.cohort.classes import Classes

_RANKS = {2: "vectors [n, d]", 4: "maps [n, height, width, channels]"}


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of samples, in memory. A sample belongs to a patient, a patient to a group and to a site.

    Attributes:
      values: [n, *shape] float32: vectors [n, d], in which NaN is a missing value, or maps [n, h, w, c] without any.
      labels: [n] int64, index into `classes`. A part of a table need not have a sample of each class.
      patients: [n] str; all samples of a patient have one label.
      groups: [n] str: what is never divided by a split; the patient where nothing else was given.
      sites: [n] str, or None where they are not known.
      samples: [n] int64, number of the sample within its patient.
      names: of the columns of vectors, or of the channels of maps.
      signed: whether a value may be below 0; False after a ReLU.
      classes: their names.
      covariates: clinical columns, none of which is among `values`: [n] float64, NaN where missing, or [n] str, ""
        where missing.

    Raises:
      ValueError: they do not fit each other; a value is infinite; a patient has two labels, two groups or two sites.
    """

    values: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    groups: np.ndarray
    sites: np.ndarray | None
    samples: np.ndarray
    names: tuple[str, ...]
    signed: bool
    classes: Classes
    covariates: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.values.ndim not in _RANKS or self.values.dtype != np.float32:
            raise ValueError(
                f"features must be {' or '.join(_RANKS.values())} of float32, received {self.values.dtype} "
                f"{list(self.values.shape)}"
            )
        self._check_columns()
        self._check_values()
        of_patients = {"label": np.array(self.classes.names)[self.labels], "group": self.groups}
        if self.sites is not None:
            of_patients["site"] = self.sites
        for name, column in of_patients.items():
            _check_one_each(self.patients, column, name)

    def _check_columns(self):
        columns = {"labels": self.labels, "patients": self.patients, "groups": self.groups, "samples": self.samples}
        columns |= {f"covariate {name}": column for name, column in self.covariates.items()}
        if self.sites is not None:
            columns["sites"] = self.sites
        for name, column in columns.items():
            if column.shape != (len(self.values),):
                raise ValueError(f"{name} must be [{len(self.values)}], one a sample, received {list(column.shape)}")
        for name in ("labels", "samples"):
            if getattr(self, name).dtype != np.int64:
                raise ValueError(f"{name} must be int64, received {getattr(self, name).dtype}")
        if len(self.names) != self.values.shape[-1] or len(set(self.names)) < len(self.names):
            raise ValueError(
                f"features need {self.values.shape[-1]} names, each once, for their last axis; received "
                f"{len(self.names)}, {len(set(self.names))} of which differ"
            )
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < self.classes.count:
            raise ValueError(
                f"labels must be from 0 to {self.classes.count - 1} for the classes {', '.join(self.classes.names)}; "
                f"received {self.labels.min()} to {self.labels.max()}"
            )

    def _check_values(self):
        if self.is_map:
            # a sum needs no memory, and of finite float32 numbers it cannot overflow in float64
            if not np.isfinite(self.values.sum(dtype=np.float64)):
                raise ValueError("maps must be finite, and a value is NaN or infinite")
        elif np.isinf(self.values).any():
            raise ValueError("features must be finite, or NaN where they are missing, and a value is infinite")
        if not self.signed and len(self.values) and np.nanmin(self.values, initial=0.0) < 0.0:
            raise ValueError("features that are not signed must be 0 or above, and a value is below 0")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample: (d,) or (height, width, channels)."""
        return self.values.shape[1:]

    @property
    def is_map(self) -> bool:
        """Whether features are maps."""
        return self.values.ndim == 4

    @property
    def kind(self) -> str:
        """Of its features: "maps" or "vectors"."""
        return "maps" if self.is_map else "vectors"

    @property
    def missing(self) -> int:
        """How many values are missing."""
        return 0 if self.is_map else int(np.isnan(self.values).sum())

    @property
    def patient_counts(self) -> dict[str, int]:
        """Number of patients of each class."""
        _, first = np.unique(self.patients, return_index=True)
        counts = np.bincount(self.labels[first], minlength=self.classes.count)
        return dict(zip(self.classes.names, counts.tolist()))

    def take(self, rows: np.ndarray) -> FeatureTable:
        """The samples of some rows: their numbers in any order, also repeated, or [n] bool."""
        return dataclasses.replace(
            self,
            values=self.values[rows],
            labels=self.labels[rows],
            patients=self.patients[rows],
            groups=self.groups[rows],
            sites=None if self.sites is None else self.sites[rows],
            samples=self.samples[rows],
            covariates={name: column[rows] for name, column in self.covariates.items()},
        )


def table_of_arrays(
    values: ArrayLike,
    labels: ArrayLike,
    *,
    classes: Classes,
    patients: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    sites: ArrayLike | None = None,
    samples: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    signed: bool | None = None,
    covariates: Mapping[str, np.ndarray] | None = None,
) -> FeatureTable:
    """A table of arrays of any numeric type; what is not given is filled in.

    Args:
      values: [n, d] or [n, h, w, c].
      labels: [n], index into `classes`.
      classes: their names.
      patients: [n]; by default each sample is a patient of its own.
      groups: [n]; by default the patients.
      sites: [n]; by default not known.
      samples: [n]; by default counted from 0 within each patient.
      names: of the last axis; by default "x0", "x1" and so on.
      signed: by default whether a value is below 0 for maps, and True for vectors.
      covariates: by name, [n] each.

    Raises:
      ValueError: as by `FeatureTable`; a number is too large for float32.
    """
    values = in_float32(values)
    if values.ndim not in _RANKS:
        raise ValueError(f"features must be {' or '.join(_RANKS.values())}, received {list(values.shape)}")
    patients = np.array([f"{number:06d}" for number in range(len(values))] if patients is None else patients, str)
    if signed is None:
        signed = values.ndim == 2 or bool(values.min(initial=0.0) < 0.0)
    return FeatureTable(
        values=values,
        labels=np.asarray(labels, np.int64),
        patients=patients,
        groups=patients if groups is None else np.array(groups, str),
        sites=None if sites is None else np.array(sites, str),
        samples=numbered(patients) if samples is None else np.asarray(samples, np.int64),
        names=tuple(f"x{number}" for number in range(values.shape[-1])) if names is None else tuple(names),
        signed=signed,
        classes=classes,
        covariates=dict(covariates or {}),
    )


def joined(tables: Sequence[FeatureTable]) -> FeatureTable:
    """The samples of several tables of the same columns, classes and covariates; a patient is in one.

    Raises:
      ValueError: names, classes or covariates differ.
    """
    first = tables[0]
    kinds = [(table.names, table.classes, list(table.covariates), table.sites is None) for table in tables]
    if any(kind != kinds[0] for kind in kinds):
        raise ValueError("tables of different columns, classes or covariates cannot be joined")
    columns = ("values", "labels", "patients", "groups", "samples")
    return dataclasses.replace(
        first,
        **{name: np.concatenate([getattr(table, name) for table in tables]) for name in columns},
        sites=None if first.sites is None else np.concatenate([table.sites for table in tables]),
        covariates={name: np.concatenate([table.covariates[name] for table in tables]) for name in first.covariates},
    )


def twins(table: FeatureTable) -> list[tuple[str, str]]:
    """Patients of samples that are the same in all values, but of different groups."""
    first: dict[bytes, int] = {}
    rows = [first.setdefault(values.tobytes(), row) for row, values in enumerate(table.values)]
    pairs = [(other, row) for row, other in enumerate(rows) if table.groups[other] != table.groups[row]]
    return [(str(table.patients[one]), str(table.patients[two])) for one, two in pairs]


def in_float32(values: ArrayLike) -> np.ndarray:
    """Numbers as float32; ValueError for one that is finite and beyond its range."""
    values = np.asarray(values)
    if values.dtype == np.float32:
        return values
    if values.dtype.kind not in "fiub":
        raise ValueError(f"features must be numbers, received {values.dtype}")
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    if values.dtype.kind != "b" and (np.isinf(narrow) & np.isfinite(values)).any():
        raise ValueError("a value is beyond 3.4e38, the range of float32; rescale its column")
    return narrow


def numbered(patients: np.ndarray) -> np.ndarray:
    """[n] int64: number of each sample within its patient, in the order in which they are there."""
    _, first, each = np.unique(patients, return_index=True, return_inverse=True)
    order = np.argsort(each, kind="stable")
    starts = np.searchsorted(each[order], np.arange(len(first)))
    numbers = np.empty(len(patients), np.int64)
    numbers[order] = np.arange(len(patients)) - starts[each[order]]
    return numbers


def _check_one_each(patients: np.ndarray, column: np.ndarray, name: str) -> None:
    """ValueError where a patient has two values in a column."""
    _, first, each = np.unique(patients, return_index=True, return_inverse=True)
    differing = np.flatnonzero(column[first][each] != column)
    if len(differing):
        row = differing[0]
        other = column[first[each[row]]]
        raise ValueError(f"patient {patients[row]} has {name} {other} in one sample and {column[row]} in another")
