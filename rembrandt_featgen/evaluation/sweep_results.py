"""What came of the points of a sweep, and how they compare.

Of the points of one axis that with the lowest log loss per validation patient is chosen. Test patients are predicted
once by each network, after its training; nothing is chosen by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import json_files
from rembrandt_featgen.data import pipelines
from rembrandt_featgen.evaluation import predictions, sweep_points
from rembrandt_featgen.evaluation.sweep_points import Point
from rembrandt_featgen.features import crops
from rembrandt_featgen.measures import bootstrap, permutation
from rembrandt_featgen.measures.out_of_fold import OutOfFold

CLASSIFIER = "cnn"
CHOICE_RULE = (
    "Of the points that compete (of one axis and arm; all axes of added features are one) the one with the lowest "
    "log loss per validation patient is chosen, classes counting the same. Test patients were predicted once by each "
    "network, after its training; nothing was chosen by them. As many points were tested on the same patients, go by "
    "the chosen one; p is adjusted by Holm over them."
)


def outcome(point: Point, records: Mapping[str, dict], folders: Mapping[str, Path], *, note: str) -> dict:
    """What the stages of a point left.

    Args:
      point: the point.
      records: stage.json of prepare_slices, and, as far as the point came, of the stages up to train_classifiers, by
        name.
      folders: where those are.
      note: why it came no farther; "" where it did.

    Returns:
      What sweep.json holds of a point, before `compare`.
    """
    if not point.arms:
        return _of_start(point, records, folders, note=note)
    figures = {name: record["figures"] for name, record in records.items()}
    classes = Classes.of_record(records["prepare_slices"]["classes"])
    settings = {
        "tap": figures.get("extract_features", {}).get("tap", point.changes.get("tap")),
        **{
            name: records["train_generators"]["config"][name] if "train_generators" in records else None
            for name in ("ndf", "ngf")
        },
        "implementation": sweep_points.modes_text(sweep_points.modes(records)),
        "gan": records["train_generators"]["kind"] if "train_generators" in records else None,
    }
    segmentation = figures.get("train_unet", {}).get("segmentation", {})
    segmented = {split: {name: row[name] for name in ("hard_dice", "iou")} for split, row in segmentation.items()}
    if settings["tap"] == crops.TAP and "train_classifiers" in records:
        note = "validation patients chose this CNN's epoch as well, so that their numbers are a little too good"
    generator: dict | None = None
    history: dict = {}
    if "train_generators" in records:
        history = json_files.read_json(folders["train_generators"] / "history.json")
        generator = {
            "kind": records["train_generators"]["kind"],
            **{name: values[-1] for name, values in history.items()},
        }
    if "generate_synthetic" in records:
        names = ("generated", "synthetic", "kept", "class_accuracy", "acceptance")
        generator = {**(generator or {}), **{name: figures["generate_synthetic"][name] for name in names}}
        missing = [name for name, kept in figures["generate_synthetic"]["kept"].items() if not kept]
        if missing:
            note = "; ".join(filter(None, [note, f"no synthetic {' and no '.join(missing)} feature was accepted"]))
    arms = []
    for arm in point.arms if "train_classifiers" in records else ():
        key = f"{arm}_{CLASSIFIER}"
        if key not in figures["train_classifiers"]["patient_log_loss"]:
            continue
        result = {
            "arm": arm,
            "classifier": CLASSIFIER,
            "patient_log_loss": figures["train_classifiers"]["patient_log_loss"][key],
        }
        result["added"] = (
            figures["train_classifiers"]["added"] if arm == "augmented" else dict.fromkeys(classes.names, 0)
        )
        for split, name in (("validation", "validation"), ("test", "classification")):
            rows = figures["train_classifiers"][name]
            result[split] = {row["unit"]: row for row in rows if row["arm"] == arm and row["classifier"] == CLASSIFIER}
        result["_scores"] = read_scores(folders["train_classifiers"] / predictions.FILE, arm, CLASSIFIER)
        arms.append(result)
    learnt = {"settings": settings, "segmentation": segmented, "generator": generator, "arms": arms}
    return {**_head(point, note), **learnt, "history": history}


def _head(point: Point, note: str) -> dict:
    return {"axis": point.axis, "value": point.value, "reference": point.reference, "note": note}


def _of_start(point: Point, records: Mapping[str, dict], folders: Mapping[str, Path], *, note: str) -> dict:
    """A point of another start of the U-Net."""
    if "train_unet" not in records:
        return {**_head(point, note), "segmentation": None}
    slices, record = records["prepare_slices"]["figures"]["split"]["train"]["slices"], records["train_unet"]
    steps = pipelines.steps_per_epoch(sum(slices.values()), record["config"]["unet_batch"])
    return {
        **_head(point, note),
        "segmentation": record["figures"]["segmentation"],
        "epochs": record["figures"]["epochs"],
        "steps": steps * record["figures"]["epochs"],
        "best_epoch": record["figures"]["best_epoch"],
        "history": json_files.read_json(folders["train_unet"] / "history.json"),
    }


def read_scores(path: Path, arm: str, classifier: str) -> tuple[np.ndarray, OutOfFold]:
    """Labels [patients] of the patients, sorted by id, and what one network predicts."""
    table = predictions.read(path).select(arm=arm, classifier=classifier)
    _, labels, probabilities = table.by_patient()
    return labels, OutOfFold(probabilities[None], table.thresholds[0])  # one network, the same for all patients


def compare(points: Sequence[dict], *, draws: int, seed: int) -> None:
    """Says in each point of `outcome` whether it is chosen, and its paired difference to its family's reference.

    Args:
      points: changed in place: "chosen" and "difference" (None of a reference, and where there is none) are set of each
        arm, and of each start "difference" alone.
      draws, seed: of the bootstrap over patients.
    """
    families: dict[tuple, list[tuple[dict, dict]]] = {}
    for point in points:
        family = sweep_points.family_of(point["axis"])
        for result in point.get("arms", ()):
            # what is added competes with adding nothing; elsewhere an arm competes with its like
            families.setdefault((family, "" if family == "added" else result["arm"]), []).append((point, result))
    for members in families.values():
        least = min(result["patient_log_loss"] for _, result in members)
        chosen = next(result for _, result in members if result["patient_log_loss"] == least)
        for _, result in members:
            result["chosen"], result["difference"] = result is chosen, None
        reference = next((result for point, result in members if point["reference"]), None)
        others = [(point, result) for point, result in members if result is not reference]
        if reference is not None and others:
            _compare_with(reference, others, draws=draws, seed=seed)
        for _, result in members:
            del result["_scores"]
    _compare_starts([point for point in points if point["axis"] == "start" and point["segmentation"]])


def _compare_with(reference: dict, others: Sequence[tuple[dict, dict]], *, draws: int, seed: int) -> None:
    labels, before = reference["_scores"]
    arms = {"reference": before}
    arms |= {str(number): result["_scores"][1] for number, (_, result) in enumerate(others)}
    values = {
        arm: each["balanced_accuracy"] for arm, each in bootstrap.resample(labels, arms, draws=draws, seed=seed).items()
    }
    counts = np.unique(labels, return_counts=True)[1].tolist()
    tests = [
        permutation.paired_permutation(labels, arms["reference"], arms[str(number)], seed=seed).p_value
        for number in range(len(others))
    ]
    for number, ((_, result), p, adjusted) in enumerate(zip(others, tests, permutation.holm(tests))):
        gap = values[str(number)] - values["reference"]
        estimate = bootstrap.estimates({"gap": gap}, counts)["gap"]
        result["difference"] = {
            "difference": estimate.value,
            "ci95": estimate.interval,
            "p_value": p,
            "p_adjusted": float(adjusted),
        }


def _compare_starts(points: Sequence[dict]) -> None:
    """Paired t interval of hard dice of test patients with tumour, less that of the reference."""
    reference = next((point for point in points if point["reference"]), None)
    for point in points:
        point["difference"] = None
        if reference is None or point is reference:
            continue
        before, after = (p["segmentation"]["test"]["by_patient"] for p in (reference, point))
        gaps = np.array([after[name] - before[name] for name in before if before[name] is not None])
        low, high, p_value = np.nan, np.nan, np.nan
        if len(gaps) > 1 and np.ptp(gaps) > 0:
            test = stats.ttest_1samp(gaps, 0.0)
            (low, high), p_value = test.confidence_interval(0.95), test.pvalue
        point["difference"] = {
            "difference": float(gaps.mean()) if len(gaps) else np.nan,
            "ci95": (float(low), float(high)),
            "p_value": float(p_value),
            "patients": len(gaps),
        }
