"""Samples on disk: TFRecord shards with an index of offsets, written behind the computation and read in any order.

Why TFRecord, of what exists: tf.data reads a record at any offset inside the graph, on its own threads, without
Python's lock, into memory of its own, and checks a CRC-32C on the way; every TensorFlow program can read the files. Of
3.7 MB records in random order, on two busy cores, it took 1.8 ms of CPU each; zarr v3 shards through tensorstore took
3.0 ms, behind a call of Python. What TFRecord lacks is the index: `<split>.jsonl`, a header, a line a shard, an end.

Features after ReLU are 60% to 98% zeros, in runs. On real float16 features at conv5 (98% zeros) and conv2 (63%), on one
core, lz4 makes them 18 and 1.8 times smaller and decodes 6600 and 1700 MB/s; zstd 31 and 2.5 times, at 3000 and 390.
zlib is larger and slower than zstd; a shuffle of bytes or bits before (blosc) breaks the runs and mostly loses.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numcodecs
import numpy as np
import tensorflow as tf

from rembrandt_featgen.core.errors import InputError

DTYPES = ("float32", "float16", "bfloat16")
_CODECS = {"none": None, "lz4": numcodecs.LZ4(), "zstd": numcodecs.Zstd(1)}
CODECS = tuple(_CODECS)
_SHARD_BYTES = 2**26  # of arrays; a writer holds two shards in memory
_FLOAT16_MAX = float(np.finfo(np.float16).max)
_FRAME = 16  # bytes that TFRecord puts around a record: its length before it, and two checksums
_READERS = min(8, max(2, os.cpu_count() or 1))  # records that are read at a time
_WILD = set("*?[\\")  # in a name, these have TensorFlow look for files of many names
_NOTHING = tf.data.Dataset.from_tensors("")


class Writer:
    """Writes the records of one split; a context manager. A thread writes shard k while k + 1 is gathered.

    Each shard is renamed into place whole, then noted in `<split>.jsonl.part`; at the end that becomes the index.

    Args:
      folder: an existing folder.
      split: "train", "validation", "test" or another name; the files are `<split>-00000.tfrecord` and so on.
      tensors: name to (shape, dtype on disk) of the arrays of a record.
      codec: one of `CODECS`.
      per_shard: records in a shard; by default some 64 MB, at most 256.
      resume: goes on after the last whole shard of a writer that was killed, if it was given the same; `len` tells how
        many records are there. Otherwise what is there is overwritten.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        tensors: Mapping[str, tuple[Sequence[int], str]],
        codec: str = "none",
        per_shard: int | None = None,
        resume: bool = False,
    ):
        self._folder, self._split, self._codec = Path(folder), split, codec
        self._tensors = {name: (tuple(shape), dtype) for name, (shape, dtype) in tensors.items()}
        size = sum(int(np.prod(shape)) * tf.as_dtype(dtype).size for shape, dtype in self._tensors.values())
        self._per_shard = per_shard or max(1, min(256, _SHARD_BYTES // max(size, 1)))
        self._index, self._journal = self._folder / f"{split}.jsonl", self._folder / f"{split}.jsonl.part"
        header = json.dumps({"tensors": self._tensors, "codec": codec})
        lines = self._whole_shards(header) if resume else []
        kept = {json.loads(line)["file"] for line in lines}
        for stale in self._folder.glob(f"{split}-*.tfrecord*"):
            if stale.name not in kept:
                stale.unlink()
        self._written = sum(len(json.loads(line)["labels"]) for line in lines)
        self._journal.write_text("".join(line + "\n" for line in [header, *lines]))
        self._index.unlink(missing_ok=True)
        self._shards, self._gathered, self._pending = len(lines), [], None
        self._thread = concurrent.futures.ThreadPoolExecutor(1)

    def __len__(self) -> int:
        """Records that were written or taken."""
        return self._written

    def __enter__(self):
        return self

    def write(self, arrays: Mapping[str, np.ndarray], patient: str, slice_index: int, label: int) -> None:
        """Takes one record; its arrays must not change afterwards, as they are written later.

        Raises:
          ValueError: an array's shape is not the declared one.
          InputError: a value is beyond the range of the dtype on disk (said by a later call).
        """
        for name, (shape, _) in self._tensors.items():
            if np.shape(arrays[name]) != shape:
                received = np.shape(arrays[name])
                raise ValueError(
                    f"{name} must be {shape}, received {received} (patient {patient}, slice {slice_index})"
                )
        if len(self._gathered) == self._per_shard:
            self._write_behind()
        self._gathered.append((arrays, patient, int(slice_index), int(label)))
        self._written += 1

    def __exit__(self, kind, value, traceback):
        try:
            if kind is None and self._gathered:
                self._write_behind()
            if self._pending and kind is None:
                self._pending.result()
        finally:
            self._thread.shutdown()
        if kind is None:
            self._note({"records": self._written})
            self._journal.replace(self._index)

    def _whole_shards(self, header: str) -> list[str]:
        """Lines of the shards that a writer with the same header finished."""
        path = self._index if self._index.exists() else self._journal
        lines = path.read_text().split("\n")[:-1] if path.exists() else []  # without what follows the last newline
        if lines[:1] != [header]:
            return []
        whole = []
        for line in lines[1:]:
            shard = json.loads(line)
            if "file" not in shard or not _fits(self._folder, shard):
                break
            whole.append(line)
        return whole

    def _write_behind(self):
        """Hands the gathered records to the thread, when it is done with those before."""
        if self._pending:
            self._pending.result()
        self._pending = self._thread.submit(self._write_shard, self._shards, self._gathered)
        self._shards, self._gathered = self._shards + 1, []

    def _write_shard(self, number, records):
        name = f"{self._split}-{number:05d}.tfrecord"
        temporary, lengths = self._folder / f"{name}.part", []
        with tf.io.TFRecordWriter(str(temporary)) as file:
            for record in records:
                serialized = self._serialize(*record)
                file.write(serialized)
                lengths.append(len(serialized))
        temporary.replace(self._folder / name)
        line = {
            "file": name,
            "bytes": sum(lengths) + _FRAME * len(lengths),
            "lengths": lengths,
            "patients": [patient for _, patient, _, _ in records],
            "slices": [position for _, _, position, _ in records],
            "labels": [label for _, _, _, label in records],
        }
        self._note(line)

    def _note(self, line):
        with self._journal.open("a") as journal:
            journal.write(json.dumps(line) + "\n")

    def _serialize(self, arrays, patient, position, label) -> bytes:
        features = {"patient": _bytes(patient.encode()), "slice": _int(position), "label": _int(label)}
        codec = _CODECS[self._codec]
        for name, (_, dtype) in self._tensors.items():
            array = np.ascontiguousarray(arrays[name])
            if dtype == "float16" and _FLOAT16_MAX < (peak := np.abs(array).max(initial=0)) < np.inf:
                raise InputError(
                    f"{name} of patient {patient}, slice {position}, reaches {peak:g}, which float16 cannot hold; "
                    "take --store_dtype=bfloat16 or float32"
                )
            if array.dtype != tf.as_dtype(dtype).as_numpy_dtype:
                array = tf.cast(array, dtype).numpy()  # four times as fast as numpy's for float16
            raw = array.reshape(-1).view(np.uint8)
            features[name] = _bytes(bytes(codec.encode(raw)) if codec and raw.size else raw.tobytes())
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


class Store:
    """The records of one split: who they are, in memory; what they hold, read when asked for, in any order.

    In memory are 8 bytes a record for its place, and its patient, slice and label.

    Attributes:
      folder, split: where it is.
      tensors: name to (shape, dtype on disk) of the arrays in each record.
      patients: id of each record, in the order of writing.
      slices: position within the patient's volume of each record.
      labels: [n] int8, label of each record: 0 = LGG, 1 = HGG.

    Raises:
      InputError: the index or a shard is missing, damaged or of another size than written.
    """

    def __init__(self, folder: Path, split: str):
        self.folder, self.split = Path(folder), split
        path = self.folder / f"{split}.jsonl"
        try:
            header, *shards, end = (json.loads(line) for line in path.read_text().splitlines())
            self.tensors = {name: (tuple(shape), dtype) for name, (shape, dtype) in header["tensors"].items()}
            self._codec = _CODECS[header["codec"]]
            names = [sys.intern(patient) for shard in shards for patient in shard["patients"]]
            positions, labels, lengths = (
                [value for shard in shards for value in shard[key]] for key in ("slices", "labels", "lengths")
            )
            files = [str(self.folder / shard["file"]) for shard in shards]
            sizes = [shard["bytes"] for shard in shards]
            if end != {"records": len(labels)}:
                raise ValueError("the end is missing")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path} is missing or damaged; delete {self.folder} so that its stage is done again"
            ) from error
        for shard in shards:
            if not _fits(self.folder, shard):
                file = self.folder / shard["file"]
                raise InputError(
                    f"{file} has {file.stat().st_size if file.exists() else 0} bytes, not {shard['bytes']}; "
                    f"delete {self.folder} so that its stage is done again"
                )
        self.patients, self.slices, self.labels = names, positions, np.array(labels, np.int8)
        with tf.device("/cpu:0"):
            self._files = tf.constant(files, tf.string)
            # Where each file and each record begins, the files thought end to end.
            self._starts = tf.constant(np.cumsum([0, *sizes])[:-1], tf.int64)
            framed = np.array(lengths, np.int64) + _FRAME
            self._places = tf.constant(np.cumsum(framed) - framed)

    def __len__(self) -> int:
        return len(self.labels)

    def dataset(self, order=None) -> tf.data.Dataset:
        """Reads records, several at a time, in the given order.

        Args:
          order: numbers of records as a dataset of int64 scalars, or [n] as an array or tensor; None is the order of
            writing.

        Returns:
          Dataset of dictionaries: the arrays, as on disk, and "patient" (string), "slice" (int64), "label" (int32). A
          record that does not fit its checksum ends it with an error that carries the text of an InputError.
        """
        if order is None:
            order = tf.data.Dataset.range(len(self))
        elif not isinstance(order, tf.data.Dataset):
            order = tf.data.Dataset.from_tensor_slices(tf.cast(order, tf.int64))
        return untuned(order.map(self._read, num_parallel_calls=_READERS))

    def _read(self, number):
        place = self._places[number]
        shard = tf.searchsorted(self._starts, [place], "right")[0] - 1
        file = tf.gather(self._files, shard)
        damage = tf.strings.join(
            ["InputError: ", file, f" is damaged; delete {self.folder} so that its stage is done again"]
        )
        if not _WILD & set(str(self.folder)):
            # ignore_errors would try for ever to open a file that is not there.
            with tf.control_dependencies([tf.debugging.Assert(tf.size(tf.io.matching_files(file)) > 0, [damage])]):
                place = tf.identity(place)
        # Records have lengths and checksums of their own, so that the first one from an offset on is all that is read.
        found = tf.raw_ops.TFRecordDatasetV2(
            filenames=file, compression_type="", buffer_size=0, byte_offsets=place - self._starts[shard]
        )
        found = tf.data.experimental.from_variant(found, tf.TensorSpec([], tf.string))
        serialized = found.take(1).ignore_errors().concatenate(_NOTHING).take(1).get_single_element()
        with tf.control_dependencies([tf.debugging.Assert(tf.strings.length(serialized) > 0, [damage])]):
            serialized = tf.identity(serialized)
        spec = {name: tf.io.FixedLenFeature([], tf.string) for name in [*self.tensors, "patient"]}
        spec |= {name: tf.io.FixedLenFeature([], tf.int64) for name in ("slice", "label")}
        record = tf.io.parse_single_example(serialized, spec)
        for name, (shape, dtype) in self.tensors.items():
            record[name] = tf.reshape(self._decode(record[name], tf.as_dtype(dtype)), shape)
        record["label"] = tf.cast(record["label"], tf.int32)
        return record

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


def _fits(folder: Path, shard: Mapping) -> bool:
    """Whether a shard has the size that its line of the index says."""
    path = folder / shard["file"]
    return path.exists() and path.stat().st_size == shard["bytes"]


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
