"""Writes samples to disk as shards, behind the computation."""

from __future__ import annotations

import concurrent.futures
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.core import folders, json_files, system_errors
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.store_format import CODECS, FRAME, fits, index_path

_SHARD_BYTES = 2**26  # of arrays; a writer holds two shards in memory
_FLOAT16_MAX = float(np.finfo(np.float16).max)


def records_per_shard(tensors: Mapping[str, tuple[Sequence[int], str]]) -> int:
    """Records in a shard, by default: some 64 MB, at most 256.

    Args:
      tensors: name to (shape, dtype on disk) of the arrays of a record.
    """
    size = sum(int(np.prod(shape)) * tf.as_dtype(dtype).size for shape, dtype in tensors.values())
    return max(1, min(256, _SHARD_BYTES // max(size, 1)))


class Writer:
    """Writes the records of one split; a context manager. A thread writes shard k while k + 1 is gathered.

    Each shard is renamed into place whole, then noted in `<split>.jsonl.part`; at the end that becomes the index.

    Args:
      folder: an existing folder.
      split: "train", "validation", "test" or another name; the files are `<split>-00000.tfrecord` and so on.
      tensors: name to (shape, dtype on disk) of the arrays of a record.
      codec: a name in `CODECS`.
      per_shard: records in a shard; by default those of `records_per_shard`.
      resume: resumes after the last whole shard of a writer that was killed, if it was given the same; `len` is the
        number of records that are there. Otherwise what is there is overwritten.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        tensors: Mapping[str, tuple[Sequence[int], str]],
        *,
        codec: str = "none",
        per_shard: int | None = None,
        resume: bool = False,
    ):
        self._folder, self._split, self._codec = Path(folder), split, codec
        self._tensors = {name: (tuple(shape), dtype) for name, (shape, dtype) in tensors.items()}
        self._per_shard = per_shard or records_per_shard(self._tensors)
        self._index = index_path(self._folder, split)
        self._journal = self._index.with_name(f"{self._index.name}.part")
        header = json.dumps({"tensors": self._tensors, "codec": codec})
        lines = self._whole_shards(header) if resume else []
        shards = [json_files.parse(line) for line in lines]
        kept = {shard["file"] for shard in shards}
        for stale in self._folder.glob(f"{split}-*.tfrecord*"):
            if stale.name not in kept:
                stale.unlink()
        self._written = sum(len(shard["labels"]) for shard in shards)
        with folders.whole(self._journal) as temporary:  # a kill must not lose which shards are whole
            temporary.write_text("".join(line + "\n" for line in [header, *lines]), encoding="utf-8")
        self._index.unlink(missing_ok=True)
        self._shards = len(lines)
        self._pending: concurrent.futures.Future | None = None
        self._gathered: list[tuple[Mapping[str, np.ndarray], str, int, int]] = []
        self._thread = concurrent.futures.ThreadPoolExecutor(1)

    def __len__(self) -> int:
        """Records that were written or taken."""
        return self._written

    def __enter__(self):
        return self

    def write(self, arrays: Mapping[str, np.ndarray], patient: str, *, slice_index: int, label: int) -> None:
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
        whole: list[str] = []
        try:
            lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # without what follows the last newline
            if lines[:1] != [header]:
                return []
            for line in lines[1:]:
                shard = json_files.parse(line)
                count = {len(shard[name]) for name in ("labels", "patients", "slices", "lengths")}
                if len(count) > 1 or not fits(self._folder / shard["file"], shard["bytes"]):
                    break
                whole.append(line)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            system_errors.raise_of_drive(error)  # others are the end of a finished index, or damage
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
            "bytes": sum(lengths) + FRAME * len(lengths),
            "lengths": lengths,
            "patients": [patient for _, patient, _, _ in records],
            "slices": [position for _, _, position, _ in records],
            "labels": [label for _, _, _, label in records],
        }
        self._note(line)

    def _note(self, line):
        with self._journal.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(line) + "\n")

    def _serialize(self, arrays, patient, position, label) -> bytes:
        features = {"patient": _bytes(patient.encode()), "slice": _int(position), "label": _int(label)}
        codec = CODECS[self._codec]
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


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
