"""The trained folds of a study: what their stages left, and its means over folds."""

from __future__ import annotations

import dataclasses
import operator
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from rembrandt_featgen.cohort import patient_files, split_files, splits
from rembrandt_featgen.core import json_files, registry, rundir
from rembrandt_featgen.evaluation import out_of_fold_runs, predictions
from rembrandt_featgen.evaluation.out_of_fold_runs import Run
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.measures.segmentation import mean_interval, over_volumes

_WORST = 3  # patients who are named


@dataclasses.dataclass(frozen=True)
class Fold:
    """A trained fold of a study.

    Attributes:
      name, repeat, seed, fold: its entry in the record of assign_folds.
      records: stage.json of its stages by name, of a generator's training by kind.
      predictions: of its test patients.
    """

    name: str
    repeat: int
    seed: int
    fold: str
    records: dict[str, dict]
    predictions: PredictionsTable


def read_fold(home: Path, entry: Mapping) -> Fold:
    """Reads what a fold's stages left.

    Args:
      home: the fold's run_dir.
      entry: name, repeat, seed and fold, as assign_folds recorded them.

    Raises:
      RuntimeError: it tested a patient that it had learnt from, or another of that patient's group.
    """
    last = last_stage(home)
    if last == "evaluate_features":
        names = [(name, "") for name in registry.FOLD_OF_VECTORS]
    else:
        generators = [kind for kind in KINDS if rundir.is_done(home, "train_generators", kind)]
        names = [(name, "") for name in ("prepare_slices", "train_unet", "extract_features")]
        names += [("train_generators", kind) for kind in generators] + [("train_arms", "")]
    records = {
        kind or name: json_files.read_json(home / registry.folder(name, kind) / rundir.RECORD) for name, kind in names
    }
    predicted = predictions.read(home / registry.folder(last) / predictions.FILE)
    slices = home / registry.folder("prepare_slices")
    assignment, groups = split_files.read_split(slices / "split.json"), patient_files.read_patients(slices).group
    parts = {name: [p for p, split in assignment.items() if split == name] for name in ("train", "validation")}
    parts["test"] = list(set(predicted.patient.tolist()))
    splits.check_disjoint(parts)
    splits.check_disjoint({name: [groups[patient] for patient in part] for name, part in parts.items()}, "group")
    return Fold(
        name=entry["name"],
        repeat=entry["repeat"],
        seed=entry["seed"],
        fold=entry["fold"],
        records=records,
        predictions=predicted.replace(plan="k-fold", draw=entry["repeat"], fold=str(entry["fold"]), seed=entry["seed"]),
    )


def last_stage(home: str | Path) -> str:
    """The stage that predicted the test patients of a fold: of its patient vectors, or of its maps."""
    return "evaluate_features" if rundir.is_done(home, "evaluate_features") else "train_arms"


def runs_by_arm(folds: Sequence[Fold], amount: str | None = None) -> dict[str, list[Run]]:
    """Arm to its runs, one for each repeat and seed: of the chosen amounts, or of a given one."""
    wanted: dict = {"chosen": True} if amount is None else {"amount": amount}
    return out_of_fold_runs.runs_by_arm(predictions.join([fold.predictions for fold in folds]).select(**wanted))


def add_folds(row: dict, folds: Sequence[Fold]) -> None:
    """Adds an arm's balanced accuracy in each fold, and what each fold chose."""
    row["by_fold"], row["amounts"], row["thresholds"] = [], Counter(), []
    for fold in folds:
        rows = fold.predictions.select(arm=row["arm"], chosen=True)
        measured = out_of_fold_runs.measures(out_of_fold_runs.by_patient(out_of_fold_runs.gather(rows)))
        row["by_fold"].append({"name": fold.name, "balanced_accuracy": measured["balanced_accuracy"]})
        choice = fold.records["train_arms"]["figures"]["arms"][row["arm"]]
        row["amounts"].update([choice["amount"]] if choice["amount"] else [])
        row["thresholds"].append(choice["threshold"])


def fold_record(fold: Fold) -> dict:
    """What report.json says of a fold."""
    split = fold.records["prepare_slices"]["figures"]["split"]
    return {
        "name": fold.name,
        "repeat": fold.repeat,
        "seed": fold.seed,
        "fold": fold.fold,
        **{name: split[name]["patients"] for name in splits.SPLITS},
        "seconds": sum(record["seconds"] for record in fold.records.values()),
    }


def preparations(folds: Iterable[Fold]) -> dict[str, dict]:
    """What `data.preparation.Preparation` says, without mean and deviation: name to each value and its folds."""
    found: dict[str, dict] = {}
    for fold in folds:
        for name, value in (fold.records["prepare_slices"]["figures"].get("preparation") or {}).items():
            if name not in ("mean", "deviation"):  # of the training patients, which differ by fold
                counts = found.setdefault(name, {})
                counts[value] = counts.get(value, 0) + 1
    return found


def preparation(folds: Iterable[Fold]) -> dict | None:
    """How volumes were prepared; where folds differ, a value is text such as "96 or 128". None if not recorded."""
    found = preparations(folds)
    alike = {name: next(iter(counts)) for name, counts in found.items() if len(counts) == 1}
    several = {name: " or ".join(map(str, sorted(counts))) for name, counts in found.items() if name not in alike}
    return {**alike, **several} or None


def spacings(folds: Iterable[Fold]) -> list[dict]:
    """What each fold says of the spacing of volumes, as far as it is recorded."""
    known = [fold.records["prepare_slices"]["figures"].get("spacing") for fold in folds]
    return [spacing for spacing in known if spacing]


def spacing(folds: Iterable[Fold]) -> dict | None:
    """Whether the spacing of volumes is real in any fold, so that there are distances, and why (not) in those."""
    known = spacings(folds)
    real = any(one["real"] for one in known)
    whys = dict.fromkeys(one["why"] for one in known if bool(one["real"]) == real)
    return {"real": real, "why": "; ".join(whys)} if known else None


def segmentation(folds: Sequence[Fold]) -> dict:
    """Means over folds, each slice tested out of fold; measures of a patient's volume are the mean over its runs.

    Returns:
      What `scoring.evaluate` says of a split, without by_patient and by_volume; "worst", the three pairs of patient
      and dice of the lowest dice.
    """
    tables = [fold.records["train_unet"]["figures"]["segmentation"]["test"] for fold in folds]
    by_patient: dict[str, list[float]] = {}
    by_volume: dict[str, list[dict]] = {}
    for table in tables:
        for patient, dice in table["by_patient"].items():
            if dice is not None:
                by_patient.setdefault(patient, []).append(dice)
        for patient, row in (table.get("by_volume") or {}).items():
            by_volume.setdefault(patient, []).append(row)
    dice = np.array([np.mean(values) for values in by_patient.values()])
    volumes = {patient: _means(rows) for patient, rows in by_volume.items()}
    found: dict = {
        **_means([{name: table[name] for name in ("soft_dice_loss", "hard_dice", "iou")} for table in tables]),
        "patient_hard_dice": float(dice.mean()) if len(dice) else None,
        "patient_hard_dice_ci95": mean_interval(dice),
        "worst": sorted(zip(by_patient, dice.tolist()), key=operator.itemgetter(1))[:_WORST],
    }
    if volumes:
        found["volumes"] = over_volumes(volumes)
    for key in ("with_tumour", "without_tumour"):
        if parts := [table[key] for table in tables if table.get(key)]:
            found[key] = {**_means(parts), "slices": sum(part["slices"] for part in parts)}
    return found


def _means(rows: Sequence[Mapping[str, float | None]]) -> dict[str, float]:
    """Mean of each number over the rows in which it is known; NaN where it is in none."""
    found = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = np.array([row.get(name) for row in rows], float)
        values = values[np.isfinite(values)]
        found[name] = float(values.mean()) if len(values) else np.nan
    return found


def generators(folds: Sequence[Fold]) -> list[dict]:
    """Measures of each generator: mean and deviation over the folds in which there were features of each class."""
    measured: dict[str, list[dict]] = {}
    for fold in folds:
        for arm, figures in fold.records["train_arms"]["figures"]["generators"].items():
            measured.setdefault(arm, []).append(figures)
    rows = []
    for arm, each in measured.items():
        row: dict = {"arm": arm, "folds": len(each)}
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
