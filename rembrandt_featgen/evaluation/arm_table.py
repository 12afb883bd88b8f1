"""From the predictions of a study's folds to its table of arms, with intervals and differences over patients."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.evaluation import out_of_fold_runs
from rembrandt_featgen.evaluation.measure_rows import measure_row, recall_keys
from rembrandt_featgen.evaluation.out_of_fold_runs import Run
from rembrandt_featgen.measures import bootstrap, decisions, permutation
from rembrandt_featgen.measures.bootstrap import Estimate
from rembrandt_featgen.measures.power import detection_power

VERDICT_RULE = (
    "Balanced accuracy per patient (mean log-odds of its samples, each patient tested once in each repeat and seed, by "
    "a fold that never saw it) of each generative arm, less that of the best arm that is not generative. 'Helped' is "
    "said only if the 95% paired bootstrap interval over patients, stratified by class, lies wholly above 0 and the "
    "permutation p-value, adjusted by Holm for the number of generative arms, is below 0.05. The best of the others "
    "was chosen on the same patients, which is biased against 'helped'; so 'harmed' is said only if both hold for all "
    "of them on the other side, even when p is multiplied by the number of arms that the best was chosen from."
)
LEVEL = 0.05


def table(
    runs: Mapping[str, list[Run]],
    kinds: Mapping[str, str],
    *,
    classes: Classes,
    draws: int,
    seed: int,
    beside: Collection[str] = (),
) -> tuple[list[dict], str]:
    """The table of arms.

    Args:
      runs: arm to its runs; all arms tested the same slices.
      kinds: arm to "none", "classical" or "generative".
      classes: of the study.
      draws, seed: of the bootstrap over patients (groups of them, where there are), and of the permutations.
      beside: arms that are shown and never the reference, as they know what the others do not.

    Returns:
      Rows as report.json holds them, patients first, and the name of the reference: the best arm by balanced accuracy
      per patient that is not generative, or the first where all are. Of one run of independent patients the accuracies
      are proportions, and have exact (Clopper-Pearson) intervals; all else has those of the bootstrap.
    """
    patient_runs = {arm: [out_of_fold_runs.by_patient(run) for run in each] for arm, each in runs.items()}
    first = next(iter(patient_runs.values()))[0]
    labels, groups = first.labels, first.groups
    arms = {arm: out_of_fold_runs.stack(each) for arm, each in patient_runs.items()}
    level = {
        arm: float(np.mean([out_of_fold_runs.measures(run)["balanced_accuracy"] for run in each]))
        for arm, each in patient_runs.items()
        if kinds[arm] != "generative" and arm not in beside
    }
    reference = max(level, key=lambda arm: level[arm]) if level else next(iter(arms))
    compared = bootstrap.bootstrap_arms(labels, arms, reference, draws=draws, seed=seed, patients=groups)
    tests = {
        arm: permutation.paired_permutation(labels, arms[reference], arms[arm], groups=groups, seed=seed)
        for arm in arms
        if arm != reference
    }
    # One family for each kind: the question is asked of the generative arms, the classical ones are shown beside.
    adjusted: dict[str, float] = {}
    for generative in (True, False):
        family = [arm for arm in tests if (kinds[arm] == "generative") == generative]
        adjusted |= dict(zip(family, permutation.holm([tests[arm].p_value for arm in family]).tolist()))
    rows = []
    for arm in arms:
        estimates = compared.arms[arm]
        if len(patient_runs[arm]) == 1 and len(np.unique(groups)) == len(groups):
            estimates = _exact(estimates, patient_runs[arm][0], classes)
        row = measure_row(
            {"arm": arm, "kind": kinds[arm]}, "patient", labels=labels, estimates=estimates, classes=classes
        )
        row["p_against_chance"] = _chance(patient_runs[arm], seed)
        row["by_seed"] = [out_of_fold_runs.measures(run)["balanced_accuracy"] for run in patient_runs[arm]]
        if arm != reference:
            difference = compared.differences[arm]["balanced_accuracy"]
            row["difference_to_best_classical"] = {
                "against": reference,
                "difference": difference.value,
                "ci95": difference.interval,
                "p_value": tests[arm].p_value,
                "p_adjusted": adjusted[arm],
            }
        rows.append(row)
    first = next(iter(runs.values()))[0]
    stacked = {arm: out_of_fold_runs.stack(each) for arm, each in runs.items()}
    slices = bootstrap.bootstrap_arms(first.labels, stacked, draws=draws, seed=seed, patients=first.groups)
    for arm in runs:
        head = {"arm": arm, "kind": kinds[arm]}
        rows.append(measure_row(head, "slice", labels=first.labels, estimates=slices.arms[arm], classes=classes))
    return rows, reference


def balanced_accuracy(runs: Sequence[Run], *, draws: int, seed: int) -> tuple[float, tuple[float, float]]:
    """Balanced accuracy per patient, mean over runs, and its 95% bootstrap interval."""
    patient_runs = [out_of_fold_runs.by_patient(run) for run in runs]
    arms = {"": out_of_fold_runs.stack(patient_runs)}
    first = patient_runs[0]
    estimates = bootstrap.bootstrap_arms(first.labels, arms, draws=draws, seed=seed, patients=first.groups).arms[""]
    return estimates["balanced_accuracy"].value, estimates["balanced_accuracy"].interval


def verdict(rows: Sequence[dict]) -> str:
    """One plain sentence on whether generated features helped, by `VERDICT_RULE`.

    Args:
      rows: of `table`.
    """
    generative = [row for row in rows if row["unit"] == "patient" and row["kind"] == "generative"]
    if not generative:
        return "No generative arm was tested."
    best = max(generative, key=lambda row: row["balanced_accuracy"])
    difference = best["difference_to_best_classical"]
    reference = next(row for row in rows if row["unit"] == "patient" and row["arm"] == difference["against"])
    if not np.isfinite(difference["ci95"]).all():
        return "Cannot tell: a class has fewer than two patients, so there is no interval for the difference."
    times = sum(row["unit"] == "patient" and row["kind"] != "generative" for row in rows)
    if any(_beyond(row, 1) for row in generative):
        best = max((row for row in generative if _beyond(row, 1)), key=lambda row: row["balanced_accuracy"])
        difference, start = best["difference_to_best_classical"], "Generated features helped"
    elif all(_beyond(row, -1, times) for row in generative):
        start = "Generated features harmed"
    else:
        start = "No evidence that generated features helped"
    low, high = difference["ci95"]
    return (
        f"{start}: balanced accuracy per patient was {best['balanced_accuracy']:.2f} with {best['arm']}, the best "
        f"generative arm, against {reference['balanced_accuracy']:.2f} with {reference['arm']}, the best of the others "
        f"(difference {difference['difference']:+.2f}, 95% interval {low:+.2f} to {high:+.2f}, adjusted "
        f"p = {difference['p_adjusted']:.2f}, {sum(best['n'].values())} patients)."
    )


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


def _beyond(row, side: int, times: int = 1) -> bool:
    """Whether an arm differs from the reference on one side by the rule, p being multiplied by `times`."""
    difference = row["difference_to_best_classical"]
    return min(side * bound for bound in difference["ci95"]) > 0 and times * difference["p_adjusted"] < LEVEL
