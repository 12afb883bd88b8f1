"""Scoring of a trained U-Net, per slice and per patient."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data import pipelines
from rembrandt_featgen.measures.segmentation import mean_interval, over_volumes, volume_measures
from rembrandt_featgen.segmentation import losses


def evaluate(predict: Callable[[tf.Tensor], np.ndarray], batches: Iterable[dict]) -> dict:
    """Mean measures over slices, and hard dice over whole volumes of patients with its 95% t interval.

    Args:
      predict: from images to probabilities.
      batches: records with "image", "mask" and "patient".

    Returns:
      soft_dice_loss, hard_dice, iou (means over slices, paper eqs. 3-5), patient_hard_dice (mean over patients that
      have tumour), patient_hard_dice_ci95, slices, patients, by_patient: id to hard dice (None without any tumour);
      volumes: `over_volumes` of by_volume, which has the `volume_measures` of each patient; with_tumour: the first
      three over the slices that have tumour, and their number; without_tumour: the number of the others, and
      nothing_predicted, the share of them in which nothing is predicted, which is what dice 1 stands for there.
    """
    measures = {
        "soft_dice_loss": losses.soft_dice_loss,
        "hard_dice": losses.hard_dice,
        "iou": losses.iou,
    }
    rows: dict[str, list] = {name: [] for name in [*measures, "patient", "overlap", "total", "tumour"]}
    for batch in batches:
        truth = tf.cast(batch["mask"], tf.float32)
        probability = tf.constant(predict(batch["image"]))
        for name, measure in measures.items():
            rows[name].append(measure(truth, probability).numpy())
        predicted = tf.cast(probability > 0.5, tf.float32)
        rows["patient"].append(pipelines.text(batch["patient"].numpy()))
        rows["overlap"].append(tf.reduce_sum(truth * predicted, (1, 2, 3)).numpy())
        rows["total"].append(tf.reduce_sum(truth + predicted, (1, 2, 3)).numpy())
        rows["tumour"].append(tf.reduce_sum(truth, (1, 2, 3)).numpy())
    if not rows["patient"]:
        return {}
    columns = {name: np.concatenate(parts) for name, parts in rows.items()}
    by_volume = volume_measures(
        columns["patient"],
        overlap=columns["overlap"],
        predicted=columns["total"] - columns["tumour"],
        tumour=columns["tumour"],
    )
    by_patient = {name: row["dice"] for name, row in by_volume.items()}
    dice = np.array(list(by_patient.values()))
    has_tumour = ~np.isnan(dice)
    some, empty = columns["tumour"] > 0, columns["tumour"] == 0
    return {
        **{name: float(columns[name].mean()) for name in measures},
        "patient_hard_dice": float(np.nanmean(dice)) if has_tumour.any() else np.nan,
        "patient_hard_dice_ci95": mean_interval(dice[has_tumour]),
        "slices": len(columns["patient"]),
        "patients": len(by_patient),
        "by_patient": by_patient,
        "volumes": over_volumes(by_volume),
        "by_volume": by_volume,
        "with_tumour": {"slices": int(some.sum()), **{name: _mean(columns[name][some]) for name in measures}},
        "without_tumour": {"slices": int(empty.sum()), "nothing_predicted": _mean(columns["total"][empty] == 0)},
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan
