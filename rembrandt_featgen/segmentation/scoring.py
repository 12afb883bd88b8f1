"""Scoring of a trained U-Net: slices on the prepared grid as the paper does, volumes on their own."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data import pipelines, truth
from rembrandt_featgen.data.preparation import Geometry, restore_volume
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.data.truth import Truth
from rembrandt_featgen.measures.segmentation import mean_interval, over_volumes, volume_measures
from rembrandt_featgen.measures.surfaces import surface_measures
from rembrandt_featgen.nn import distribution, inference
from rembrandt_featgen.segmentation import losses, postprocessing

_SLICES = {"soft_dice_loss": losses.soft_dice_loss, "hard_dice": losses.hard_dice, "iou": losses.iou}
_COLUMNS = {**dict.fromkeys(_SLICES, np.float32), "predicted": np.int64, "tumour": np.float32}  # of slices


def evaluate(
    predict: Callable[[tf.Tensor], np.ndarray],
    batches: Iterable[dict],
    truths: Iterable[Truth],
    *,
    largest_component: bool = False,
    in_mm: bool = False,
) -> dict:
    """Mean measures over slices, and measures of whole volumes on their own grid.

    Args:
      predict: from images to probabilities.
      batches: records with "image" and "mask", patient by patient.
      truths: of these patients, in their order.
      largest_component: of `postprocessing.mask_of`, for volumes; slices are measured as the network has them.
      in_mm: whether volumes get `surface_measures`, too: where the spacing is real.

    Returns:
      soft_dice_loss, hard_dice, iou (means over slices, paper eqs. 3-5), patient_hard_dice (mean over patients that
      have tumour), patient_hard_dice_ci95, slices, patients, by_patient: id to hard dice (None without any tumour);
      volumes: `over_volumes` of by_volume, which has the `volume_measures` of each patient; with_tumour: the first
      three over the slices that have tumour, and their number; without_tumour: the number of the others, and
      nothing_predicted, the share of them in which nothing is predicted, which is what dice 1 stands for there.
    """
    return summary([measured(predict, batches, truths, largest_component=largest_component, in_mm=in_mm)])


def measured(
    predict: Callable[[tf.Tensor], np.ndarray],
    batches: Iterable[dict],
    truths: Iterable[Truth],
    *,
    largest_component: bool = False,
    in_mm: bool = False,
    rows: tuple[int, int] | None = None,
    where: tf.distribute.Strategy | None = None,
) -> dict:
    """What `summary` is made of, of some of the patients of a split, as JSON can hold it.

    Args:
      predict, largest_component, in_mm: as for `evaluate`.
      batches: records; of the first and the last batch some slices may be of other patients.
      truths: of the patients.
      rows: first, and one past the last, of the slices that are theirs; None for all.
      where: the strategy, all of whose devices here predict, by `inference.runner`; None for one device.
    """
    columns: dict[str, list] = {name: [] for name in _COLUMNS}
    volumes, number = _Volumes(truths, largest_component, in_mm), 0
    where = where or distribution.strategy(distribution.ONE)
    for batch, predicted in inference.over_devices(where, lambda batch: predict(batch["image"]), batches):
        count = len(batch["mask"])
        first, end = (0, count) if rows is None else np.clip(np.subtract(rows, number), 0, count)
        number += count
        mask = tf.cast(batch["mask"], tf.float32)[first:end]
        probability = tf.constant(predicted)[first:end]
        for name, measure in _SLICES.items():
            columns[name] += measure(mask, probability).numpy().tolist()
        of_tumour = tf.math.count_nonzero(probability > postprocessing.THRESHOLD, (1, 2, 3))
        columns["predicted"] += of_tumour.numpy().tolist()
        columns["tumour"] += tf.reduce_sum(mask, (1, 2, 3)).numpy().tolist()
        volumes.add(probability)
    return {"slices": columns, **volumes.measured()}


def measured_part(
    predict: Callable[[tf.Tensor], np.ndarray],
    folder: Path,
    split: str,
    *,
    batch: int,
    part: tuple[int, int],
    largest_component: bool = False,
    in_mm: bool = False,
    where: tf.distribute.Strategy | None = None,
) -> dict:
    """`measured` of one of several parts of a split's patients, in the batches that the whole split would have.

    Args:
      predict, largest_component, in_mm: as for `evaluate`.
      folder: of the stage prepare_slices.
      split: one of `splits.SPLITS`.
      batch: slices in a batch.
      part: its number, from 0, and how many there are.
      where: as for `measured`.
    """
    counts = list(collections.Counter(Store(folder, split).patients).values())
    first, end = (number * len(counts) // part[1] for number in (part[0], part[0] + 1))
    start, stop = sum(counts[:first]), sum(counts[:end])
    begin = start // batch * batch
    return measured(
        predict,
        pipelines.slices(folder, split, batch, start=begin).take(-(-(stop - begin) // batch) if stop > start else 0),
        itertools.islice(truth.truths(folder, split), first, end),
        largest_component=largest_component,
        in_mm=in_mm,
        rows=(start - begin, stop - begin),
        where=where,
    )


def summary(parts: Sequence[Mapping]) -> dict:
    """What `evaluate` returns, of what was `measured` of all patients, part by part in their order."""
    columns = {
        name: np.concatenate([np.array(part["slices"][name], kind) for part in parts])
        for name, kind in _COLUMNS.items()
    }
    if not len(columns["tumour"]):
        return {}
    by_volume = _by_volume(parts)
    by_patient = {name: row["dice"] for name, row in by_volume.items()}
    dice = np.array(list(by_patient.values()))
    has_tumour = ~np.isnan(dice)
    some, empty = columns["tumour"] > 0, columns["tumour"] == 0
    return {
        **{name: float(columns[name].mean()) for name in _SLICES},
        "patient_hard_dice": float(np.nanmean(dice)) if has_tumour.any() else np.nan,
        "patient_hard_dice_ci95": mean_interval(dice[has_tumour]),
        "slices": len(columns["tumour"]),
        "patients": len(by_patient),
        "by_patient": by_patient,
        "volumes": over_volumes(by_volume),
        "by_volume": by_volume,
        "with_tumour": {"slices": int(some.sum()), **{name: _mean(columns[name][some]) for name in _SLICES}},
        "without_tumour": {"slices": int(empty.sum()), "nothing_predicted": _mean(columns["predicted"][empty] == 0)},
    }


class _Volumes:
    """Takes probabilities slice by slice, and compares each volume with its truth once it is whole."""

    def __init__(self, truths: Iterable[Truth], largest_component: bool, in_mm: bool):
        self._truths, self._largest, self._in_mm = iter(truths), largest_component, in_mm
        self._truth: Truth | None = next(self._truths, None)
        self._waiting: list[tf.Tensor] = []  # slices of the volume that is not whole yet
        self._rows: list[tuple[str, int, int, int]] = []
        self._surfaces: dict[str, dict[str, float]] = {}

    def add(self, probability: tf.Tensor) -> None:
        """Takes [n, size, size, 1], the next slices."""
        self._waiting.append(probability)
        while self._truth is not None and sum(map(len, self._waiting)) >= len(self._truth.mask):
            gathered, count = tf.concat(self._waiting, 0), len(self._truth.mask)
            self._compare(self._truth, gathered[:count])
            self._truth, self._waiting = next(self._truths, None), [gathered[count:]]

    def _compare(self, truth: Truth, probability: tf.Tensor) -> None:
        geometry = Geometry(*(tf.constant(part, tf.int32) for part in (truth.mask.shape[1:], truth.box, truth.scaled)))
        mask = postprocessing.mask_of(restore_volume(probability, geometry).numpy()[..., 0], self._largest)
        self._rows.append((truth.patient, int((mask & truth.mask).sum()), int(mask.sum()), int(truth.mask.sum())))
        if self._in_mm:
            self._surfaces[truth.patient] = surface_measures(truth.mask, mask, truth.spacing)

    def measured(self) -> dict:
        """Counts and surfaces of the volumes; ValueError where slices and truths do not fit each other."""
        if self._truth is not None or any(map(len, self._waiting)):
            raise ValueError("slices and true masks are not of the same volumes")
        return {"volumes": self._rows, "surfaces": self._surfaces}


def _by_volume(parts: Sequence[Mapping]) -> dict[str, dict[str, float]]:
    """Measures by patient."""
    patients, *counts = zip(*(row for part in parts for row in part["volumes"]))
    overlap, predicted, tumour = (np.array(count) for count in counts)
    by_volume = volume_measures(np.array(patients), overlap=overlap, predicted=predicted, tumour=tumour)
    surfaces = {name: row for part in parts for name, row in part["surfaces"].items()}
    return {name: {**row, **surfaces.get(name, {})} for name, row in by_volume.items()}


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan
