"""Reads samples that are on disk as shards, in any order."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.core import paths
from rembrandt_featgen.data.store_format import CODECS
from rembrandt_featgen.data.store_index import read_index

WORKERS = min(8, max(2, os.cpu_count() or 1))  # records that are read, and batches that are augmented, at a time


class Store:
    """The records of one split: who they are, in memory; what they hold, read when asked for, in any order.

    They may lie in another folder (`store_index`). In memory are 8 bytes a record for its place, and its patient, slice
    and label.

    Attributes:
      folder, split: where it is.
      tensors: name to (shape, dtype on disk) of the arrays in each record.
      patients: id of each record, in the order of writing.
      slices: position within the patient's volume of each record.
      labels: [n] int8, label of each record, the index of its class.

    Raises:
      InputError: the index or a shard is missing, damaged or of another size than written.
    """

    def __init__(self, folder: Path, split: str):
        self.folder, self.split = Path(folder), split
        index = read_index(self.folder, split)
        self.tensors, self._codec, self._shards = index.tensors, CODECS[index.codec], index.folder
        self.patients, self.slices, self.labels = index.patients, index.slices, index.labels
        with tf.device("/cpu:0"):
            self._files = tf.constant(index.files, tf.string)
            # Where each file and each record begins, the files thought end to end.
            self._starts = tf.constant(np.cumsum([0, *index.sizes])[:-1], tf.int64)
            self._places = tf.constant(index.places, tf.int64)
            self._normalise = {
                name: (tf.constant(shift, tf.float32), tf.constant(scale, tf.float32))
                for name, (shift, scale) in index.normalise.items()
            }

    def __len__(self) -> int:
        return len(self.labels)

    def dataset(self, order=None) -> tf.data.Dataset:
        """Reads records, several at a time, in the given order.

        Args:
          order: numbers of records as a dataset of int64 scalars, or [n] as an array or tensor; None is the order of
            writing.

        Returns:
          Dataset of dictionaries: the arrays, as on disk or normalised as the index says; "patient" (string), "slice"
          (int64), "label" (int32). A record that does not fit its checksum ends it with an error that carries the
          text of an InputError.
        """
        if order is None:
            order = tf.data.Dataset.range(len(self))
        elif not isinstance(order, tf.data.Dataset):
            order = tf.data.Dataset.from_tensor_slices(tf.cast(order, tf.int64))
        return untuned(order.map(self._read, num_parallel_calls=WORKERS))

    def _read(self, number):
        place = self._places[number]
        shard = tf.searchsorted(self._starts, [place], "right")[0] - 1
        file = tf.gather(self._files, shard)
        damage = tf.strings.join(
            ["InputError: ", file, f" is damaged; delete {self._shards} so that its stage is done again"]
        )
        # ignore_errors would try for ever to open a file that is not there.
        with tf.control_dependencies([tf.debugging.Assert(self._is_there(file), [damage])]):
            place = tf.identity(place)
        # Records have lengths and checksums of their own, so that the first one from an offset on is all that is read.
        records = tf.raw_ops.TFRecordDatasetV2(
            filenames=file, compression_type="", buffer_size=0, byte_offsets=place - self._starts[shard]
        )
        records = tf.data.experimental.from_variant(records, tf.TensorSpec([], tf.string))
        nothing = tf.data.Dataset.from_tensors("")  # not of the module: a strategy of hosts is made before all else
        serialized = records.take(1).ignore_errors().concatenate(nothing).take(1).get_single_element()
        with tf.control_dependencies([tf.debugging.Assert(tf.strings.length(serialized) > 0, [damage])]):
            serialized = tf.identity(serialized)
        spec = {name: tf.io.FixedLenFeature([], tf.string) for name in [*self.tensors, "patient"]}
        spec |= {name: tf.io.FixedLenFeature([], tf.int64) for name in ("slice", "label")}
        record = tf.io.parse_single_example(serialized, spec)
        for name, (shape, dtype) in self.tensors.items():
            record[name] = tf.reshape(self._decode(record[name], tf.as_dtype(dtype)), shape)
        for name, (shift, scale) in self._normalise.items():
            record[name] = (record[name] - shift) / scale
        record["label"] = tf.cast(record["label"], tf.int32)
        return record

    def _is_there(self, file):
        """Whether a shard is; by Python where TensorFlow would take its name for a pattern."""
        if paths.WILD & set(str(self._shards)):
            return tf.numpy_function(lambda name: Path(name.decode()).is_file(), [file], tf.bool)
        return tf.size(tf.io.matching_files(file)) > 0

    def _decode(self, blob, dtype):
        """Bytes as values; a codec is called through Python, but holds its lock for microseconds only."""
        if self._codec is None:
            return tf.io.decode_raw(blob, dtype)

        def decompress(data):
            return np.frombuffer(self._codec.decode(data) if data else b"", dtype.as_numpy_dtype)

        return tf.numpy_function(decompress, [blob], dtype, stateful=False)


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Switches tf.data's tuning off, which would tune nothing: whatever runs in parallel here has a number given.

    Its thread is waited for when an iterator is closed, up to half a second each time, which short epochs feel.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
