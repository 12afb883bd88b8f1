"""Single features, and all features of a run pooled to points, from which those that figures show are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rembrandt_featgen.features.reading import in_float32, open_features


class Points(NamedTuple):
    """Features pooled over their positions.

    Attributes:
      values: [n, channels], means over positions.
      labels: [n], each the index of a class.
      patients, splits: of each, n strings; the split of a synthetic feature is "synthetic".
      numbers: [n], of each within its split, in the order of writing.
    """

    values: np.ndarray
    labels: np.ndarray
    patients: list[str]
    splits: list[str]
    numbers: np.ndarray

    def of(self, split: str) -> np.ndarray:
        """Which points are of a split, [n] bool."""
        return np.array(self.splits) == split


def pooled(sources: Sequence[tuple[Path, str]], most: int, seed: int) -> Points:
    """Pools the features of several splits.

    Args:
      sources: (folder, split) of each.
      most: points in all; of more features, a random sample of each split is taken, in proportion.
      seed: of the sample.
    """
    opened = [open_features(folder, split) for folder, split in sources]
    share = min(1.0, most / max(sum(map(len, opened)), 1))
    random, parts = np.random.default_rng(seed), []
    for features, (_, split) in zip(opened, sources):
        if not len(features):  # a generator of which none was accepted
            continue
        numbers = np.sort(random.permutation(len(features))[: max(1, int(len(features) * share))])
        means = (
            features.dataset(numbers)
            .map(lambda record: tf.reduce_mean(tf.cast(record["feature"], tf.float32), (0, 1)))
            .batch(64)
        )
        names = [features.patients[number] for number in numbers]
        values = np.concatenate(list(means.as_numpy_iterator()))
        parts.append((values, features.labels[numbers], names, [split] * len(names), numbers))
    return Points(
        values=np.concatenate([part[0] for part in parts]),
        labels=np.concatenate([part[1] for part in parts]),
        patients=[name for part in parts for name in part[2]],
        splits=[split for part in parts for split in part[3]],
        numbers=np.concatenate([part[4] for part in parts]),
    )


def typical(points: Points, split: str, label: int) -> int | None:
    """Number of the feature of a class whose mean is the median of its split; None where there is none."""
    where = np.flatnonzero(points.of(split) & (points.labels == label))
    if not len(where):
        return None
    means = points.values[where].mean(1)
    return int(points.numbers[where[np.argsort(means, kind="stable")[len(where) // 2]]])


def strongest(points: Points, split: str, channel: int) -> int | None:
    """Number of the feature of a split in which a channel fires most; None for an empty split."""
    where = np.flatnonzero(points.of(split))
    if not len(where):
        return None
    return int(points.numbers[where[np.argmax(points.values[where, channel])]])


def channels_by_class(points: Points) -> list[int]:
    """For each class, the channel that fires more in it than in the others, by training features: in deviations."""
    train = points.of("train")
    of_class = [points.values[train & (points.labels == label)] for label in np.unique(points.labels[train])]
    means = np.stack([values.mean(0) for values in of_class])
    deviation = np.concatenate([values - mean for values, mean in zip(of_class, means)]).std(0)
    channels = []
    for label, mean in enumerate(means):
        shift = mean - np.delete(means, label, axis=0).mean(0)
        channels.append(int(np.argmax(np.divide(shift, deviation, out=np.zeros(len(deviation)), where=deviation > 0))))
    return channels


def most_active_channels(feature: np.ndarray, most: int) -> np.ndarray:
    """The channels of [height, width, channels] with the highest means, highest first."""
    return np.argsort(-feature.mean((0, 1)), kind="stable")[:most]


def read_feature(folder: Path, split: str, number: int) -> np.ndarray:
    """One feature, [height, width, channels]."""
    return next(iter(open_features(folder, split).dataset([number]).map(in_float32)))["feature"].numpy()
