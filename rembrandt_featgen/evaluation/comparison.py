"""Rows of Table 3 with intervals over patients, and the paired difference between two arms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rembrandt_featgen.cohort.layouts import GRADES
from rembrandt_featgen.measures import classification, resampling


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
        arm = resampling.Arm(np.asarray(probabilities)[None])
        estimates = resampling.bootstrap_arms(labels, {"": arm}, None, draws, seed, patients).arms[""]
        found = {name: estimate.value for name, estimate in estimates.items()}
        intervals = {name: estimate[1:] for name, estimate in estimates.items()}
        if unit == "patient":
            right = (probabilities > classification.THRESHOLD) == (labels == 1)
            groups = {"HGG": labels == 1, "LGG": labels == 0, "total": labels >= 0}
            for name, members in groups.items():
                intervals[f"accuracy_{name}"] = resampling.exact_interval(right[members].sum(), members.sum())
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

    arms = {"before": resampling.Arm(p[None]), "after": resampling.Arm(q[None])}
    found = resampling.bootstrap_arms(y, arms, "before", draws, seed).differences["after"]["balanced_accuracy"]
    return {
        "measure": "balanced_accuracy",
        "unit": "patient",
        "difference": found.value,
        "ci95": found[1:],
        "patients": {grade: int(np.sum(y == label)) for label, grade in enumerate(GRADES)},
    }


VERDICT_RULE = (
    "Balanced accuracy per test patient (mean log-odds of its slices, threshold 0.5) of the CNN trained on real "
    "and synthetic features, less that of the CNN trained on real ones alone; 'helped' or 'harmed' is said only if the "
    "95% paired bootstrap interval over patients, stratified by grade, lies wholly above or below 0."
)


def verdict(rows: list[Mapping], difference: Mapping) -> str:
    """One plain sentence on whether synthetic features helped, by `VERDICT_RULE`.

    Args:
      rows: of the classification table.
      difference: of the two CNN arms, as made by `difference`.
    """
    cnn = {row["arm"]: row for row in rows if row["classifier"] == "cnn" and row["unit"] == "patient"}
    low, high = difference["ci95"]
    if low is None or not np.isfinite([low, high]).all():
        return "Cannot tell: a grade has fewer than two test patients, so there is no interval for the difference."
    start = "No evidence that synthetic features helped"
    if low > 0:
        start = "Synthetic features helped"
    elif high < 0:
        start = "Synthetic features harmed"
    before, after = (cnn[arm]["balanced_accuracy"] for arm in ("baseline", "augmented"))
    return (
        f"{start}: balanced accuracy per patient went from {before:.2f} to {after:.2f} (difference "
        f"{difference['difference']:+.2f}, 95% interval {low:+.2f} to {high:+.2f}, "
        f"{sum(difference['patients'].values())} test patients)."
    )
