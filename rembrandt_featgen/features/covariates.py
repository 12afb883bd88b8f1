"""Clinical columns as numbers, alone or beside the features: what a classifier must go beyond."""

from __future__ import annotations

import dataclasses

import numpy as np

from rembrandt_featgen.features.tables import FeatureTable

INPUTS = ("features", "covariates", "both")


def with_inputs(table: FeatureTable, inputs: str) -> FeatureTable:
    """The table with other numbers for a classifier to learn from.

    Args:
      table: of vectors; with covariates, but for inputs "features".
      inputs: one of `INPUTS`.

    Returns:
      A table of the features, of the covariates, or of both side by side. A covariate of text becomes a column of 0 and
      1 for each of its values, all 0 where it is missing; one of numbers stays as it is, NaN where missing.

    Raises:
      ValueError: there are no covariates, or there is no such input.
    """
    if inputs not in INPUTS or (inputs != "features" and not table.covariates):
        raise ValueError(f"inputs {inputs!r} of a table with covariates {', '.join(table.covariates) or 'none'}")
    if inputs == "features":
        return table
    columns = {} if inputs == "covariates" else dict(zip(table.names, table.values.T))
    for name, column in table.covariates.items():
        if column.dtype.kind == "f":
            columns[f"covariate {name}"] = column
        else:
            columns |= {f"covariate {name}={value}": column == value for value in np.unique(column) if value}
    values = np.stack([np.asarray(column, np.float32) for column in columns.values()], axis=1)
    return dataclasses.replace(table, values=values, names=tuple(columns), signed=True)
