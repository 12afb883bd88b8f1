"""What report.json holds of a study: table of arms, generators, amounts, reliability, power, warnings and verdict."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.evaluation import arm_table, out_of_fold_runs, study_folds
from rembrandt_featgen.evaluation.out_of_fold_runs import Run
from rembrandt_featgen.evaluation.study_folds import Fold
from rembrandt_featgen.features import crop_cnn, crops
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.measures import calibration
from rembrandt_featgen.measures.power import chance

_POWER_PATIENTS = (10, 20, 30, 40, 60, 80, 100, 150, 200, 300)

_POWER_RULES = {
    "selfcheck": "The share of simulated cohorts, drawn with replacement from the patients of a phantom study of that "
    "size (arm none), in which the 95% interval of balanced accuracy per patient lies wholly above 0.5.",
    "study": "The share of simulated cohorts of that size, drawn with replacement from these patients, in which the "
    "95% interval of balanced accuracy per patient of {} lies wholly above chance; it was trained on as few patients "
    "as here.",
}


def report(record: dict, folds: Sequence[Fold], checks: dict, *, draws: int, seed: int) -> dict:
    """What report.json holds of a study.

    Args:
      record: stage.json of assign_folds.
      folds: all of them, trained.
      checks: what selfcheck wrote; {} where it did not run.
      draws, seed: of the bootstrap over patients.
    """
    runs = study_folds.runs_by_arm(folds)
    kinds: dict[str, str] = {}
    for arm, of_arm in folds[0].predictions.split("arm"):
        kinds[arm[0]] = of_arm.kind[0]
    classes = Classes.of_record(record["classes"])
    rows, reference = arm_table.table(runs, kinds, classes=classes, draws=draws, seed=seed)
    for row in rows:
        row["classifier"] = folds[0].records["train_arms"]["config"]["arms_classifier"]
        if row["unit"] == "patient":
            study_folds.add_folds(row, folds)
            row["power"] = arm_table.power(runs[row["arm"]], sum(row["n"].values()))
    cohort, generators = folds[0].records["prepare_slices"]["figures"], study_folds.generators(folds)
    settings, segmentation = record["config"], study_folds.segmentation(folds)
    return {
        "classes": classes.record,
        "cohort": {
            "patients": cohort["patients"],
            "slices": cohort["slices"],
            "source": settings["cohort"],
            "empty_mask_patients": len(cohort["empty_mask_patients"]),
            "spacing": study_folds.spacing(folds),
            "preparation": study_folds.preparation(folds),
            "sites": dict(sorted(Counter(record["figures"]["sites"].values()).items())),
        },
        "cross_validation": {
            "folds": len({fold.fold for fold in folds}),
            "repeats": settings["cv_repeats"],
            "seeds": settings["cv_seeds"],
            "grouping": settings["cv_grouping"],
            "runs": len(folds),
            "validation_fraction": settings["validation_fraction"],
            "fold_records": [study_folds.fold_record(fold) for fold in folds],
        },
        "segmentation": {"test": segmentation},
        "arms": rows,
        "reference": {
            "arm": reference,
            "why": "the highest balanced accuracy per patient of the arms that generate nothing; as it was chosen on "
            "the same patients, comparisons with it are biased against the generative arms",
        },
        "amount_curve": _amount_curve(folds, kinds, draws=draws, seed=seed),
        "generators": generators,
        "reliability": [_reliability(arm, each) for arm, each in runs.items()],
        "self_checks": checks.get("self_checks", []),
        "power": checks.get("power") or _power_curve(runs[reference]),
        "power_rule": _POWER_RULES["selfcheck" if checks.get("power") else "study"].format(reference),
        "verdict": arm_table.verdict(rows),
        "verdict_rule": arm_table.VERDICT_RULE,
        "warnings": _warnings(folds, cohort, rows=rows, generators=generators),
        "stages": {
            name: {"seconds": sum(fold.records[name]["seconds"] for fold in folds)} for name in folds[0].records
        },
        "versions": folds[0].records["train_arms"]["versions"],
        "settings": {
            key: value
            for entry in [*folds[0].records.values(), record]
            for key, value in entry["config"].items()
            if key not in ("split_file", "test_fraction", "test_counts")
        }
        | {"generators": [kind for kind in KINDS if kind in folds[0].records]},
    }


def _amount_curve(folds: Sequence[Fold], kinds: dict[str, str], *, draws: int, seed: int) -> list[dict]:
    """Balanced accuracy per patient of each arm that adds samples, at each amount that was tried."""
    amounts = dict.fromkeys(amount for fold in folds for amount in fold.predictions.amount.tolist() if amount)
    points = []
    for amount in amounts:
        for arm, runs in study_folds.runs_by_arm(folds, amount).items():
            value, interval = arm_table.balanced_accuracy(runs, draws=draws, seed=seed)
            points.append(
                {"arm": arm, "kind": kinds[arm], "amount": amount, "balanced_accuracy": value, "ci95": interval}
            )
    return points


def _reliability(arm: str, runs: Sequence[Run]) -> dict:
    """Reliability diagram per patient, the runs pooled."""
    by_patient = [out_of_fold_runs.by_patient(run) for run in runs]
    diagram = calibration.reliability(
        np.concatenate([run.labels for run in by_patient]), np.concatenate([run.probabilities for run in by_patient])
    )
    bins = zip(*(column.tolist() for column in diagram))
    return {"arm": arm, "bins": [{"probability": p, "observed": o, "n": n} for p, o, n in bins if n]}


def _power_curve(runs: list) -> list[dict]:
    """Power by number of patients, from those on with which each class has two."""
    points = []
    for patients in _POWER_PATIENTS:
        with contextlib.suppress(ValueError):  # a class would have fewer than two
            points.append({"patients": patients, "power": arm_table.power(runs, patients)})
    return points


def _warnings(folds: Sequence[Fold], cohort: dict, *, rows: Sequence[dict], generators: Sequence[dict]) -> list[str]:
    """What a careful reader should know before the numbers."""
    lines = []
    for name, count in cohort["patients"].items():
        if count < 50:
            lines.append(f"Only {count} patients are {name}: intervals are wide, whatever was averaged over runs.")
    tested = [fold.records["train_unet"]["figures"]["segmentation"]["test"]["patient_hard_dice"] for fold in folds]
    dice = float(np.mean([value for value in tested if value is not None] or [1.0]))  # None: no tumour to find
    if dice < 0.5:
        lines.append(
            f"The U-Nets segment poorly (mean dice of test volumes {dice:.2f}): features may say little about the "
            "tumour."
        )
    for row in generators:
        if row["folds"] < len(folds):
            lines.append(
                f"{row['arm']} has features of one class only, or none, in {len(folds) - row['folds']} of "
                f"{len(folds)} folds: its measures are over the others."
            )
    if folds[0].records["extract_features"]["figures"].get("tap") == crops.TAP:
        lines.append(crop_cnn.WARNING)
    lines += _different_volumes(folds)
    level = chance(len(cohort["patients"]))
    unsure = [row["arm"] for row in rows if row["unit"] == "patient" and row["ci95"]["balanced_accuracy"][0] <= level]
    if unsure:
        lines.append(f"Not shown to be above chance (interval reaches {level:.2g}): {', '.join(unsure)}.")
    unets = [fold.records["train_unet"] for fold in folds]
    collapsed = sum(bool(unet["figures"].get("collapses")) for unet in unets)
    if collapsed:
        lines.append(f"In {collapsed} of {len(folds)} folds the U-Net collapsed to predicting next to no tumour.")
    last = sum(
        unet["figures"]["best_epoch"] + 1 == unet["figures"].get("epochs", unet["config"]["unet_epochs"])
        for unet in unets
    )
    if 2 * last > len(folds):
        lines.append(f"In {last} of {len(folds)} folds the U-Net's last epoch was its best: more epochs may help.")
    return lines


def _different_volumes(folds: Sequence[Fold]) -> list[str]:
    """A line where volumes were prepared, or their spacing judged, by some training patients unlike by others."""
    lines = []
    several = {name: counts for name, counts in study_folds.preparations(folds).items() if len(counts) > 1}
    if several:
        said = "; ".join(
            f"{name} " + ", ".join(f"{value} in {count}" for value, count in counts.items())
            for name, counts in several.items()
        )
        lines.append(
            f"The training patients of the {len(folds)} folds led to slices that were prepared differently ({said}): "
            "name the values by flags to have all alike."
        )
    real = sum(bool(spacing["real"]) for spacing in study_folds.spacings(folds))
    if 0 < real < len(folds):
        lines.append(
            f"The spacing of volumes was taken for real in {real} of {len(folds)} folds only, to which distances in mm "
            "are limited: say by --spacing which it is."
        )
    return lines
