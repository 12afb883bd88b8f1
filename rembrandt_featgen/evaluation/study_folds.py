"""The trained folds of a study: what their stages left, and its means over folds."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from rembrandt_featgen.cohort import patient_files, split_files, splits
from rembrandt_featgen.core import json_files, registry, rundir
from rembrandt_featgen.evaluation import fold_segmentation, predictions, study_report
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.features import crop_cnn, crops
from rembrandt_featgen.generation.gan_kinds import KINDS

_PLANS = {"patient": "k-fold", "site": "sites"}  # by --cv_grouping, as `plans.PLANS` has them
_OF_A_FOLD = ("split_file", "test_fraction", "test_counts")  # settings that each fold has of its own


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


def read_folds(run_dir: str | Path, record: Mapping) -> list[Fold]:
    """Reads what the stages of all folds of a study left.

    Args:
      run_dir: of the study.
      record: stage.json of assign_folds.

    Raises:
      RuntimeError: as by `read_fold`.
    """
    plan = "fresh" if record["figures"].get("fresh_patients") else _PLANS[record["config"]["cv_grouping"]]
    homes = Path(run_dir) / registry.FOLD_RUNS
    folds = record["figures"]["folds"]
    draws = sorted({(entry["repeat"], entry["seed"]) for entry in folds})
    return [
        read_fold(homes / entry["name"], entry, plan=plan, draw=draws.index((entry["repeat"], entry["seed"])))
        for entry in folds
    ]


def records_of(home: Path) -> dict[tuple[str, str], dict]:
    """Reads stage.json of each stage of a fold that is done, by its name and, of a generator's, the kind."""
    names = [(name, kind) for name in registry.FOLD for kind in (KINDS if registry.STAGES[name].has_kinds else [""])]
    return {
        (name, kind): json_files.read_json(home / registry.folder(name, kind) / rundir.RECORD)
        for name, kind in names
        if rundir.is_done(home, name, kind)
    }


def read_fold(home: Path, entry: Mapping, *, plan: str, draw: int) -> Fold:
    """Reads what a fold's stages left.

    Args:
      home: the fold's run_dir.
      entry: name, repeat, seed and fold, as assign_folds recorded them.
      plan: of the study, for the predictions.
      draw: the same; of folds that were trained again, U-Net and all, it differs as it does between divisions.

    Raises:
      RuntimeError: it tested a patient that it had learnt from, or another of that patient's group.
    """
    done = records_of(home).items()
    records = {kind or name: record for (name, kind), record in done if name != "generate_synthetic"}
    predicted = predictions.read(home / registry.folder("evaluate_features") / predictions.FILE)
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
        predictions=predicted.replace(plan=plan, draw=draw, fold=str(entry["fold"])),
    )


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


def report(record: Mapping, folds: Sequence[Fold], checks: Mapping, *, draws: int, seed: int) -> dict:
    """What report.json holds of a study whose folds have U-Nets of their own.

    Args:
      record: stage.json of assign_folds.
      folds: all of them, trained.
      checks: what selfcheck wrote; {} where it did not run.
      draws, seed: of the bootstrap over patients.
    """
    slices = folds[0].records["prepare_slices"]["figures"]
    entries = [*folds[0].records.values(), record]
    settings = {name: value for entry in entries for name, value in entry["config"].items() if name not in _OF_A_FOLD}
    settings["generators"] = [kind for kind in KINDS if kind in folds[0].records]
    predicted = predictions.join([fold.predictions for fold in folds])
    found = study_report.report(
        predicted,
        {
            "patients": slices["patients"],
            "groups": len(set(predicted.group.tolist())),
            "slices": slices["slices"],
            "source": record["config"]["cohort"],
            "empty_mask_patients": len(slices["empty_mask_patients"]),
            "spacing": spacing(folds),
            "preparation": preparation(folds),
            "sites": dict(sorted(Counter(record["figures"]["sites"].values()).items())),
        },
        choices=[choice for fold in folds for choice in fold.records["evaluate_features"]["figures"]["choices"]],
        settings=settings,
        draws=draws,
        seed=seed,
        margin=settings["margin"],
        checks=checks,
    )
    found["cross_validation"] |= {
        "grouping": record["config"]["cv_grouping"],
        "seeds": record["config"]["cv_seeds"],
        "repeats": len({fold.repeat for fold in folds}),  # of fresh patients more than --cv_repeats
        "runs": len(folds),
        "fold_records": [fold_record(fold) for fold in folds],
    }
    return {
        **found,
        "segmentation": {"test": fold_segmentation.segmentation([fold.records["train_unet"] for fold in folds])},
        "warnings": found["warnings"] + _warnings(folds),
        "stages": {
            name: {"seconds": sum(fold.records[name]["seconds"] for fold in folds)} for name in folds[0].records
        },
        "versions": folds[0].records["evaluate_features"]["versions"],
        "commit": folds[0].records["evaluate_features"].get("commit"),
    }


def _warnings(folds: Sequence[Fold]) -> list[str]:
    """What a careful reader should know of the folds."""
    lines = []
    tested = [fold.records["train_unet"]["figures"]["segmentation"]["test"]["patient_hard_dice"] for fold in folds]
    dice = float(np.mean([value for value in tested if value is not None] or [1.0]))  # None: no tumour to find
    if dice < 0.5:
        lines.append(
            f"The U-Nets segment poorly (mean dice of test volumes {dice:.2f}): features may say little about the "
            "tumour."
        )
    if folds[0].records.get("extract_features", {}).get("figures", {}).get("tap") == crops.TAP:
        lines.append(crop_cnn.WARNING)
    lines += _different_volumes(folds)
    of_volumes = [fold.records["prepare_slices"]["figures"].get("warnings", ()) for fold in folds]
    lines += [f"{line[0].upper()}{line[1:]}." for line in dict.fromkeys(itertools.chain(*of_volumes))]
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
    several = {name: counts for name, counts in preparations(folds).items() if len(counts) > 1}
    if several:
        said = "; ".join(
            f"{name} " + ", ".join(f"{value} in {count}" for value, count in counts.items())
            for name, counts in several.items()
        )
        lines.append(
            f"The training patients of the {len(folds)} folds led to slices that were prepared differently ({said}): "
            "name the values by flags to have all alike."
        )
    real = sum(bool(spacing["real"]) for spacing in spacings(folds))
    if 0 < real < len(folds):
        lines.append(
            f"The spacing of volumes was taken for real in {real} of {len(folds)} folds only, to which distances in mm "
            "are limited: say by --trust_spacing which it is."
        )
    return lines
