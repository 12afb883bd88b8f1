"""Scoring of a trained U-Net, per slice and per patient."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf
from scipy import stats

from rembrandt_featgen.data import pipelines
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
    patients, where = np.unique(columns["patient"], return_inverse=True)
    overlap, total, tumour = (np.bincount(where, columns[name]) for name in ("overlap", "total", "tumour"))
    dice = np.where(tumour > 0, 2.0 * overlap / np.maximum(total, 1.0), np.nan)
    return {
        **{name: float(columns[name].mean()) for name in measures},
        "patient_hard_dice": float(np.nanmean(dice)) if (tumour > 0).any() else np.nan,
        "patient_hard_dice_ci95": mean_interval(dice[tumour > 0]),
        "slices": len(where),
        "patients": len(patients),
        "by_patient": dict(zip(patients.tolist(), dice.tolist())),
    }


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """95% t interval of a mean, cut to [0, 1]; NaN for fewer than two values."""
    if len(values) < 2:
        return np.nan, np.nan
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return max(float(values.mean() - half), 0.0), min(float(values.mean() + half), 1.0)
