"""Pools of extra training features, from which arms draw: those of a generator, and of augmented slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from rembrandt_featgen.data import pipelines
from rembrandt_featgen.data.pipelines import AUGMENTATIONS
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.features import run_tables
from rembrandt_featgen.features.reading import open_features
from rembrandt_featgen.generation.sample_pool import SamplePool

_BATCH = 16  # slices that are augmented at a time


def of_generator(folder: Path, shape: tuple[int, ...]) -> SamplePool:
    """A generator's features, of which there may be none: its filter may have accepted not one.

    Args:
      folder: of generate_synthetic, for one kind of generator.
      shape: of a feature.
    """
    if not len(open_features(folder, "synthetic")):
        logging.warning("%s holds no feature: its arm adds none in this fold", folder)
        return SamplePool(np.zeros((0, *shape), np.float32), np.zeros(0, np.int64))
    columns = run_tables.columns_of_maps(folder, "synthetic")
    return SamplePool(columns["feature"], columns["label"])


def of_augmented_slices(
    folder: Path,
    encode: Callable[[tf.Tensor], np.ndarray],
    *,
    augmentation: str,
    wanted: Mapping[int, int],
    group_of: Mapping[str, str],
    seed: int,
) -> SamplePool:
    """Features of the training slices, augmented in the run's own way.

    Args:
      folder: of prepare_slices.
      encode: from slices [batch, height, width, channels] to their features.
      augmentation: a key of `AUGMENTATIONS`.
      wanted: features by label, each from 0.
      group_of: patient to group.
      seed: of which slices are taken, and of how they are augmented.
    """
    mode, missing = AUGMENTATIONS[augmentation], dict(wanted)
    of_slices, random = np.array(Store(folder, "train").labels), np.random.default_rng(seed)
    features, labels, groups, rounds = [], [], [], 0
    while any(missing.values()):
        kept = np.zeros(len(of_slices), bool)  # what no arm would draw only fills the memory
        for label, count in missing.items():
            rows = random.permutation(np.flatnonzero(of_slices == label))[:count]
            kept[rows], missing[label] = True, count - len(rows)
        for step, batch in enumerate(pipelines.slices(folder, "train", _BATCH)):
            rows = np.flatnonzero(kept[step * _BATCH : (step + 1) * _BATCH])
            if not len(rows):
                continue
            images, _ = mode.augment(batch["image"], batch["mask"], tf.constant([seed, rounds * 2**20 + step]))
            features.append(encode(tf.gather(images, rows)))
            labels.append(batch["label"].numpy()[rows])
            groups += [group_of[name] for name in pipelines.text(batch["patient"].numpy()[rows])]
        rounds += 1
    return SamplePool(np.concatenate(features), np.concatenate(labels), np.array(groups, str))
