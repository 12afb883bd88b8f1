"""How good the samples of generators were, over the tasks of a study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np


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
                row[name] = {key: float(np.mean([value[key] for value in values])) for key in first}
            else:  # None where a fold had too few features or test slices for it
                numbers = np.array(values, float)
                numbers = numbers[np.isfinite(numbers)]
                row |= (
                    {name: float(numbers.mean()), f"{name}_sd": float(numbers.std())}
                    if len(numbers)
                    else {name: np.nan}
                )
        rows.append(row)
    return rows


def _memorisation(audits: Sequence[dict]) -> dict:
    """The audits of all folds as one: flagged where most folds are."""

    def known(name: str) -> list[float]:
        return [audit[name] for audit in audits if audit[name] is not None] or [np.nan]

    copied: Counter = Counter()
    for audit in audits:
        copied.update(audit["copied_patients"])
    return {
        "memorised": sum(audit["memorised"] for audit in audits) * 2 > len(audits),
        "folds_flagged": sum(audit["memorised"] for audit in audits),
        "folds": len(audits),
        "p_value": float(np.median(known("p_value"))),
        "nearest_ratio_median": float(np.median(known("median_ratio"))),
        "share_below_1_percent": float(np.mean(known("share_nearer_1"))),
        "most_copied": [list(entry) for entry in copied.most_common(5)],
    }
