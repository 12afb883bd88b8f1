"""Columns that say nothing of a sample, or nothing that another does not say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features.table_files import repeated


def informative(
    values: np.ndarray, names: Sequence[str], where: str
) -> tuple[np.ndarray, list[str], dict[str, tuple[str, ...]]]:
    """The columns of vectors that are not constant, empty or the same as one before.

    Args:
      values: [n, d] float32, NaN where missing.
      names: of the columns.
      where: for messages.

    Returns:
      Their values and names; and the names of the others, by reason.

    Raises:
      InputError: no column is left, or two different ones have one name.
    """
    reasons: dict[str, list[str]] = {"as all values are missing": [], "as they are constant": []}
    reasons["as they are the same as another"] = []
    empty, constant, same = reasons.values()
    kept, seen = [], set()
    for number, name in enumerate(names):
        column = values[:, number] + 0.0  # -0 becomes 0
        some = column[~np.isnan(column)]
        content = np.where(np.isnan(column), np.float32(np.nan), column).tobytes()
        if not len(some):
            empty.append(name)
        elif some.min() == some.max():
            constant.append(name)
        elif content in seen:
            same.append(name)
        else:
            kept.append(number)
            seen.add(content)
    twice = repeated([names[number] for number in kept])
    if twice:
        raise InputError(f"{where}: two columns of different values are named {twice[0]!r}; rename one of them")
    if not kept:
        raise InputError(f"{where}: no column of features has two different values; give features that vary")
    left_out = {why: tuple(columns) for why, columns in reasons.items() if columns}
    return values[:, kept], [names[number] for number in kept], left_out
