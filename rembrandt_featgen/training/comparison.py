"""Rows of Table 3 with intervals over patients, and the paired difference between two arms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rembrandt_featgen.cohort.layouts import GRADES
from rembrandt_featgen.metrics import classification, statistics


def table_rows(
    names: Mapping, patients: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, draws: int, seed: int
) -> list[dict]:
    """Two rows of the classification table, one counting slices and one counting patients.

    Args:
      names: what identifies the arm; stands at the head of both rows.
      patients, labels, probabilities: [slices] of the test split, probabilities of HGG.
      draws, seed: of the bootstrap over patients, which gives both rows their intervals. The patient row's class
        accuracies, proportions of independent patients, have exact (Clopper-Pearson) ones.

    Returns:
      Rows as report.json holds them.
    """
    rows = []
    for unit in ("slice", "patient"):
        if unit == "patient":
            patients, labels, probabilities = classification.by_patient(patients, labels, probabilities)
        found = classification.measures(labels, probabilities)
        intervals = statistics.bootstrap(
            patients,
            labels,
            lambda rows, y=labels, p=probabilities: classification.measures(y[rows], p[rows]),
            draws,
            seed,
        )
        if unit == "patient":
            right = (probabilities > classification.THRESHOLD) == (labels == 1)
            groups = {"HGG": labels == 1, "LGG": labels == 0, "total": labels >= 0}
            for name, members in groups.items():
                intervals[f"accuracy_{name}"] = statistics.exact_interval(right[members].sum(), members.sum())
        accuracy = {name: found.pop(f"accuracy_{name}") for name in ("HGG", "LGG", "total")}
        counts = {grade: int(np.sum(labels == label)) for label, grade in enumerate(GRADES)}
        rows.append({**names, "unit": unit, "n": counts, "accuracy": accuracy, **found, "ci95": intervals})
    return rows


def difference(patients, labels, before: np.ndarray, after: np.ndarray, draws: int, seed: int) -> dict:
    """Difference of balanced accuracy per patient, with its paired bootstrap interval.

    Args:
      patients, labels: [slices].
      before, after: [slices] probabilities of HGG by two arms, for the same slices.
      draws, seed: of the bootstrap.

    Returns:
      measure, unit, difference (after - before), ci95 and patients per grade.
    """
    ids, y, p = classification.by_patient(patients, labels, before)
    q = classification.by_patient(patients, labels, after)[2]

    def gain(rows):
        accuracy = [classification.measures(y[rows], scores[rows])["balanced_accuracy"] for scores in (p, q)]
        return {"difference": accuracy[1] - accuracy[0]}

    return {
        "measure": "balanced_accuracy",
        "unit": "patient",
        **gain(np.arange(len(ids))),
        "ci95": statistics.bootstrap(ids, y, gain, draws, seed)["difference"],
        "patients": {grade: int(np.sum(y == label)) for label, grade in enumerate(GRADES)},
    }
