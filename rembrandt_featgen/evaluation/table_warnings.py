"""What is suspicious about a table of features before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.neighbors import NearestNeighbors

from rembrandt_featgen.features.tables import FeatureTable, twins

_ENOUGH = 10  # patients of each class, from which on a column that tells classes apart without error is no chance
_FEW = 3  # of each class, from which on one that has a single value in each class is none
_NAMED = 3
_MANY = 0.5  # components by training samples
_NEAR, _COLUMNS = 0.01, 5  # of the median distance to the nearest patient, in that many columns or more


def warnings_of(table: FeatureTable) -> list[str]:
    """Lines for the report: patients with the same numbers under two names, and columns that copy the label.

    Args:
      table: of all patients, vectors or maps.
    """
    lines = []
    same = twins(table)
    near = [pair for pair in near_twins(table) if pair not in same]
    for pairs, how in ((same, "the same"), (near, "nearly the same")):
        if pairs:
            shown = "; ".join(" and ".join(pair) for pair in pairs[:_NAMED])
            lines.append(
                f"{len(pairs)} pair{'s' * (len(pairs) != 1)} of patients have {how} numbers ({shown}"
                f"{', ...' * (len(pairs) > _NAMED)}): a patient under two names leaks from training into the test. "
                "Give them one group."
            )
    perfect = [] if table.is_map else _separating(table)
    if perfect:
        shown = ", ".join(perfect[:_NAMED])
        lines.append(
            f"Column{'s' * (len(perfect) != 1)} {shown}{', ...' * (len(perfect) > _NAMED)} alone "
            f"tell{'s' * (len(perfect) == 1)} the classes apart without an error: is it a copy of the label?"
        )
    return lines


def of_components(components: int, trained: Sequence[int]) -> list[str]:
    """A line where principal components are nearly as many as the samples that they are learnt from; none where not.

    Each is divided by its deviation: the last ones are noise, blown up to the size of the first. Of three radiomics
    tables of 90 to 133 training samples, half as many components changed a tuned ridge's log loss by +0.10, +0.02 and
    +0.03 beside the columns (AUROC by -0.06, -0.03 and +0.01), and as many by +0.13, +0.07 and +0.11 (-0.16, -0.14 and
    -0.04); a quarter as many by +0.02, -0.01 and +0.00.

    Args:
      components: that are kept; 0 keeps the columns.
      trained: numbers of training samples, of each task.
    """
    least = min(trained, default=0)
    if not components or components < _MANY * least:
        return []
    return [
        f"--components={components} of {least} training samples (of fewer in inner folds): where principal components "
        "are half as many as samples or more, the last ones are noise blown up, and probabilities are worse than those "
        "of the columns; take a quarter as many at most, or 0, the columns."
    ]


def near_twins(table: FeatureTable) -> list[tuple[str, str]]:
    """Pairs of patients of different groups who are far nearer than others are, as where values were rounded.

    Args:
      table: of vectors; none are sought among maps, or in fewer than 5 columns, where some are near by chance.
    """
    if table.is_map or len(table) < 3:
        return []
    values = table.values[:, np.isfinite(table.values).any(axis=0)]
    deviation = np.nanstd(values, axis=0)
    varying = np.flatnonzero(deviation > 0)
    if len(varying) < _COLUMNS:
        return []
    values = values[:, varying]
    scaled = np.nan_to_num((values - np.nanmean(values, axis=0)) / deviation[varying])
    most = np.unique(table.groups, return_counts=True)[1].max()  # samples of a group, which may be near each other
    distances, rows = NearestNeighbors(n_neighbors=min(len(table), most + 1)).fit(scaled).kneighbors(scaled)
    foreign = table.groups[rows] != table.groups[:, None]
    known = np.flatnonzero(foreign.any(axis=1))
    first = foreign[known].argmax(axis=1)
    distances, rows = distances[known, first], rows[known, first]
    near = distances < _NEAR * np.median(distances)
    pairs = {tuple(sorted(pair)) for pair in zip(known[near].tolist(), rows[near].tolist())}
    return [(str(table.patients[one]), str(table.patients[two])) for one, two in sorted(pairs)]


def _separating(table) -> list[str]:
    """Columns in which the values of each class lie in a range of their own; of few patients, are one value in each."""
    counts = np.bincount(table.labels, minlength=table.classes.count)
    if counts.min() < _FEW:
        return []
    parts = [table.values[table.labels == label] for label in range(table.classes.count)]
    low = np.stack([np.nanmin(np.where(np.isnan(part), np.inf, part), 0) for part in parts])
    high = np.stack([np.nanmax(np.where(np.isnan(part), -np.inf, part), 0) for part in parts])
    order = np.argsort(low, axis=0)
    alike = (low == high).all(0) | (counts.min() >= _ENOUGH)
    low, high = np.take_along_axis(low, order, 0), np.take_along_axis(high, order, 0)
    apart = (high[:-1] < low[1:]).all(0) & np.isfinite(low).all(0) & alike
    return [name for name, one in zip(table.names, apart) if one]
