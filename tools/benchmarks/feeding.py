"""Input pipelines as training has them, from the store to batches in memory: what a core reads, and what a GPU takes.

Slices are read, checked, augmented and made batches of, as for `train_unet`; features as for `train_generators`
(classes by turns) and `train_classifiers` (each once). Nothing trains on them. A round is ten epochs; rows are of a
second of processor time, which other processes change little, so that a ratio of 2 says that half a core keeps a GPU
busy. What was read before is in the system's memory: a disk has to be as quick as the bytes that are asked for.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks import extraction, turns
from benchmarks.rows import row
from rembrandt_featgen.data import pipelines, store
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.features import streams

# What one H100 trains (issue 17): slices of the U-Net in float16 in batches of 32, features of the ACGAN at 80 steps/s.
TAKEN = {"unet": (790.0, "U-Net on an H100"), "acgan": (1280.0, "ACGAN on an H100")}
EPOCHS = 10  # of a round: to begin takes as long as some batches
# Name to type and codec of the features' store.
STORES = {"float32": ("float32", "none"), "bfloat16": ("bfloat16", "none"), "float32_zstd": ("float32", "zstd")}


def measure(config, peers: bool) -> tuple[list[dict], dict]:
    """Rows and what each side took; no peer does this."""
    shape = [config.feature_size, config.feature_size, config.feature_channels]
    samples, batches = config.classifier_samples, pipelines.steps_per_epoch(config.classifier_samples, config.gan_batch)
    with tempfile.TemporaryDirectory(dir=config.run_dir) as name:
        folder = Path(name).resolve()
        slices = {"folder": str(folder), "size": config.image_size, "slices": config.extract_slices}
        extraction.write_slices(slices)
        sides, amounts = {}, {}
        for mode in pipelines.AUGMENTATIONS:
            sides[f"unet {mode}"] = turns.Side(
                f"{__name__}:unet", {"folder": str(folder), "batch": config.batch, "mode": mode}
            )
            amounts[f"unet {mode}"] = config.extract_slices
        for kept, (dtype, codec) in STORES.items():
            write_features(folder / kept, shape, samples, dtype=dtype, codec=codec)
            options = {"folder": str(folder / kept), "batch": config.gan_batch, "samples": samples}
            sides |= {f"{kind} {kept}": turns.Side(f"{__name__}:{kind}", options) for kind in ("acgan", "classifier")}
            amounts |= {f"acgan {kept}": batches * config.gan_batch, f"classifier {kept}": samples}
        found = turns.take_turns(sides, config.rounds)
    rows = []
    for name, one in found.items():
        network, way = name.split(" ")
        unit = f"{'slices' if network == 'unet' else 'features'}/s of a core"
        taken, by = TAKEN.get(network, (None, None))
        value = EPOCHS * amounts[name] / one.median_of_cpu
        rows.append(row(f"feeding_{network}_{way}", value, unit, other=taken, against=by))
    return rows, found


def unet(options: dict) -> turns.Work:
    """A side: epochs of slices."""
    return _through(pipelines.training_slices(Path(options["folder"]), options["batch"], options["mode"]))


def acgan(options: dict) -> turns.Work:
    """A side: epochs of features of all classes equally often."""
    return _through(streams.balanced_features(Path(options["folder"]), options["batch"]))


def classifier(options: dict) -> turns.Work:
    """A side: epochs of features, each once in one."""
    source = Path(options["folder"]), "train", options["samples"]
    return _through(streams.labelled_features([source], options["batch"]))


def _through(make_epoch):
    key = tf.constant([0, 0], tf.int64)
    batches = store.untuned(tf.data.Dataset.from_tensors(key).repeat(EPOCHS).flat_map(make_epoch).prefetch(2))

    def work():
        for _ in batches:
            pass

    return turns.Work(work)


def write_features(folder: Path, shape, samples: int, *, dtype: str, codec: str) -> None:
    """Fills a folder with features of two classes, two thirds of their numbers 0."""
    folder.mkdir()
    random = np.random.default_rng(0)
    drawn = [np.maximum(random.normal(-0.4, 1.0, shape), 0.0).astype(np.float32) for _ in range(8)]
    with Writer(folder, "train", {"feature": (tuple(shape), dtype)}, codec=codec) as writer:
        for i in range(samples):
            writer.write({"feature": drawn[i % len(drawn)]}, f"patient {i // 20}", slice_index=i % 20, label=i % 2)
