"""Training of the CNN that tells grades, on features in memory, in samples per second.

Our side is an epoch of `fitting.Fitter`, all inside one graph. PyTorch trains the same network (the same numbers of
parameters) on the same batches, drawn from memory, in its fastest setting. Batches are of nearly the same size in both.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from benchmarks import turns
from benchmarks.rows import row
from rembrandt_featgen.training import fitting


def measure(config, peers: bool) -> tuple[list[dict], dict]:
    """Rows and what each side took."""
    shape = [config.feature_size, config.feature_size, config.feature_channels]
    sides = {}
    for precision in config.precisions:
        options = {"precision": precision, "shape": shape, "batch": config.classifier_batch}
        options |= {"filters": config.classifier_filters, "units": config.classifier_units}
        options["samples"] = config.classifier_samples
        sides[precision] = turns.Side(f"{__name__}:train", options)
        if peers:
            sides[f"pytorch {precision}"] = turns.Side("benchmarks.peers.classifier:train", options, peer=True)
    found = turns.take_turns(sides, config.rounds)
    counts = {name: one.facts["parameters"] for name, one in found.items()}
    if len(set(counts.values())) > 1:
        raise RuntimeError(f"the networks are not the same: they have {counts} parameters")
    speed = {name: config.classifier_samples / one.median for name, one in found.items()}
    reference, rows = config.precisions[0], []
    for precision in config.precisions:
        other = None if precision == reference else speed[reference]
        against = None if precision == reference else reference
        rows.append(row(f"classifier_train_{precision}", speed[precision], "samples/s", other, against))
        other = speed.get(f"pytorch {precision}")
        if other:
            name = f"classifier_train_{precision}_vs_pytorch"
            rows.append(row(name, speed[precision], "samples/s", other, f"pytorch {precision}"))
    return rows, found


def train(options: dict) -> turns.Work:
    """A side: an epoch."""
    fitter = fitting.Fitter(
        fitting.Architecture("cnn", tuple(options["shape"]), options["filters"], options["units"], options["precision"])
    )
    fitter.reset(0, 1e-3)
    features = tf.nn.relu(tf.random.stateless_normal([options["samples"], *options["shape"]], [0, 0]) - 1.0)
    labels, random = tf.cast(tf.range(options["samples"]) % 2, tf.float32), np.random.default_rng(0)

    def epoch():
        return fitter.epoch(features, labels, options["batch"], fitting.Objective(), fitting.Mixing(), random)

    return turns.Work(epoch, {"parameters": sum(x.size for x in fitter.get_weights())})
