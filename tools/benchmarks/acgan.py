"""Steps of the ACGAN, of D and then of G, on features of 15x15x1024 in batches of 16, in steps per second.

Our side is `fit` on a tf.data pipeline, as training does it. PyTorch does the same step (the same networks with
spectral norm, batch norm and dropout, three passes of D and one of G, the same losses, two Adams) in its fastest
setting.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from benchmarks import graphs, rows, turns
from rembrandt_featgen.data import store
from rembrandt_featgen.generation.gan import build_gan
from rembrandt_featgen.generation.gan_spec import GanSpec
from rembrandt_featgen.nn import mixed_precision


def measure(config, peers: bool) -> tuple[list[dict], dict]:
    """Rows and what each side took; the ratio is of the last precision, and of the others under names of their own."""
    shape = [config.feature_size, config.feature_size, config.feature_channels]
    sides = {}
    for precision in config.precisions:
        options = {"precision": precision, "shape": shape, "filters": config.gan_filters, "batch": config.gan_batch}
        options["steps"] = config.gan_steps
        sides[precision] = turns.Side(f"{__name__}:train", options)
        if peers:
            sides[f"pytorch {precision}"] = turns.Side("benchmarks.peers.acgan:train", options, peer=True)
    found = turns.take_turns(sides, config.rounds)
    turns.check_parameters(found)
    speed = {name: config.gan_steps / one.median for name, one in found.items()}
    names = rows.named_by_last("acgan_step{}_vs_pytorch", config.precisions)
    measured = rows.of_precisions("acgan_step_{}", speed, "steps/s", precisions=config.precisions)
    return measured + rows.against_pytorch(names, speed, "steps/s"), found


def train(options: dict) -> turns.Work:
    """A side: so many steps as an epoch."""
    gan, batch = _compiled(options), _batch(options)
    batches = store.untuned(tf.data.Dataset.from_tensors(batch).repeat().prefetch(2))
    networks = (gan.generator, gan.discriminator)
    facts = {"parameters": sum(int(tf.size(x)) for network in networks for x in network.trainable_weights)}
    return turns.Work(lambda: gan.fit(batches, steps_per_epoch=options["steps"], verbose=0), facts)


def loop(options: dict) -> turns.Work:
    """A side: so many steps in one graph, on a batch that stays where they are."""
    return turns.Work(graphs.steps_in_graph(_compiled(options), _batch(options), options["steps"]))


def _compiled(options):
    shape = options["shape"]
    spec = GanSpec(
        kind="acgan",
        shape=tuple(shape),
        num_classes=2,
        filters_generator=options["filters"],
        filters_discriminator=options["filters"],
        # which peers do not have
        ema_decay=0.0,
        flip=False,
        minibatch_stddev=False,
        precision=options["precision"],
    )
    gan = build_gan(spec, np.ones(shape[-1], np.float32))
    steps = options.get("steps_per_execution", 1)
    gan.compile(mixed_precision.adam(2e-4, 0.5), mixed_precision.adam(2e-4, 0.5), steps_per_execution=steps)
    return gan


def _batch(options):
    features = tf.random.stateless_normal([options["batch"], *options["shape"]], [0, 0])
    return tf.nn.relu(features - 1.0), tf.range(options["batch"]) % 2
