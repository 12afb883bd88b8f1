"""Test slices with truth and prediction, kept for the report while the U-Net is at hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data.store import Store
from rembrandt_featgen.interpretation import samples
from rembrandt_featgen.segmentation import losses

SHOWN = 6  # slices of the first patients
WORST = 3  # volumes


def save_overlays(
    path: Path,
    predict: Callable[[tf.Tensor], np.ndarray],
    slices: Path,
    *,
    by_volume: Mapping[str, Mapping[str, float | None]],
) -> None:
    """Writes overlays.npz: the slice with most tumour of the first test patients, and of those segmented worst.

    Args:
      path: of the file.
      predict: from slices [n, height, width, channels] to probabilities [n, height, width, 1].
      slices: the slices stage's folder.
      by_volume: test patient to the measures of the whole volume; of these "dice" is read.

    The file holds images and predictions (float32, [n, height, width], the first channel of the images), truths (in
    {0, 1}), patients, labels, and dice: of the slices. The same with "worst_" before, in which dice is that of the
    whole volume, the lowest first; these are empty where no test volume has tumour.
    """
    names = list(dict.fromkeys(Store(slices, "test").patients))
    worst = worst_volumes(by_volume)
    shown = _arrays(predict, slices, names[:SHOWN])
    of_worst = _arrays(predict, slices, list(worst)) if worst else {name: part[:0] for name, part in shown.items()}
    if worst:
        of_worst["dice"] = np.array(list(worst.values()), np.float32)
    np.savez_compressed(path, **shown, **{f"worst_{name}": part for name, part in of_worst.items()})


def worst_volumes(by_volume: Mapping[str, Mapping[str, float | None]], most: int = WORST) -> dict[str, float]:
    """Patient to dice of the `most` volumes of lowest dice, the lowest first; those without tumour have none."""
    known = {name: row["dice"] for name, row in by_volume.items()}
    defined = {name: dice for name, dice in known.items() if dice is not None and math.isfinite(dice)}
    return dict(sorted(defined.items(), key=lambda entry: (entry[1], entry[0]))[:most])


def _arrays(predict, slices: Path, patients: list[str]) -> dict[str, np.ndarray]:
    """The slice with most tumour of each patient, its prediction and their dice."""
    found = samples.largest_tumours(slices, "test", patients)
    predictions = predict(tf.constant(found.images))
    dice = losses.hard_dice(tf.constant(found.masks[..., np.newaxis]), tf.constant(predictions))
    return {
        "images": found.images[..., 0],
        "truths": found.masks,
        "predictions": predictions[..., 0],
        "dice": dice.numpy(),
        "patients": np.array(found.patients),
        "labels": found.labels,
    }
