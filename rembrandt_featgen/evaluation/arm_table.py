"""From the predictions of a study's folds to its table of arms, with intervals and differences over patients."""

from __future__ import annotations

import csv
import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from rembrandt_featgen.cohort.layouts import GRADES
from rembrandt_featgen.measures import classification, resampling

COLUMNS = ("patient", "slice", "grade", "arm", "kind", "amount", "chosen", "threshold", "probability_hgg")
VERDICT_RULE = (
    "Balanced accuracy per patient (mean log-odds of its slices, each patient tested once in each repeat and seed, by "
    "a fold that never saw it) of each generative arm, less that of the best arm that is not generative. 'Helped' is "
    "said only if the 95% paired bootstrap interval over patients, stratified by grade, lies wholly above 0 and the "
    "permutation p-value, adjusted by Holm for the number of generative arms, is below 0.05. The best of the others "
    "was chosen on the same patients, which leans against 'helped'; so 'harmed' is said only if both hold for all of "
    "them on the other side, even when p is multiplied by the number of arms that the best was chosen from."
)
LEVEL = 0.05


@dataclasses.dataclass(frozen=True)
class Run:
    """Predictions of one arm in one repeat and seed: every patient once, out of fold.

    Attributes:
      patients, slices, labels: [n] of each slice, sorted by patient and slice.
      probabilities: [n] of HGG.
      thresholds: [n] that of the patient's fold.
    """

    patients: np.ndarray
    slices: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    thresholds: np.ndarray


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One test slice by one arm at one amount: a row of a fold's predictions.csv."""

    patient: str
    slice: int
    grade: str
    arm: str
    kind: str
    amount: str
    chosen: bool
    threshold: float
    probability_hgg: float


def write_predictions(path: Path, rows: Iterable[Prediction]) -> None:
    """Writes predictions.csv."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            values = [getattr(row, name) for name in COLUMNS]
            writer.writerow(
                [int(v) if isinstance(v, bool) else f"{v:.6f}" if isinstance(v, float) else v for v in values]
            )


def read_predictions(path: Path) -> list[Prediction]:
    """Reads predictions.csv."""
    with path.open(newline="") as file:
        return [
            Prediction(
                row["patient"],
                int(row["slice"]),
                row["grade"],
                row["arm"],
                row["kind"],
                row["amount"],
                row["chosen"] == "1",
                float(row["threshold"]),
                float(row["probability_hgg"]),
            )
            for row in csv.DictReader(file)
        ]


def gather(rows: Sequence[Prediction]) -> Run:
    """One arm's rows of all folds of one repeat and seed.

    Raises:
      RuntimeError: a slice was predicted twice, so that its patient was tested in two folds.
    """
    ordered = sorted(rows, key=lambda row: (row.patient, row.slice))
    keys = Counter((row.patient, row.slice) for row in ordered)
    twice = [key for key, count in keys.items() if count > 1]
    if twice:
        raise RuntimeError(
            f"slice {twice[0][1]} of patient {twice[0][0]} was tested in two folds: results would be void"
        )
    return Run(
        np.array([row.patient for row in ordered]),
        np.array([row.slice for row in ordered]),
        np.array([GRADES.index(row.grade) for row in ordered]),
        np.array([row.probability_hgg for row in ordered]),
        np.array([row.threshold for row in ordered]),
    )


def by_patient(run: Run) -> Run:
    """Gathers a run's slices into patients, by the mean of their log-odds."""
    ids, labels, probabilities = classification.by_patient(run.patients, run.labels, run.probabilities)
    first = np.unique(run.patients, return_index=True)[1]
    return Run(ids, np.zeros(len(ids), int), labels, probabilities, run.thresholds[first])


def table(runs: dict[str, list[Run]], kinds: dict[str, str], draws: int, seed: int) -> tuple[list[dict], str]:
    """The table of arms.

    Args:
      runs: arm to its runs; all arms tested the same slices.
      kinds: arm to "none", "classical" or "generative".
      draws, seed: of the bootstrap over patients, and of the permutations.

    Returns:
      Rows as report.json holds them, patients first, and the name of the reference: the best arm by balanced accuracy
      per patient that is not generative.
    """
    patient_runs = {arm: [by_patient(run) for run in own] for arm, own in runs.items()}
    labels = next(iter(patient_runs.values()))[0].labels
    arms = {arm: _stack(own) for arm, own in patient_runs.items()}
    level = {
        arm: float(np.mean([_measures(run)["balanced_accuracy"] for run in own]))
        for arm, own in patient_runs.items()
        if kinds[arm] != "generative"
    }
    reference = max(level, key=lambda arm: level[arm])
    found = resampling.bootstrap_arms(labels, arms, reference, draws, seed)
    tests = {
        arm: resampling.paired_permutation(labels, arms[reference], arms[arm], seed=seed)
        for arm in arms
        if arm != reference
    }
    # One family for each kind: the question is asked of the generative arms, the classical ones are shown beside.
    adjusted: dict[str, float] = {}
    for generative in (True, False):
        family = [arm for arm in tests if (kinds[arm] == "generative") == generative]
        adjusted |= dict(zip(family, resampling.holm([tests[arm].p_value for arm in family]).tolist()))
    rows = []
    for arm in arms:
        row = _row(arm, kinds[arm], "patient", labels, found.arms[arm])
        row["p_against_chance"] = _chance(patient_runs[arm], seed)
        row["by_seed"] = [_measures(run)["balanced_accuracy"] for run in patient_runs[arm]]
        if arm != reference:
            difference = found.differences[arm]["balanced_accuracy"]
            row["difference_to_best_classical"] = {
                "against": reference,
                "difference": difference.value,
                "ci95": (difference.low, difference.high),
                "p_value": tests[arm].p_value,
                "p_adjusted": adjusted[arm],
            }
        rows.append(row)
    first = next(iter(runs.values()))[0]
    stacked = {arm: _stack(own) for arm, own in runs.items()}
    slices = resampling.bootstrap_arms(first.labels, stacked, None, draws, seed, first.patients)
    rows += [_row(arm, kinds[arm], "slice", first.labels, slices.arms[arm]) for arm in runs]
    return rows, reference


def balanced_accuracy(runs: list[Run], draws: int, seed: int) -> tuple[float, tuple[float, float]]:
    """Balanced accuracy per patient, mean over runs, and its 95% bootstrap interval."""
    own = [by_patient(run) for run in runs]
    estimate = resampling.bootstrap_arms(own[0].labels, {"": _stack(own)}, None, draws, seed).arms[""][
        "balanced_accuracy"
    ]
    return estimate.value, (estimate.low, estimate.high)


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
        return "Cannot tell: a grade has fewer than two patients, so there is no interval for the difference."
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


def power(runs: list[Run], patients: int) -> float:
    """`statistics.power` of an arm's runs per slice."""
    own = [by_patient(run) for run in runs]
    return resampling.power(own[0].labels, _stack(own), patients)


def _chance(runs: list[Run], seed: int) -> float:
    """Two-sided p-value of balanced accuracy per patient against 0.5: right and wrong are swapped at random."""
    right = np.mean([(run.probabilities > run.thresholds) == (run.labels == 1) for run in runs], axis=0)
    labels = runs[0].labels
    sizes = np.where(labels == 1, np.sum(labels == 1), np.sum(labels == 0))
    return resampling.sign_flip((right - 0.5) / sizes, seed=seed)


def _beyond(row, side: int, times: int = 1) -> bool:
    """Whether an arm differs from the reference on one side by the rule, p being multiplied by `times`."""
    difference = row["difference_to_best_classical"]
    return min(side * bound for bound in difference["ci95"]) > 0 and times * difference["p_adjusted"] < LEVEL


def _stack(runs: list[Run]) -> resampling.Arm:
    return resampling.Arm(np.stack([run.probabilities for run in runs]), np.stack([run.thresholds for run in runs]))


def _measures(run: Run) -> dict[str, float]:
    return classification.measures(run.labels, run.probabilities, run.thresholds)


def _row(arm: str, kind: str, unit: str, labels: np.ndarray, estimates: dict[str, resampling.Estimate]) -> dict:
    values = {name: estimate.value for name, estimate in estimates.items()}
    accuracy = {name: values.pop(f"accuracy_{name}") for name in ("HGG", "LGG", "total")}
    counts = {grade: int(np.sum(labels == label)) for label, grade in enumerate(GRADES)}
    intervals = {name: estimate[1:] for name, estimate in estimates.items()}
    return {"arm": arm, "kind": kind, "unit": unit, "n": counts, "accuracy": accuracy, **values, "ci95": intervals}
