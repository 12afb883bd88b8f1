"""Training of the CNN classifier, on features in memory, in samples per second.

Our side is an epoch of `map_fitter.Fitter`, all inside one graph. PyTorch trains the same network (the same numbers of
parameters) on the same batches, drawn from memory, in its fastest setting. Batches are of nearly the same size in both.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from benchmarks import rows, turns
from rembrandt_featgen.classification import map_fitter, map_networks


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
    turns.check_parameters(found)
    speed = {name: config.classifier_samples / one.median for name, one in found.items()}
    names = {one: f"classifier_train_{one}_vs_pytorch" for one in config.precisions}
    measured = rows.of_precisions("classifier_train_{}", speed, "samples/s", precisions=config.precisions)
    return measured + rows.against_pytorch(names, speed, "samples/s"), found


def train(options: dict) -> turns.Work:
    """A side: an epoch."""
    architecture = map_networks.Architecture(
        kind="cnn",
        shape=tuple(options["shape"]),
        filters=options["filters"],
        units=options["units"],
        precision=options["precision"],
    )
    fitter = map_fitter.Fitter(architecture)
    fitter.reset(0, 1e-3)
    features = tf.nn.relu(tf.random.stateless_normal([options["samples"], *options["shape"]], [0, 0]) - 1.0)
    targets, random = tf.one_hot(tf.range(options["samples"]) % 2, 2), np.random.default_rng(0)

    def epoch():
        return fitter.epoch(
            features,
            targets,
            batch=options["batch"],
            focusing=0.0,
            mixing=map_fitter.Mixing(),
            random=random,
        )

    return turns.Work(epoch, {"parameters": sum(x.size for x in fitter.get_weights())})
