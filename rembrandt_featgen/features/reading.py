"""Features of a split in any order: read from their store, or computed from the slices as they are needed.

Slices can be read in the same way, for the generators and networks that learn from them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.core import json_files, registry
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.features import encoders

ENCODER = "encoder.json"  # in place of a store: block, precision and batch of the U-Net that computes the features


@dataclasses.dataclass(frozen=True)
class Features:
    """The features of one split.

    Attributes:
      shape: (height, width, channels) of each.
      patients: id of each one's patient, in the order of the slices.
      positions: [n] of each one's slice in its volume.
      labels: [n] int8, each the index of a class.
      dataset: from an order, see `Store.dataset`, to a dataset of dictionaries: "feature" [*shape] of the type on disk,
        "patient" (string), "slice" (int64), "label" (int32). `in_float32` is for batches of them, which are quicker to
        gather before than after.
    """

    shape: tuple[int, ...]
    patients: list[str]
    positions: np.ndarray
    labels: np.ndarray
    dataset: Callable[..., tf.data.Dataset]

    def __len__(self) -> int:
        return len(self.labels)


def open_features(folder: Path, split: str) -> Features:
    """Opens the features of a split.

    Args:
      folder: of the stage extract_features or generate_synthetic; or of prepare_slices, whose slices then are the
        features.
      split: "train", "validation", "test" or "synthetic".

    Raises:
      InputError: a file is missing or damaged.
    """
    return _computed(Path(folder), split) if (Path(folder) / ENCODER).exists() else _stored(Path(folder), split)


def _stored(folder: Path, split: str) -> Features:
    store = Store(folder, split)
    name = "feature" if "feature" in store.tensors else "image"

    def of_image(record):
        return {key: record[key] for key in ("patient", "slice", "label")} | {"feature": record["image"]}

    def dataset(order=None):
        records = store.dataset(order)
        return records if name == "feature" else records.map(of_image)

    return Features(
        shape=store.tensors[name][0],
        patients=store.patients,
        positions=np.array(store.slices),
        labels=store.labels,
        dataset=dataset,
    )


def in_float32(record: dict) -> dict:
    """A record, or a batch of them, with "feature" in float32."""
    return record | {"feature": tf.cast(record["feature"], tf.float32)}


def _computed(folder: Path, split: str) -> Features:
    """Features that the frozen U-Net beside `folder` computes inside tf.data, up to its tap."""
    encoder = json_files.read_json(folder / ENCODER)
    tap = encoders.encoder_of_run(folder.parent, encoder["precision"])
    store = Store(folder.parent / registry.folder("prepare_slices"), split)

    def encode(slices):
        keys = {name: slices[name] for name in ("patient", "slice", "label")}
        return {"feature": tap(slices["image"], training=False), **keys}

    def dataset(order=None):
        return store.dataset(order).batch(encoder["batch"]).map(encode).prefetch(1).unbatch()

    shape = tuple(tap.compute_output_shape((1, *store.tensors["image"][0]))[1:])
    return Features(
        shape=shape,
        patients=store.patients,
        positions=np.array(store.slices),
        labels=store.labels,
        dataset=dataset,
    )
