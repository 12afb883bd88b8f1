"""How samples are kept on disk: TFRecord shards, and an index of where each record begins.

Why TFRecord, of what exists: tf.data reads a record at any offset inside the graph, on its own threads, without
Python's lock, into memory of its own, and checks a CRC-32C on the way; every TensorFlow program can read the files. Of
3.7 MB records in random order, on two busy cores, it took 1.8 ms of CPU each; zarr v3 shards through tensorstore took
3.0 ms, behind a call of Python. What TFRecord lacks is the index: `<split>.jsonl`, a header, a line a shard, an end.

Features after ReLU are 60% to 98% zeros, in runs. On real float16 features at conv5 (98% zeros) and conv2 (63%), on one
core, lz4 makes them 18 and 1.8 times smaller and decodes 6600 and 1700 MB/s; zstd 31 and 2.5 times, at 3000 and 390.
zlib is larger and slower than zstd; a shuffle of bytes or bits before (blosc) breaks the runs and mostly loses.
"""

from __future__ import annotations

from pathlib import Path

import numcodecs

from rembrandt_featgen.core import paths

DTYPES = ("float32", "float16", "bfloat16")
CODECS = {"none": None, "lz4": numcodecs.LZ4(), "zstd": numcodecs.Zstd(1)}
FRAME = 16  # bytes that TFRecord puts around a record: its length before it, and two checksums


def index_path(folder: Path, split: str) -> Path:
    """The index of a split's shards."""
    return folder / f"{split}.jsonl"


def fits(path: Path, size: int) -> bool:
    """Whether a shard is there, with so many bytes as its line of the index says."""
    return paths.is_file(path) and path.stat().st_size == size
