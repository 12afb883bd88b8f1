"""Measures training of a classifier on wide features: from their store against from memory, and peak memory by size.

Writes benchmark_store.json, a list of {"name", "value", "unit", "ratio", "against"}. The features are random, as sparse
as those of conv2; eleven times --samples of them are written first, and deleted in the end. --samples=800 makes 32 GB.
"""

import concurrent.futures
import dataclasses
import multiprocessing
import resource
import shutil
import statistics
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen import cli, rundir
from rembrandt_featgen.data import orders, store
from rembrandt_featgen.models import classifier as classifiers
from rembrandt_featgen.training import datasets

TIMES = 10  # how much larger the large store is


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    run_dir: str = cli.flag("runs/benchmark", "Where everything goes.")
    samples: int = cli.flag(
        64, "Features in the small store, several batches at least; the large one has ten times as many.", minimum=8
    )
    size: int = cli.flag(120, "Height and width of a feature.", minimum=4)
    channels: int = cli.flag(128, "Channels of a feature.", minimum=1)
    store_dtype: str = cli.flag("bfloat16", "Type of features on disk.", choices=store.DTYPES)
    store_codec: str = cli.flag("none", "Compression of features on disk.", choices=store.CODECS)
    batch: int = cli.flag(8, "Features in a batch.", minimum=1)
    filters: int = cli.flag(16, "Filters of the CNN's first convolution.", minimum=1)
    units: int = cli.flag(16, "Units of the CNN's first dense layer.", minimum=1)
    rounds: int = cli.flag(5, "Epochs from either side, in turns; the median counts.", minimum=1)


def run(config: Config) -> None:
    """Measures, writes and prints."""
    folder = Path(config.run_dir)
    data = folder / "store"
    shutil.rmtree(data, ignore_errors=True)
    rundir.make_folder(data, "--run_dir")
    try:
        seconds = {split: _write(config, data, split, count) for split, count in _sizes(config).items()}
        gigabytes = sum(path.stat().st_size for path in data.glob("large-*")) / 1e9
        memory = {split: _in_process(_peak_memory, config, data, split) for split in _sizes(config)}
        from_memory, from_store, read = _in_process(_throughput, config, data)
    finally:
        shutil.rmtree(data, ignore_errors=True)
    large = _sizes(config)["large"]
    rows = [
        _row("store_vs_memory_throughput", from_store, "samples/s", from_store / from_memory, "memory"),
        _row("store_peak_memory_10n_vs_n", memory["large"] / 1e9, "GB", memory["large"] / memory["small"], "n"),
        _row("store_size_10n", gigabytes, "GB", gigabytes * 1e9 / memory["large"], "peak memory"),
        _row("store_write", large / seconds["large"], "samples/s"),
        _row("store_read", read, "samples/s"),
    ]
    rundir.write_json(folder / "benchmark_store.json", rows)
    for row in rows:
        print(f"{row['name']}: {row['value']:.4g} {row['unit']}, ratio {row['ratio']} against {row['against']}")


def _sizes(config: Config) -> dict[str, int]:
    return {"small": config.samples, "large": TIMES * config.samples}


def _shape(config: Config) -> tuple[int, int, int]:
    return config.size, config.size, config.channels


def _write(config: Config, data: Path, split: str, count: int) -> float:
    """Writes random features; returns the seconds that it took."""
    random = np.random.default_rng(0)
    drawn = [np.maximum(random.normal(-0.3, 1.0, _shape(config)), 0.0).astype(np.float32) for _ in range(8)]
    start = time.perf_counter()
    with store.Writer(data, split, {"feature": (_shape(config), config.store_dtype)}, config.store_codec) as writer:
        for i in range(count):
            writer.write({"feature": drawn[i % len(drawn)]}, f"patient {i // 50}", i % 50, i % 2)
    return time.perf_counter() - start


def _in_process(function, *arguments):
    """Calls a function in a process of its own."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _compiled(config: Config) -> tf.keras.Model:
    datasets.set_seed(0)
    scale = np.ones(config.channels, np.float32)
    network = classifiers.build_classifier("cnn", _shape(config), scale, config.filters, config.units)
    network.compile("adam", "binary_crossentropy")
    return network


def _from_store(config: Config, data: Path, split: str) -> tf.data.Dataset:
    count = _sizes(config)[split]
    return datasets.endless(datasets.labelled_features([(data, split, count)], config.batch), 0)


def _peak_memory(config: Config, data: Path, split: str) -> int:
    """Bytes that an epoch of training from the store takes at most, all of the process included."""
    steps = datasets.steps_per_epoch(_sizes(config)[split], config.batch)
    _compiled(config).fit(_from_store(config, data, split), steps_per_epoch=steps, verbose=0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _throughput(config: Config, data: Path) -> tuple[float, float, float]:
    """Samples per second of the same training from memory and from the store, and of reading alone."""
    network, steps = _compiled(config), datasets.steps_per_epoch(config.samples, config.batch)
    found = list(datasets.feature_pairs(data, "small", config.batch))
    features, labels = (tf.concat(parts, 0) for parts in zip(*found))

    def from_memory(key):
        order = tf.data.Dataset.from_tensor_slices(orders.permutation(config.samples, key)).batch(config.batch)
        return order.map(lambda rows: (tf.gather(features, rows), tf.gather(labels, rows)), num_parallel_calls=2)

    sides = {"memory": iter(datasets.endless(from_memory, 0)), "store": iter(_from_store(config, data, "small"))}
    seconds = {side: [] for side in sides}
    for number in range(config.rounds + 1):
        for side, batches in sides.items():
            start = time.perf_counter()
            for _ in range(steps):
                network.train_on_batch(*next(batches))
            if number:  # the first epoch traces
                seconds[side].append(time.perf_counter() - start)
    speed = {side: config.samples / statistics.median(times) for side, times in seconds.items()}
    start = time.perf_counter()
    for _ in datasets.features(data, "large", config.batch):
        pass
    return speed["memory"], speed["store"], _sizes(config)["large"] / (time.perf_counter() - start)


def _row(name, value, unit, ratio=None, against=None):
    return {"name": name, "value": value, "unit": unit, "ratio": ratio and round(ratio, 3), "against": against}


if __name__ == "__main__":
    cli.main(Config, run, __doc__)
