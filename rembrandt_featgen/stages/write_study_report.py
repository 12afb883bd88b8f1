"""Gathers the folds of a study into its report: the table of arms with intervals, the generators, and the verdict."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import split_files, splits
from rembrandt_featgen.core import cli, registry, rundir
from rembrandt_featgen.evaluation import arm_table
from rembrandt_featgen.features import crop_cnn, crops
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.measures import classification
from rembrandt_featgen.reporting import study_figures, study_page, study_tables
from rembrandt_featgen.segmentation import scoring
from rembrandt_featgen.stages import shared_flags

SELF_CHECKS = "selfcheck/selfcheck.json"
_POWER_PATIENTS = (10, 20, 30, 40, 60, 80, 100, 150, 200, 300)

_POWER_RULES = {
    "selfcheck": "The share of imagined cohorts, drawn with replacement from the patients of a phantom study of that "
    "size (arm none), in which the 95% interval of balanced accuracy per patient lies wholly above 0.5.",
    "study": "The share of imagined cohorts of that size, drawn with replacement from these patients, in which the 95% "
    "interval of balanced accuracy per patient of {} lies wholly above 0.5; it was trained on as few patients as here.",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    seed: int = shared_flags.seed()
    bootstrap_draws: int = shared_flags.bootstrap_draws()
    report_title: str = shared_flags.report_title()


@dataclasses.dataclass(frozen=True)
class Fold:
    """A learnt fold: its entry in folds/stage.json, the records of its stages, and its predictions."""

    name: str
    repeat: int
    seed: int
    fold: str
    records: dict[str, dict]
    predictions: list[arm_table.Prediction]


def run(config: Config) -> None:
    """Writes run_dir/report: report.json, index.html, predictions.csv, and tables as CSV and LaTeX."""
    assigned = rundir.find(config.run_dir, "assign_folds")
    record, digests = assigned.record, {}
    for fold in record["figures"]["folds"]:
        digests[fold["name"]] = rundir.find(_home(config, fold), "train_arms").digest
    checks = Path(config.run_dir) / SELF_CHECKS
    if checks.is_file():
        digests["selfcheck"] = hashlib.sha256(checks.read_bytes()).hexdigest()
    with rundir.open_stage(config, "write_study_report", [assigned], digests=digests) as stage:
        if stage.done:
            return
        learnt = [_read(config, fold) for fold in record["figures"]["folds"]]
        report = rundir.plain(_report(config, record, learnt, rundir.read_json(checks) if checks.is_file() else {}))
        rundir.write_json(stage.path / "report.json", report)
        title = config.report_title or Path(config.run_dir).resolve().name
        (stage.path / "index.html").write_text(
            study_page.render(report, study_figures.draw(report), {"title": title}), encoding="utf-8"
        )
        for name, text in study_tables.files(report).items():
            (stage.path / name).write_text(text, encoding="utf-8")
        arm_table.write_predictions(
            stage.path / "predictions.csv", (row for fold in learnt for row in fold.predictions if row.chosen)
        )
        stage.complete(verdict=report["verdict"])
        logging.info("report: %s", Path(config.run_dir) / registry.folder("write_study_report") / "index.html")


def _home(config: Config, fold: dict) -> str:
    return str(Path(config.run_dir) / registry.FOLD_RUNS / fold["name"])


def _read(config: Config, fold: dict) -> Fold:
    """What a fold's stages left; RuntimeError when it tested a patient that it had learnt from."""
    home = Path(_home(config, fold))
    generators = [kind for kind in KINDS if rundir.is_done(home, "train_generators", kind)]
    names = [(name, "") for name in ("prepare_slices", "train_unet", "extract_features")]
    names += [("train_generators", kind) for kind in generators] + [("train_arms", "")]
    records = {
        kind or name: rundir.read_json(home / registry.folder(name, kind) / rundir.RECORD) for name, kind in names
    }
    predictions = arm_table.read_predictions(home / registry.folder("train_arms") / "predictions.csv")
    assignment = split_files.read_split(home / registry.folder("prepare_slices") / "split.json")
    tested = {row.patient for row in predictions}
    splits.check_disjoint(
        {"test": tested, **{name: [p for p, s in assignment.items() if s == name] for name in ("train", "validation")}}
    )
    return Fold(records=records, predictions=predictions, **fold)


def _report(config: Config, record: dict, learnt: Sequence[Fold], checks: dict) -> dict:
    """What report.json holds."""
    runs, kinds = _runs(learnt), {}
    for row in learnt[0].predictions:
        kinds.setdefault(row.arm, row.kind)
    rows, reference = arm_table.table(runs, kinds, config.bootstrap_draws, config.seed)
    for row in rows:
        row["classifier"] = learnt[0].records["train_arms"]["config"]["arms_classifier"]
        if row["unit"] == "patient":
            _add_folds(row, learnt)
            row["power"] = arm_table.power(runs[row["arm"]], sum(row["n"].values()))
    cohort, generators = learnt[0].records["prepare_slices"]["figures"], _generators(learnt)
    settings = record["config"]
    return {
        "cohort": {
            "patients": cohort["patients"],
            "slices": cohort["slices"],
            "source": settings["cohort"],
            "empty_mask_patients": len(cohort["empty_mask_patients"]),
            "sites": dict(sorted(Counter(record["figures"]["sites"].values()).items())),
        },
        "cross_validation": {
            "folds": len({fold.fold for fold in learnt}),
            "repeats": settings["cv_repeats"],
            "seeds": settings["cv_seeds"],
            "grouping": settings["cv_grouping"],
            "runs": len(learnt),
            "validation_fraction": settings["validation_fraction"],
            "fold_records": [_fold_record(fold) for fold in learnt],
        },
        "segmentation": {"test": _segmentation(learnt)},
        "arms": rows,
        "reference": {
            "arm": reference,
            "why": "the highest balanced accuracy per patient of the arms that generate nothing; as it was chosen on "
            "the same patients, comparisons with it lean against the generative arms",
        },
        "amount_curve": _amount_curve(config, learnt, kinds),
        "generators": generators,
        "reliability": [_reliability(arm, own) for arm, own in runs.items()],
        "self_checks": checks.get("self_checks", []),
        "power": checks.get("power")
        or [{"patients": n, "power": arm_table.power(runs[reference], n)} for n in _POWER_PATIENTS],
        "power_rule": _POWER_RULES["selfcheck" if checks.get("power") else "study"].format(reference),
        "verdict": arm_table.verdict(rows),
        "verdict_rule": arm_table.VERDICT_RULE,
        "warnings": _warnings(learnt, cohort, rows, generators),
        "stages": {
            name: {"seconds": sum(fold.records[name]["seconds"] for fold in learnt)} for name in learnt[0].records
        },
        "versions": learnt[0].records["train_arms"]["versions"],
        "settings": {
            key: value
            for entry in [*learnt[0].records.values(), record]
            for key, value in entry["config"].items()
            if key not in ("split_file", "test_fraction", "test_counts")
        }
        | {"generators": [kind for kind in KINDS if kind in learnt[0].records]},
    }


def _runs(learnt: Iterable[Fold], amount: str | None = None) -> dict[str, list[arm_table.Run]]:
    """Arm to its runs, one for each repeat and seed: of the chosen amounts, or of a given one."""
    found: dict[str, dict[tuple[int, int], list]] = {}
    for fold in learnt:
        for row in fold.predictions:
            if row.chosen if amount is None else row.amount == amount:
                found.setdefault(row.arm, {}).setdefault((fold.repeat, fold.seed), []).append(row)
    return {arm: [arm_table.gather(rows) for rows in own.values()] for arm, own in found.items()}


def _add_folds(row: dict, learnt: Sequence[Fold]) -> None:
    """Adds an arm's balanced accuracy in each fold, and what each fold chose."""
    row["by_fold"], row["amounts"], row["thresholds"] = [], Counter(), []
    for fold in learnt:
        own = arm_table.by_patient(arm_table.gather([r for r in fold.predictions if r.arm == row["arm"] and r.chosen]))
        found = classification.measures(own.labels, own.probabilities, own.thresholds)
        row["by_fold"].append({"name": fold.name, "balanced_accuracy": found["balanced_accuracy"]})
        choice = fold.records["train_arms"]["figures"]["arms"][row["arm"]]
        row["amounts"].update([choice["amount"]] if choice["amount"] else [])
        row["thresholds"].append(choice["threshold"])


def _fold_record(fold: Fold) -> dict:
    split = fold.records["prepare_slices"]["figures"]["split"]
    return {
        **{key: getattr(fold, key) for key in ("name", "repeat", "seed", "fold")},
        **{name: split[name]["patients"] for name in splits.SPLITS},
        "seconds": sum(record["seconds"] for record in fold.records.values()),
    }


def _segmentation(learnt: Sequence[Fold]) -> dict:
    """Means over folds, each slice tested out of fold; hard dice of a patient is the mean over its runs."""
    study_tables = [fold.records["train_unet"]["figures"]["segmentation"]["test"] for fold in learnt]
    found = {
        name: float(np.mean([table[name] for table in study_tables])) for name in ("soft_dice_loss", "hard_dice", "iou")
    }
    by_patient: dict[str, list[float]] = {}
    for table in study_tables:
        for patient, dice in table["by_patient"].items():
            if dice is not None:
                by_patient.setdefault(patient, []).append(dice)
    dice = np.array([np.mean(values) for values in by_patient.values()])
    return {
        **found,
        "patient_hard_dice": float(dice.mean()) if len(dice) else None,
        "patient_hard_dice_ci95": scoring.mean_interval(dice),
    }


def _amount_curve(config: Config, learnt: Sequence[Fold], kinds: dict[str, str]) -> list[dict]:
    """Balanced accuracy per patient of each arm that adds samples, at each amount that was tried."""
    amounts = dict.fromkeys(row.amount for fold in learnt for row in fold.predictions if row.amount)
    points = []
    for amount in amounts:
        for arm, own in _runs(learnt, amount).items():
            value, interval = arm_table.balanced_accuracy(own, config.bootstrap_draws, config.seed)
            points.append(
                {"arm": arm, "kind": kinds[arm], "amount": amount, "balanced_accuracy": value, "ci95": interval}
            )
    return points


def _generators(learnt: Sequence[Fold]) -> list[dict]:
    """Measures of each generator: mean and deviation over the folds in which it made features of both grades."""
    measured: dict[str, list[dict]] = {}
    for fold in learnt:
        for arm, found in fold.records["train_arms"]["figures"]["generators"].items():
            measured.setdefault(arm, []).append(found)
    rows = []
    for arm, each in measured.items():
        row: dict = {"arm": arm, "folds": len(each)}
        for name, first in each[0].items():
            values = [one[name] for one in each]
            if name == "memorisation":
                row[name] = _memorisation(values)
            elif isinstance(first, dict):
                row[name] = {key: float(np.mean([value[key] for value in values])) for key in first}
            else:
                numbers = np.array(values, float)
                row |= {name: float(np.nanmean(numbers)), f"{name}_sd": float(np.nanstd(numbers))}
        rows.append(row)
    return rows


def _memorisation(audits: Sequence[dict]) -> dict:
    """The audits of all folds as one: flagged where most folds are."""
    copied: Counter = Counter()
    for audit in audits:
        copied.update(audit["copied_patients"])
    return {
        "memorised": sum(audit["memorised"] for audit in audits) * 2 > len(audits),
        "folds_flagged": sum(audit["memorised"] for audit in audits),
        "folds": len(audits),
        "p_value": float(np.median([audit["p_value"] for audit in audits])),
        "nearest_ratio_median": float(np.median([audit["median_ratio"] for audit in audits])),
        "share_below_1_percent": float(np.mean([audit["share_nearer_1"] for audit in audits])),
        "most_copied": [list(entry) for entry in copied.most_common(5)],
    }


def _reliability(arm: str, runs: Sequence[arm_table.Run]) -> dict:
    """Reliability diagram per patient, the runs pooled."""
    own = [arm_table.by_patient(run) for run in runs]
    found = classification.reliability(
        np.concatenate([run.labels for run in own]), np.concatenate([run.probabilities for run in own])
    )
    bins = zip(*(column.tolist() for column in found))
    return {"arm": arm, "bins": [{"probability": p, "observed": o, "n": n} for p, o, n in bins if n]}


def _warnings(learnt: Sequence[Fold], cohort: dict, rows: Sequence[dict], generators: Sequence[dict]) -> list[str]:
    """What a careful reader should know before the numbers."""
    lines = []
    for grade, count in cohort["patients"].items():
        if count < 50:
            lines.append(f"Only {count} patients are {grade}: intervals are wide, whatever was averaged over runs.")
    dice = float(
        np.mean([fold.records["train_unet"]["figures"]["segmentation"]["test"]["hard_dice"] for fold in learnt])
    )
    if dice < 0.5:
        lines.append(f"The U-Nets segment poorly (test hard dice {dice:.2f}): features may tell little of the tumour.")
    for row in generators:
        if row["folds"] < len(learnt):
            lines.append(
                f"{row['arm']} made features of one grade only, or none, in {len(learnt) - row['folds']} of "
                f"{len(learnt)} folds: its measures are over the others."
            )
    if learnt[0].records["extract_features"]["figures"].get("tap") == crops.TAP:
        lines.append(crop_cnn.WARNING)
    unsure = [row["arm"] for row in rows if row["unit"] == "patient" and row["ci95"]["balanced_accuracy"][0] <= 0.5]
    if unsure:
        lines.append(f"Not shown to be above chance (interval reaches 0.5): {', '.join(unsure)}.")
    last = sum(
        fold.records["train_unet"]["figures"]["best_epoch"] + 1 == fold.records["train_unet"]["config"]["unet_epochs"]
        for fold in learnt
    )
    if 2 * last > len(learnt):
        lines.append(f"In {last} of {len(learnt)} folds the U-Net's last epoch was its best: more epochs may help.")
    return lines


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, __doc__, stages.all_flags)


if __name__ == "__main__":
    main()
