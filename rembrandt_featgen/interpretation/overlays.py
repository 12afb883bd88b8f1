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
from rembrandt_featgen.segmentation.postprocessing import THRESHOLD

SHOWN = 6  # slices of the first patients
WORST = 3  # volumes
_BATCH = 16  # slices that are predicted at a time


def save_overlays(
    path: Path,
    predict: Callable[[tf.Tensor], np.ndarray],
    slices: Path,
    *,
    by_volume: Mapping[str, Mapping[str, float | None]],
) -> None:
    """Writes overlays.npz: the slice with most tumour of the first test patients, and of those segmented worst theirs.

    Args:
      path: of the file.
      predict: from slices [n, height, width, channels] to probabilities [n, height, width, 1].
      slices: the slices stage's folder.
      by_volume: test patient to the measures of the whole volume; of these "dice" is read.

    The file holds images and predictions (float32, [n, height, width], the first channel of the images), truths (in
    {0, 1}), patients, labels, and dice: of the slices. The same with "worst_" before, of the slice with most wrong
    pixels of the volumes of lowest dice, in which dice is that of the whole volume, the lowest first; these are empty
    where no test volume has tumour.
    """
    names = list(dict.fromkeys(Store(slices, "test").patients))
    worst = worst_volumes(by_volume)
    largest = samples.largest_tumours(slices, "test", names[:SHOWN])
    shown = _arrays(largest, predict(tf.constant(largest.images)))
    of_worst = {name: part[:0] for name, part in shown.items()}
    if worst:
        parts = [_most_wrong(predict, samples.volume(slices, "test", name)) for name in worst]
        of_worst = {name: np.concatenate([part[name] for part in parts]) for name in shown}
        of_worst["dice"] = np.array(list(worst.values()), np.float32)
    np.savez_compressed(path, **shown, **{f"worst_{name}": part for name, part in of_worst.items()})


def worst_volumes(by_volume: Mapping[str, Mapping[str, float | None]], most: int = WORST) -> dict[str, float]:
    """Patient to dice of the `most` volumes of lowest dice, the lowest first; those without tumour have none."""
    known = {name: row["dice"] for name, row in by_volume.items()}
    defined = {name: dice for name, dice in known.items() if dice is not None and math.isfinite(dice)}
    return dict(sorted(defined.items(), key=lambda entry: (entry[1], entry[0]))[:most])


def _most_wrong(predict, volume: samples.Slices) -> dict[str, np.ndarray]:
    """`_arrays` of the slice with most wrong pixels of a volume."""
    starts = range(0, len(volume.images), _BATCH)
    predictions = np.concatenate([predict(tf.constant(volume.images[start : start + _BATCH])) for start in starts])
    wrong = (predictions[..., 0] > THRESHOLD) != (volume.masks > 0)
    number = [int(wrong.sum((1, 2)).argmax())]
    return _arrays(volume.take(number), predictions[number])


def _arrays(found: samples.Slices, predictions: np.ndarray) -> dict[str, np.ndarray]:
    """Slices, their predictions [n, height, width, 1] and the dice of these."""
    dice = losses.hard_dice(tf.constant(found.masks[..., np.newaxis]), tf.constant(predictions))
    return {
        "images": found.images[..., 0],
        "truths": found.masks,
        "predictions": np.asarray(predictions)[..., 0],
        "dice": dice.numpy(),
        "patients": np.array(found.patients),
        "labels": found.labels,
    }
