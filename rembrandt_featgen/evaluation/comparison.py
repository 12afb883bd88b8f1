"""Rows of Table 3 with intervals over patients, and the paired difference between two arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.evaluation.measure_rows import count_by_class, measure_row, recall_keys
from rembrandt_featgen.measures import bootstrap, classification, decisions
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
    thresholds: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> list[dict]:
    """Two rows of the classification table, one counting slices and one counting patients.

    Args:
      names: what identifies the arm; comes first in both rows.
      patients, labels: [slices] of the test split.
      probabilities: [slices, classes].
      classes: of the run.
      draws, seed: of the bootstrap over groups, which gives both rows their intervals. Where each patient is a group,
        the patient row's class accuracies, proportions of independent patients, have exact (Clopper-Pearson) ones.
      thresholds: [classes], see `decisions.decide`.
      groups: [slices] of patients who are drawn together; None where each is a group.

    Returns:
      Rows as report.json holds them.
    """
    rows, groups = [], patients if groups is None else groups
    for unit in ("slice", "patient"):
        if unit == "patient":
            groups = _of_patients(patients, groups)
            patients, labels, probabilities = classification.by_patient(patients, labels, probabilities)
        arms = {"": OutOfFold(np.asarray(probabilities)[None], thresholds)}
        estimates = bootstrap.bootstrap_arms(labels, arms, draws=draws, seed=seed, patients=groups).arms[""]
        if unit == "patient" and len(np.unique(groups)) == len(patients):
            correct = decisions.decide(probabilities, thresholds) == labels
            members = {key: labels == label for label, key in enumerate(recall_keys(classes))}
            for name, group in {**members, "accuracy": labels >= 0}.items():
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
    thresholds: Sequence[np.ndarray | None] = (None, None),
    groups: np.ndarray | None = None,
) -> dict:
    """Difference of balanced accuracy per patient, with its paired bootstrap interval.

    Args:
      patients, labels: [slices].
      before, after: [slices, classes] probabilities by two arms, for the same slices.
      classes: of the run.
      draws, seed: of the bootstrap.
      thresholds: of both, each [classes], see `decisions.decide`.
      groups: [slices] of patients who are drawn together; None where each is a group.

    Returns:
      measure, unit, difference (after - before), ci95 and patients of each class.
    """
    _, truth, p = classification.by_patient(patients, labels, before)
    q = classification.by_patient(patients, labels, after)[2]
    arms = {"before": OutOfFold(p[None], thresholds[0]), "after": OutOfFold(q[None], thresholds[1])}
    drawn = None if groups is None else _of_patients(patients, groups)
    compared = bootstrap.bootstrap_arms(truth, arms, "before", draws=draws, seed=seed, patients=drawn)
    differences = compared.differences["after"]
    return {
        "measure": "balanced_accuracy",
        "unit": "patient",
        "difference": differences["balanced_accuracy"].value,
        "ci95": differences["balanced_accuracy"].interval,
        "patients": count_by_class(truth, classes),
    }


def _of_patients(patients: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The group of each patient, in the order of `classification.by_patient`."""
    return np.asarray(groups)[np.unique(patients, return_index=True)[1]]


VERDICT_RULE = (
    "Balanced accuracy per test patient (mean log-odds of its slices, threshold 0.5; of more than two classes the one "
    "that is most probable relative to its share in training) of the CNN trained on real and synthetic features, less "
    "that of the CNN trained on real ones alone; 'helped' or 'harmed' is said only if the 95% paired bootstrap "
    "interval over patients, stratified by class, lies wholly above or below 0."
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
