"""How good the samples of generators were, over the tasks of a study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from rembrandt_featgen.classification import classifier_kinds
from rembrandt_featgen.evaluation.predictions import PredictionsTable


def generator_rows(measured: Sequence[Mapping[str, Mapping]]) -> list[dict]:
    """Measures of each generative arm: mean and deviation over the tasks in which there were samples of each class.

    Args:
      measured: of each task, by features and arm ("maps/acgan"), see `generator_measures.measure`.

    Returns:
      Rows as report.json holds them, with "arm", "features" and "folds", the number of tasks.
    """
    by_name: dict[str, list[Mapping]] = {}
    for task in measured:
        for name, figures in task.items():
            by_name.setdefault(name, []).append(figures)
    rows = []
    for full_name, each in by_name.items():
        features, arm = full_name.split("/")
        row: dict = {"arm": arm, "features": features, "folds": len(each)}
        for name, first in each[0].items():
            values = [one[name] for one in each]
            if name == "memorisation":
                row[name] = _memorisation(values)
            elif isinstance(first, dict):
                row[name] = {key: _mean(known([value[key] for value in values])) for key in first}
            else:  # None where a fold had too few features or test slices for it
                numbers = known(values)
                row |= (
                    {name: float(numbers.mean()), f"{name}_sd": float(numbers.std())}
                    if len(numbers)
                    else {name: np.nan}
                )
        rows.append(row)
    return rows


def warnings_of(rows: Sequence[Mapping], table: PredictionsTable, tasks: int) -> list[str]:
    """A line for each generative arm that lacked a class in some tasks, or in all of them.

    Args:
      rows: of `generator_rows`.
      table: predictions of the study, which say what competed.
      tasks: their number.
    """
    measured = {(row["features"], row["arm"]): row["folds"] for row in rows}
    for (classifier, arm, kind), _ in table.split("classifier", "arm", "kind"):
        if kind == "generative":
            measured.setdefault(("maps" if classifier_kinds.kind_of(classifier).of_maps else "vectors", arm), 0)
    return [
        f"{arm} has {features} of one class only, or none, in {tasks - count} of {tasks} folds: "
        + ("its measures are over the others." if count else "nothing is measured of them.")
        for (features, arm), count in measured.items()
        if count < tasks
    ]


def known(values: Sequence[float | None]) -> np.ndarray:
    """The numbers among measures of folds: JSON has None where a measure was NaN."""
    numbers = np.array(values, float)
    return numbers[np.isfinite(numbers)]


def _mean(numbers: np.ndarray) -> float:
    return float(np.mean(numbers)) if len(numbers) else np.nan


def _median(numbers: np.ndarray) -> float:
    return float(np.median(numbers)) if len(numbers) else np.nan


def _memorisation(audits: Sequence[dict]) -> dict:
    """The audits of all folds as one: flagged where most folds are."""

    def of_folds(name: str) -> np.ndarray:
        return known([audit.get(name) for audit in audits])

    copied: Counter = Counter()
    for audit in audits:
        copied.update(audit["copied_patients"])
    return {
        "memorised": sum(audit["memorised"] for audit in audits) * 2 > len(audits),
        "folds_flagged": sum(audit["memorised"] for audit in audits),
        "folds": len(audits),
        "p_value": _median(of_folds("p_value")),
        "nearest_ratio_median": _median(of_folds("median_ratio")),
        "share_below_1_percent": _mean(of_folds("share_nearer_1")),
        "share_across_classes": _mean(of_folds("share_across_1")),
        "most_copied": [list(entry) for entry in copied.most_common(5)],
    }
