"""Records that the tests of stores write and read."""

import numpy as np

from rembrandt_featgen.data.store_writer import Writer

TENSORS = {"image": ((2, 3, 1), "float32"), "mask": ((2, 3), "uint8")}
COUNT, PER_SHARD = 45, 8  # six shards, the last of five records


def image(i):
    return np.random.default_rng(i).normal(size=(2, 3, 1)).astype(np.float32)


def write(writer, first, last):
    """Record i is slice i of patient i // 3, whose label is 1 when that is odd."""
    for i in range(first, last):
        arrays = {"image": image(i), "mask": np.full((2, 3), i % 2)}
        writer.write(arrays, f"patient {i // 3}", slice_index=i, label=i // 3 % 2)


def filled(folder):
    """The folder, with records 0 to 44."""
    with Writer(folder, "train", TENSORS, per_shard=PER_SHARD) as writer:
        write(writer, 0, COUNT)
    return folder


def order(dataset):
    return [int(record["slice"]) for record in dataset]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}
