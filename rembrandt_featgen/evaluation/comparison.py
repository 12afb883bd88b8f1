"""Rows of Table 3 with intervals over patients, and the paired difference between two arms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.evaluation.measure_rows import count_by_class, measure_row
from rembrandt_featgen.measures import bootstrap, classification
from rembrandt_featgen.measures.out_of_fold import OutOfFold


def table_rows(
    names: Mapping,
    *,
    patients: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Classes,
    draws: int,
    seed: int,
) -> list[dict]:
    """Two rows of the classification table, one counting slices and one counting patients.

    Args:
      names: what identifies the arm; comes first in both rows.
      patients, labels, probabilities: [slices] of the test split, probabilities of the positive class.
      classes: of the run.
      draws, seed: of the bootstrap over patients, which gives both rows their intervals. The patient row's class
        accuracies, proportions of independent patients, have exact (Clopper-Pearson) ones.

    Returns:
      Rows as report.json holds them.
    """
    rows = []
    for unit in ("slice", "patient"):
        if unit == "patient":
            patients, labels, probabilities = classification.by_patient(patients, labels, probabilities)
        arms = {"": OutOfFold(np.asarray(probabilities)[None])}
        estimates = bootstrap.bootstrap_arms(labels, arms, draws=draws, seed=seed, patients=patients).arms[""]
        if unit == "patient":
            correct = (probabilities > classification.THRESHOLD) == (labels == 1)
            members = {"sensitivity": labels == 1, "specificity": labels == 0, "accuracy": labels >= 0}
            for name, group in members.items():
                low, high = bootstrap.exact_interval(correct[group].sum(), group.sum())
                estimates[name] = estimates[name]._replace(low=low, high=high)
        rows.append(measure_row(names, unit, labels=labels, estimates=estimates, classes=classes))
    return rows


def difference(
    patients: np.ndarray,
    labels: np.ndarray,
    *,
    before: np.ndarray,
    after: np.ndarray,
    classes: Classes,
    draws: int,
    seed: int,
) -> dict:
    """Difference of balanced accuracy per patient, with its paired bootstrap interval.

    Args:
      patients, labels: [slices].
      before, after: [slices] probabilities of the positive class by two arms, for the same slices.
      classes: of the run.
      draws, seed: of the bootstrap.

    Returns:
      measure, unit, difference (after - before), ci95 and patients of each class.
    """
    _, truth, p = classification.by_patient(patients, labels, before)
    q = classification.by_patient(patients, labels, after)[2]
    arms = {"before": OutOfFold(p[None]), "after": OutOfFold(q[None])}
    differences = bootstrap.bootstrap_arms(truth, arms, "before", draws=draws, seed=seed).differences["after"]
    return {
        "measure": "balanced_accuracy",
        "unit": "patient",
        "difference": differences["balanced_accuracy"].value,
        "ci95": differences["balanced_accuracy"].interval,
        "patients": count_by_class(truth, classes),
    }


VERDICT_RULE = (
    "Balanced accuracy per test patient (mean log-odds of its slices, threshold 0.5) of the CNN trained on real "
    "and synthetic features, less that of the CNN trained on real ones alone; 'helped' or 'harmed' is said only if the "
    "95% paired bootstrap interval over patients, stratified by class, lies wholly above or below 0."
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
        return "Cannot tell: a class has fewer than two test patients, so there is no interval for the difference."
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
