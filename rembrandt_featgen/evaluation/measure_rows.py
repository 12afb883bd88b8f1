"""One row of a table of measures, as report.json holds it: measures and intervals, with names of classes as keys."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.measures import classification
from rembrandt_featgen.measures.bootstrap import Estimate


def measure_row(
    head: Mapping, unit: str, *, labels: np.ndarray, estimates: Mapping[str, Estimate], classes: Classes
) -> dict:
    """A row of the measures of one arm.

    Args:
      head: what identifies the row; comes first.
      unit: "slice" or "patient", what is counted.
      labels: [n] of what is counted.
      estimates: of `classification.names`, with their intervals.
      classes: of the run.

    Returns:
      {**head, "unit", "n": {<class>: count}, "accuracy": {<class>: , "total": }, <other measures>, "ci95": {<measure>:
      (low, high)}}, where ci95 names the accuracies accuracy_<class> and accuracy_total. Of more than two classes there
      are also "auroc_by_class" and "auprc_by_class": {<class>: value}, which ci95 names auroc_by_class.<class>.
    """
    keys = {name: ("accuracy", shown) for name, shown in zip(recall_keys(classes), classes.names)}
    keys = {name: keys[name] for name in sorted(keys, key=lambda name: keys[name][1] != classes.positive)}
    keys["accuracy"] = ("accuracy", "total")
    if classes.count > 2:
        for measure in ("auroc", "auprc"):
            for label, name in enumerate(classes.names):
                keys[classification.of_class(measure, label)] = (f"{measure}_by_class", name)
    grouped: dict[str, dict[str, float]] = {}
    intervals = {}
    for measure, (group, name) in keys.items():
        grouped.setdefault(group, {})[name] = estimates[measure].value
    for measure, estimate in estimates.items():
        group, name = keys.get(measure, (measure, ""))
        key = f"{group}_{name}" if group == "accuracy" else f"{group}.{name}" if name else measure
        intervals[key] = estimate.interval
    others = {name: estimate.value for name, estimate in estimates.items() if name not in keys}
    return {**head, "unit": unit, "n": count_by_class(labels, classes), **grouped, **others, "ci95": intervals}


def recall_keys(classes: Classes) -> list[str]:
    """Key of the recall of each class in `classification.measures`, by label."""
    if classes.count == 2:
        return ["specificity", "sensitivity"]
    return [classification.of_class("recall", label) for label in range(classes.count)]


def count_by_class(labels: np.ndarray, classes: Classes) -> dict[str, int]:
    """How many of `labels` are of each class."""
    return {name: int(np.sum(labels == label)) for label, name in enumerate(classes.names)}
