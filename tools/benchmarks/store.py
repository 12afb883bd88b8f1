"""Training of a classifier on wide features: from their store against from memory, and peak memory by size.

The features are random, as sparse as those of conv2; eleven times --store_samples of them are written first, and
deleted at the end: --store_samples=800 makes 32 GB. Memory is that of a whole process that trains, on n features and on
10 n. Reading alone goes through the larger store in the order of writing.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks import turns
from benchmarks.rows import row
from rembrandt_featgen.classification import map_networks
from rembrandt_featgen.data import pipelines, sampling_order
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.features import streams
from rembrandt_featgen.nn import mixed_precision

TIMES = 10  # how much larger the large store is


def measure(config, peers: bool) -> tuple[list[dict], dict]:
    """Rows and what each side took; no peer does this."""
    shape = [config.store_size, config.store_size, config.store_channels]
    common = {"shape": shape, "batch": config.store_batch, "filters": config.store_filters, "units": 16}
    with tempfile.TemporaryDirectory(dir=config.run_dir) as folder:
        common["folder"] = str(Path(folder).resolve())
        small = {**common, "split": "small", "samples": config.store_samples}
        large = {**common, "split": "large", "samples": TIMES * config.store_samples}
        for options in (small, large):
            seconds = _write(options, config.store_dtype, config.store_codec)
        gigabytes = sum(path.stat().st_size for path in Path(folder).glob("large-*")) / 1e9
        sides = {f"from {kind}": turns.Side(f"{__name__}:from_{kind}", small) for kind in ("memory", "store")}
        found = turns.take_turns(sides, config.rounds)
        found |= turns.take_turns({"from large store": turns.Side(f"{__name__}:from_store", large)}, 1)
        found |= turns.take_turns({"read": turns.Side(f"{__name__}:read", large)}, 1)
    speed = {name: config.store_samples / found[name].median for name in sides}
    peak = {name: found[f"from {name}"].peak_bytes / 1e9 for name in ("store", "large store")}
    many = TIMES * config.store_samples
    speed["from large store"] = many / found["from large store"].median
    return [
        row(
            "store_vs_memory_throughput", speed["from store"], "samples/s", other=speed["from memory"], against="memory"
        ),
        row(
            "store_10n_vs_memory_throughput",
            speed["from large store"],
            "samples/s",
            other=speed["from memory"],
            against="memory",
        ),
        row("store_peak_memory_10n_vs_n", peak["large store"], "GB", other=peak["store"], against="n"),
        row("store_size_10n", gigabytes, "GB", other=peak["large store"], against="peak memory"),
        row("store_write", many / seconds, "samples/s"),
        row("store_read", many / found["read"].median, "samples/s"),
    ], found


def from_store(options: dict) -> turns.Work:
    """A side: an epoch on a store, in random order."""
    sources = [(options["folder"], options["split"], options["samples"])]
    return _training(options, streams.labelled_features(sources, options["batch"]))


def from_memory(options: dict) -> turns.Work:
    """A side: the same on features that were read into memory."""
    found = list(streams.feature_pairs(options["folder"], options["split"], options["batch"]))
    features, labels = (tf.concat(parts, 0) for parts in zip(*found))

    def make_epoch(key):
        order = tf.data.Dataset.from_tensor_slices(sampling_order.permutation(options["samples"], key))
        rows = order.batch(options["batch"])
        return rows.map(lambda row: (tf.gather(features, row), tf.gather(labels, row)), num_parallel_calls=2)

    return _training(options, make_epoch)


def read(options: dict) -> turns.Work:
    """A side: reading all, in the order of writing."""

    def work():
        for _ in streams.features(options["folder"], options["split"], options["batch"]):
            pass

    return turns.Work(work)


def _training(options, make_epoch):
    tf.keras.utils.set_random_seed(0)
    scale = np.ones(options["shape"][-1], np.float32)
    architecture = map_networks.Architecture(
        "cnn", tuple(options["shape"]), filters=options["filters"], units=options["units"]
    )
    network = map_networks.build_classifier(architecture, scale)
    network.compile(mixed_precision.adam(1e-3), "binary_crossentropy")
    steps = pipelines.steps_per_epoch(options["samples"], options["batch"])
    step, batches = network.make_train_function(), iter(pipelines.endless(make_epoch, 0))  # what `fit` runs

    def epoch():
        for _ in range(steps):
            step(batches)

    return turns.Work(epoch)


def _write(options, dtype, codec) -> float:
    """Writes random features; returns the seconds that it took."""
    random, shape = np.random.default_rng(0), tuple(options["shape"])
    drawn = [np.maximum(random.normal(-0.3, 1.0, shape), 0.0).astype(np.float32) for _ in range(8)]
    start = time.perf_counter()
    with Writer(options["folder"], options["split"], {"feature": (shape, dtype)}, codec=codec) as writer:
        for i in range(options["samples"]):
            writer.write({"feature": drawn[i % len(drawn)]}, f"patient {i // 50}", slice_index=i % 50, label=i % 2)
    return time.perf_counter() - start
