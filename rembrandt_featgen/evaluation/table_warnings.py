"""What is suspicious about a table of features before anything is trained."""

from __future__ import annotations

import numpy as np

from rembrandt_featgen.features.tables import FeatureTable, twins

_ENOUGH = 10  # patients of each class, from which on a column that tells classes apart without error is no chance
_NAMED = 3


def warnings_of(table: FeatureTable) -> list[str]:
    """Lines for the report: patients with the same numbers under two names, and columns that copy the label.

    Args:
      table: of all patients, vectors or maps.
    """
    lines = []
    pairs = twins(table)
    if pairs:
        shown = "; ".join(" and ".join(pair) for pair in pairs[:_NAMED])
        lines.append(
            f"{len(pairs)} pair{'s' * (len(pairs) != 1)} of patients have the same numbers ({shown}"
            f"{', ...' * (len(pairs) > _NAMED)}): a patient under two names leaks from training into the test. Give "
            "them one group."
        )
    perfect = [] if table.is_map else _separating(table)
    if perfect:
        shown = ", ".join(perfect[:_NAMED])
        lines.append(
            f"Column{'s' * (len(perfect) != 1)} {shown}{', ...' * (len(perfect) > _NAMED)} alone "
            f"tell{'s' * (len(perfect) == 1)} the classes apart without an error: is it a copy of the label?"
        )
    return lines


def _separating(table) -> list[str]:
    """Columns in which the values of each class lie in a range of their own."""
    counts = np.bincount(table.labels, minlength=table.classes.count)
    if counts.min() < _ENOUGH:
        return []
    parts = [table.values[table.labels == label] for label in range(table.classes.count)]
    low = np.stack([np.nanmin(np.where(np.isnan(part), np.inf, part), 0) for part in parts])
    high = np.stack([np.nanmax(np.where(np.isnan(part), -np.inf, part), 0) for part in parts])
    order = np.argsort(low, axis=0)
    low, high = np.take_along_axis(low, order, 0), np.take_along_axis(high, order, 0)
    apart = (high[:-1] < low[1:]).all(0) & np.isfinite(low).all(0)
    return [name for name, one in zip(table.names, apart) if one]
