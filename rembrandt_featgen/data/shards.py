"""Samples on disk: TFRecord shards with a JSON index beside them, written once and streamed back.

TFRecord is TensorFlow's own container: tf.data reads it on its own threads, with a checksum on every record.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.errors import InputError

_WINDOW_BYTES = 2**28  # what the shuffle window of one dataset may hold in memory


@dataclasses.dataclass(frozen=True)
class Index:
    """What `<split>.json` says of a split.

    Attributes:
      tensors: name to (shape, dtype) of the arrays in each record.
      files: (file name, bytes, records) of each shard.
      patients: id of each record, in the order of writing.
      labels: label of each record: 0 = LGG, 1 = HGG.
    """

    tensors: dict[str, tuple[tuple[int, ...], str]]
    files: list[tuple[str, int, int]]
    patients: list[str]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.labels)


class ShardWriter:
    """Writes the records of one split into shards; a context manager. The index comes last.

    Args:
      folder: an existing folder.
      split: "train", "validation", "test" or another name; the files are `<split>-00000.tfrecord` and so on.
      tensors: name to (shape, dtype) of the arrays of a record.
      per_shard: records in a shard.
    """

    def __init__(
        self, folder: Path, split: str, tensors: Mapping[str, tuple[tuple[int, ...], str]], per_shard: int = 256
    ):
        self._folder, self._split, self._per_shard = folder, split, per_shard
        self._index = Index({k: (tuple(shape), dtype) for k, (shape, dtype) in tensors.items()}, [], [], [])
        self._file, self._count = None, 0

    def __enter__(self):
        return self

    def write(self, arrays: Mapping[str, np.ndarray], patient: str, slice_index: int, label: int) -> None:
        """Appends one record; ValueError when an array's shape is not the declared one."""
        features = {"patient": _bytes(patient.encode()), "slice": _int(slice_index), "label": _int(label)}
        for name, (shape, dtype) in self._index.tensors.items():
            array = np.ascontiguousarray(arrays[name], dtype)
            if array.shape != shape:
                raise ValueError(
                    f"{name} must be {shape}, received {array.shape} (patient {patient}, slice {slice_index})"
                )
            features[name] = _bytes(array.tobytes())
        if self._count == self._per_shard:
            self._close_shard()
        if self._file is None:
            self._path = self._folder / f"{self._split}-{len(self._index.files):05d}.tfrecord"
            self._file = tf.io.TFRecordWriter(str(self._path))
        self._file.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
        self._count += 1
        self._index.patients.append(patient)
        self._index.labels.append(int(label))

    def __exit__(self, kind, value, traceback):
        self._close_shard()
        if kind is None:
            (self._folder / f"{self._split}.json").write_text(json.dumps(dataclasses.asdict(self._index)))

    def _close_shard(self):
        if self._file is not None:
            self._file.close()
            self._index.files.append((self._path.name, self._path.stat().st_size, self._count))
            self._file, self._count = None, 0


def read_index(folder: Path, split: str) -> Index:
    """Reads the index of a split and checks that its shards are there and whole.

    Raises:
      InputError: a file is missing or of another size than written.
    """
    path = Path(folder) / f"{split}.json"
    try:
        raw = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is missing or damaged; delete {folder} so that its stage is done again") from error
    index = Index(
        {k: (tuple(shape), dtype) for k, (shape, dtype) in raw["tensors"].items()},
        [tuple(file) for file in raw["files"]],
        raw["patients"],
        raw["labels"],
    )
    for name, size, _ in index.files:
        shard = Path(folder) / name
        found = shard.stat().st_size if shard.exists() else 0
        if found != size:
            raise InputError(f"{shard} has {found} bytes, not {size}; delete {folder} so that its stage is done again")
    return index


def read(folder: Path, split: str, seed: int | tf.Tensor | None = None, label: int | None = None) -> tf.data.Dataset:
    """Streams the records of a split.

    Args:
      folder, split: what was written.
      seed: shuffles the shards, interleaves their records and shuffles these in a window of up to 1024; an int or
        an int64 scalar tensor. None keeps the order of writing.
      label: only records of this label.

    Returns:
      Dataset of dictionaries: the arrays, and "patient" (string), "slice" (int64), "label" (int32).
    """
    index = read_index(folder, split)
    files = tf.data.Dataset.from_tensor_slices([str(Path(folder) / name) for name, _, _ in index.files])
    spec = {name: tf.io.FixedLenFeature([], tf.string) for name in [*index.tensors, "patient"]}
    spec |= {name: tf.io.FixedLenFeature([], tf.int64) for name in ("slice", "label")}
    if seed is None or not index.files:
        records = tf.data.TFRecordDataset(files)
    else:
        files = files.shuffle(len(index.files), seed=seed)
        records = files.interleave(tf.data.TFRecordDataset, cycle_length=16, num_parallel_calls=2)

    def decode(serialized):
        record = tf.io.parse_single_example(serialized, spec)
        for name, (shape, dtype) in index.tensors.items():
            record[name] = tf.reshape(tf.io.decode_raw(record[name], tf.as_dtype(dtype)), shape)
        record["label"] = tf.cast(record["label"], tf.int32)
        return record

    if label is not None:
        spec_label = {"label": tf.io.FixedLenFeature([], tf.int64)}
        records = records.filter(
            lambda serialized: tf.io.parse_single_example(serialized, spec_label)["label"] == label
        )
    if seed is not None and index.files:
        size = max(size for _, size, _ in index.files) // max(records for _, _, records in index.files) + 1
        window = max(16, min(1024, _WINDOW_BYTES // size))
        records = records.shuffle(window, seed=seed)  # of serialized records: decoding comes after
    return records.map(decode, num_parallel_calls=2)


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value)]))
