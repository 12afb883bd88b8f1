"""How well the U-Nets of a study's folds segment patients whom they never saw."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence

import numpy as np

from rembrandt_featgen.measures.segmentation import mean_interval, over_volumes

_WORST = 3  # patients who are named


def segmentation(records: Sequence[Mapping]) -> dict:
    """Means over folds, each slice tested out of fold; measures of a patient's volume are the mean over its runs.

    Args:
      records: stage.json of train_unet of each fold.

    Returns:
      What `scoring.evaluate` says of a split, without by_patient and by_volume; "worst", the three pairs of patient
      and dice of the lowest dice.
    """
    tables = [record["figures"]["segmentation"]["test"] for record in records]
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
