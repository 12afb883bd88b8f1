"""From the predictions of a study's folds to its table of arms, with intervals and differences over patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.evaluation import contrasts, out_of_fold_runs
from rembrandt_featgen.evaluation.measure_rows import measure_row, recall_keys
from rembrandt_featgen.evaluation.out_of_fold_runs import Run
from rembrandt_featgen.measures import bootstrap, decisions, differences, permutation
from rembrandt_featgen.measures.bootstrap import Estimate
from rembrandt_featgen.measures.differences import Difference
from rembrandt_featgen.measures.power import detection_power


class ArmTable(NamedTuple):
    """Rows of a classifier's arms, as report.json holds them, patients first; and how they differ.

    Attributes:
      rows: of each arm, per patient and per slice.
      gaps: arm to [1 + draws, trainings] of its AUROC per patient less that of the reference, resampled together.
      differences: arm to that difference.
    """

    rows: list[dict]
    gaps: dict[str, np.ndarray]
    differences: dict[str, Difference]


def table(
    runs: Mapping[str, list[Run]],
    kinds: Mapping[str, str],
    *,
    classes: Classes,
    reference: str,
    draws: int,
    seed: int,
    inflation: float | None = None,
) -> ArmTable:
    """The table of arms of a classifier.

    Args:
      runs: arm to its runs; all arms tested the same slices.
      kinds: arm to "none", "classical", "generative" or "control".
      classes: of the study.
      reference: the arm that others are compared with, see `reference_of`.
      draws, seed: of the bootstrap over patients (groups of them, where there are), and of the permutations.
      inflation: for new training patients, see `bootstrap.spread`.

    Returns:
      `ArmTable`. Of one run of a hold-out of independent patients the accuracies are proportions, and have exact
      (Clopper-Pearson) intervals; all else has those of the bootstrap, over new patients and new trainings.
    """
    patient_runs = {arm: [out_of_fold_runs.by_patient(run) for run in each] for arm, each in runs.items()}
    first = patient_runs[reference][0]
    labels, groups = first.labels, first.groups
    trainings = out_of_fold_runs.trainings(patient_runs[reference])
    arms = {arm: out_of_fold_runs.stack(each) for arm, each in patient_runs.items()}
    values = bootstrap.resample(labels, arms, draws=draws, seed=seed, patients=groups)
    gaps = {
        arm: bootstrap.of_trainings(each["auroc"] - values[reference]["auroc"], trainings)
        for arm, each in values.items()
        if arm != reference
    }
    counts = contrasts.group_counts(first)
    of_patients = {
        arm: bootstrap.estimates(each, counts, trainings, inflation=inflation) for arm, each in values.items()
    }
    rows = []
    for arm, estimates in of_patients.items():
        if inflation is None and len(patient_runs[arm]) == 1 and len(np.unique(groups)) == len(groups):
            estimates = _exact(estimates, patient_runs[arm][0], classes)
        row = measure_row(
            {"arm": arm, "kind": kinds[arm]}, "patient", labels=labels, estimates=estimates, classes=classes
        )
        row["p_against_chance"] = _chance(patient_runs[arm], seed)
        row["by_seed"] = [out_of_fold_runs.measures(run)["balanced_accuracy"] for run in patient_runs[arm]]
        rows.append(row)
    first, of_slices = runs[reference][0], of_patients
    if len(first.labels) > len(labels):  # else each patient has one sample
        of_slices = bootstrap.bootstrap_arms(
            first.labels,
            {arm: out_of_fold_runs.stack(each) for arm, each in runs.items()},
            draws=draws,
            seed=seed,
            patients=first.groups,
            trainings=trainings,
            inflation=inflation,
        )
    for arm in runs:
        head = {"arm": arm, "kind": kinds[arm]}
        rows.append(measure_row(head, "slice", labels=first.labels, estimates=of_slices[arm], classes=classes))
    return ArmTable(rows, gaps, {arm: differences.difference(gap, counts) for arm, gap in gaps.items()})


def reference_of(kinds: Mapping[str, str]) -> str:
    """The arm that others are compared with: real samples alone, regularised and decided as the others are.

    It is named by its kind alone, before any result: "none", or the first of kind none, else the first classical one,
    else the first.

    Args:
      kinds: arm to kind, in the order of the table.
    """
    for kind in ("none", "classical"):
        names = [arm for arm, its_kind in kinds.items() if its_kind == kind and arm not in contrasts.BESIDE]
        if names:
            return "none" if "none" in names else names[0]
    return next(iter(kinds))


def balanced_accuracy(
    runs: Sequence[Run], *, draws: int, seed: int, inflation: float | None = None
) -> tuple[float, tuple[float, float]]:
    """Balanced accuracy per patient, mean over runs, and its 95% interval; args as for `table`."""
    patient_runs = [out_of_fold_runs.by_patient(run) for run in runs]
    estimates = out_of_fold_runs.estimates(patient_runs, draws=draws, seed=seed, inflation=inflation)
    return estimates["balanced_accuracy"].value, estimates["balanced_accuracy"].interval


def power(runs: Sequence[Run], patients: int) -> float:
    """`detection_power` of an arm's runs per slice, for a study of that many patients."""
    patient_runs = [out_of_fold_runs.by_patient(run) for run in runs]
    return detection_power(patient_runs[0].labels, out_of_fold_runs.stack(patient_runs), patients)


def _exact(estimates: Mapping[str, Estimate], run: Run, classes: Classes) -> dict[str, Estimate]:
    """The estimates, shares of patients with exact intervals."""
    correct = decisions.decide(run.probabilities, run.thresholds) == run.labels
    members = {key: run.labels == label for label, key in enumerate(recall_keys(classes))}
    exact = dict(estimates)
    for name, group in {**members, "accuracy": run.labels >= 0}.items():
        low, high = bootstrap.exact_interval(correct[group].sum(), group.sum())
        exact[name] = estimates[name]._replace(low=low, high=high)
    return exact


def _chance(runs: Sequence[Run], seed: int) -> float:
    """Two-sided p-value of balanced accuracy per patient against chance.

    Of two classes right and wrong are swapped at random; of more, where they are not equally likely, the labels are.
    """
    labels, decided = runs[0].labels, np.stack([decisions.decide(run.probabilities, run.thresholds) for run in runs])
    if runs[0].probabilities.shape[1] > 2:
        return permutation.label_permutation(labels, decided, seed=seed)
    right = np.mean(decided == labels, axis=0)
    parts = permutation.of_groups((right - 0.5) / np.bincount(labels)[labels], runs[0].groups)
    return permutation.sign_flip(parts, seed=seed)
