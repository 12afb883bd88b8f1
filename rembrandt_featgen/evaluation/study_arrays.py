"""Arrays, Series and DataFrames that `evaluate` is given: what is refused of them, and why."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse

from rembrandt_featgen.evaluation.arms import ARMS, ORACLE, SYNTHETIC

_FEW = 10  # distinct values of a y of fractions that may still be names of classes


def numbers_of(X: ArrayLike) -> np.ndarray:
    """X as float32; ValueError where it is sparse, or names the column that is empty, infinite or not of numbers."""
    if sparse.issparse(X):
        raise ValueError("X is sparse; give a dense array: X.toarray()")
    try:
        with np.errstate(over="ignore"):
            values = np.asarray(X, np.float32)
    except (TypeError, ValueError):
        columns = np.asarray(X, object)
        if columns.ndim != 2:
            raise
        names = getattr(X, "columns", range(columns.shape[1]))
        for name, column in zip(names, columns.T):
            for value in column:
                if not _is_number(value):
                    raise ValueError(
                        f"X: column {name!r} holds {value!r}, not a number; encode it as numbers (NaN where missing), "
                        "or leave it out"
                    ) from None
        raise
    infinite = np.argwhere(np.isinf(values))
    if values.ndim != 2:
        if len(infinite):
            raise ValueError(f"X is infinite in sample {infinite[0][0]}; give finite numbers")
        return values
    names = getattr(X, "columns", range(values.shape[1]))
    if len(infinite):
        row, column = infinite[0]
        raise ValueError(
            f"X: column {names[column]!r} is infinite, or too large for float32, in row {row}; give a finite number, "
            "or NaN where it is missing"
        )
    empty = np.flatnonzero(np.isnan(values).all(axis=0))
    if len(values) and len(empty):
        raise ValueError(f"X: column {names[empty[0]]!r} has no value at all; leave it out")
    return values


def check_columns(X: ArrayLike, columns: Mapping[str, ArrayLike | None]) -> None:
    """Checks what belongs to the rows of X.

    Args:
      X: array or DataFrame.
      columns: by name, such as "y"; None where not given.

    Raises:
      ValueError: y is None; a column is no [n] of the length of X, has missing values, or is indexed by other labels
        than X or a column before it. Rows are never aligned: that of the same place are of the same sample.
    """
    whose, index, n = "X", getattr(X, "index", None), np.shape(X)[:1]
    for name, column in columns.items():
        if column is None and name == "y":
            raise ValueError("y is None; give the label of a class for each sample")
        if column is None:
            continue
        if np.ndim(column) != 1:
            hint = "; of one-hot columns give the names of the classes, or argmax(axis=1)" if name == "y" else ""
            raise ValueError(f"{name} must be [n], one value for each sample, received {list(np.shape(column))}{hint}")
        if pd.isna(np.asarray(column, object)).any():
            raise ValueError(f"{name} has missing values; fill them in, or leave those samples out")
        labels = getattr(column, "index", None)
        if not isinstance(labels, pd.Index):
            continue
        if isinstance(index, pd.Index):
            _check_index(index, labels, whose=whose, name=name)
        else:
            whose, index = name, labels
    for name, column in columns.items():
        if column is not None and np.shape(column) != n:
            raise ValueError(f"{name} has {np.shape(column)[0]} values, and X has {n[0]} samples; give one for each")


def check_classes(y: ArrayLike) -> None:
    """ValueError where labels are of one class, or numbers that are measured rather than names of classes."""
    labels = np.asarray(y)
    if labels.ndim == 1 and len(set(labels.tolist())) < 2:
        held = f"one class, {labels[0]}" if len(labels) else "no sample"
        raise ValueError(f"y holds {held}; give samples of two classes or more")
    if labels.dtype.kind != "f":
        return
    distinct = len(np.unique(labels))
    if distinct > _FEW and ((labels != np.round(labels)).any() or 2 * distinct > len(labels)):
        raise ValueError(
            f"y looks continuous: {distinct} distinct numbers in {len(labels)} samples; give the label of a class for "
            "each, such as y > 0.5"
        )


def names_of(given: Sequence[str]) -> tuple[str, ...]:
    """Names; a text alone is one name."""
    return (given,) if isinstance(given, str) else tuple(given)


def check_names(name: str, given: Sequence[str], known: Collection[str], base=str) -> None:
    """ValueError for the first of some names that is unknown, with the one that may be meant; or where none is given.

    Args:
      name: of the argument.
      given: its values.
      known: what it takes.
      base: what of a value has to be known.
    """
    fix = f"give some of {', '.join(known)}"
    if not len(given):
        raise ValueError(f"{name}: none is given; {fix}")
    for one in given:
        if base(one) not in known:
            near = difflib.get_close_matches(base(one), known, n=1)
            raise ValueError(f"{name}: {one!r} is unknown{f', is {near[0]!r} meant?' if near else ''}; {fix}")


def check_counts(folds: int, trainings: int, bootstrap_draws: int) -> None:
    """ValueError where one of them is too small to make a study."""
    for name, value, least in (
        ("folds", folds, 2),
        ("trainings", trainings, 1),
        ("bootstrap_draws", bootstrap_draws, 2),
    ):
        if value < least:
            raise ValueError(f"{name}={value}: {name} must be {least} or more")


def check_fed(left_out: Sequence[str]) -> None:
    """ValueError for the first arm for which arrays alone do not suffice, with where it is to be had."""
    for name in left_out:
        arm = ARMS[name]
        if arm.inputs != "features":
            what = "learns from clinical columns, which stages.evaluate_features takes by --covariates"
        elif name == SYNTHETIC:
            what = "adds samples of a file, which stages.evaluate_features takes by --synthetic"
        elif name == ORACLE:
            what = "adds real patients in reserve, whom stages.fewshot keeps"
        else:
            what = "adds samples that are made of volumes, in studies of stages.crossvalidate"
        raise ValueError(f"arms: {name!r} {what}; leave it out here")


def _is_number(value) -> bool:
    try:
        np.float32(value)
    except (TypeError, ValueError):
        return False
    return True


def _check_index(index: pd.Index, labels: pd.Index, *, whose: str, name: str) -> None:
    if index.equals(labels):
        return
    if len(index) == len(labels) and index.isin(labels).all() and labels.isin(index).all():
        raise ValueError(
            f"the index of {name} has the labels of that of {whose} in another order; give {name}.loc[{whose}.index], "
            f"or {name}.to_numpy() if the rows are in the same order all the same"
        )
    raise ValueError(
        f"the index of {name} ({len(labels)} rows) has other labels than that of {whose} ({len(index)} rows); select "
        f"the same rows of both, or give {name}.to_numpy() if the rows are in the same order all the same"
    )
