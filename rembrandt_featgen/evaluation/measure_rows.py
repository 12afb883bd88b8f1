"""One row of a table of measures, as report.json holds it: measures and intervals, with names of classes as keys."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.measures.bootstrap import Estimate


def measure_row(
    head: Mapping, unit: str, *, labels: np.ndarray, estimates: Mapping[str, Estimate], classes: Classes
) -> dict:
    """A row of the measures of one arm.

    Args:
      head: what identifies the row; comes first.
      unit: "slice" or "patient", what is counted.
      labels: [n] of what is counted.
      estimates: of `classification.MEASURES`, with their intervals.
      classes: two.

    Returns:
      {**head, "unit", "n": {<class>: count}, "accuracy": {<class>: , "total": }, <other measures>, "ci95": {<measure>:
      (low, high)}}, where ci95 names the accuracies accuracy_<class> and accuracy_total.
    """
    (negative,) = (name for name in classes.names if name != classes.positive)
    shown = {"sensitivity": classes.positive, "specificity": negative, "accuracy": "total"}
    intervals = {
        f"accuracy_{shown[name]}" if name in shown else name: estimate.interval for name, estimate in estimates.items()
    }
    return {
        **head,
        "unit": unit,
        "n": count_by_class(labels, classes),
        "accuracy": {key: estimates[name].value for name, key in shown.items()},
        **{name: estimate.value for name, estimate in estimates.items() if name not in shown},
        "ci95": intervals,
    }


def count_by_class(labels: np.ndarray, classes: Classes) -> dict[str, int]:
    """How many of `labels` are of each class."""
    return {name: int(np.sum(labels == label)) for label, name in enumerate(classes.names)}
