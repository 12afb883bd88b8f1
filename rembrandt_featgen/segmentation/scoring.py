"""Scoring of a trained U-Net, per slice and per patient."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data import pipelines
from rembrandt_featgen.measures.segmentation import mean_interval, patient_dice
from rembrandt_featgen.segmentation import losses


def evaluate(predict: Callable[[tf.Tensor], np.ndarray], batches: Iterable[dict]) -> dict:
    """Mean measures over slices, and hard dice over whole volumes of patients with its 95% t interval.

    Args:
      predict: from images to probabilities.
      batches: records with "image", "mask" and "patient".

    Returns:
      soft_dice_loss, hard_dice, iou (means over slices, paper eqs. 3-5), patient_hard_dice (mean over patients that
      have tumour), patient_hard_dice_ci95, slices, patients, by_patient: id to hard dice (None without any tumour).
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
    by_patient = patient_dice(
        columns["patient"], overlap=columns["overlap"], total=columns["total"], tumour=columns["tumour"]
    )
    dice = np.array(list(by_patient.values()))
    has_tumour = ~np.isnan(dice)
    return {
        **{name: float(columns[name].mean()) for name in measures},
        "patient_hard_dice": float(np.nanmean(dice)) if has_tumour.any() else np.nan,
        "patient_hard_dice_ci95": mean_interval(dice[has_tumour]),
        "slices": len(columns["patient"]),
        "patients": len(by_patient),
        "by_patient": by_patient,
    }
