"""Arrays, Series and DataFrames that `evaluate` is given: what is refused of them, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse

_FEW = 10  # distinct values of a y of fractions that may still be names of classes


def numbers_of(X: ArrayLike) -> np.ndarray:
    """X as float32; ValueError where it is sparse, or names the column that is not of numbers."""
    if sparse.issparse(X):
        raise ValueError("X is sparse; give a dense array: X.toarray()")
    try:
        return np.asarray(X, np.float32)
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


def check_columns(X: ArrayLike, columns: Mapping[str, ArrayLike | None]) -> None:
    """Checks what belongs to the rows of X.

    Args:
      X: array or DataFrame.
      columns: by name, such as "y"; None where not given.

    Raises:
      ValueError: a column is no [n], has missing values, or is indexed by other labels than X or a column before it.
        Rows are never aligned: that of the same place are of the same sample.
    """
    whose, index = "X", getattr(X, "index", None)
    for name, column in columns.items():
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


def check_classes(y: ArrayLike) -> None:
    """ValueError where labels are numbers that are measured rather than names of classes."""
    labels = np.asarray(y)
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
