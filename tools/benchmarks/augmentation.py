"""Augmentation of slices with their masks by all of Table 1, in slices per second.

Our side is `augmentation.augment` inside tf.data, in batches, as in training. The others do flips, elastic distortion,
rotation, shift, shear and zoom with the ranges of Table 1, slice by slice, in the fastest of their settings (one
process, two threads, two processes, ...), and leave out what they do not have. TensorLayer's prepro runs in our
environment.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from benchmarks import turns
from benchmarks.peers import slicewise
from benchmarks.rows import row
from rembrandt_featgen.data import augmentation, store

PEERS = ("monai", "torchio", "batchgenerators", "albumentations")


def measure(config, peers: bool) -> tuple[list[dict], dict]:
    """Rows and what each side took."""
    size = {"size": config.image_size}
    ours = turns.Side(f"{__name__}:ours", {**size, "slices": config.slices, "batch": config.batch})
    few = {**size, "slices": config.peer_slices}
    sides = {"ours": ours, "tensorlayer": turns.Side(f"{__name__}:tensorlayer", few)}
    if peers:
        sides |= {name: turns.Side(f"benchmarks.peers.augmentation:{name}", few, peer=True) for name in PEERS}
    found = turns.take_turns(sides, config.rounds)
    speed = {name: sides[name].options["slices"] / one.median for name, one in found.items()}
    rows = [row(f"augmentation_{name}", value, "slices/s") for name, value in speed.items()]
    rows.append(
        row("augmentation_vs_tensorlayer", speed["ours"], "slices/s", other=speed["tensorlayer"], against="tensorlayer")
    )
    others = {name: value for name, value in speed.items() if name in PEERS}
    if others:
        best = max(others, key=lambda name: others[name])
        rows.append(row("augmentation_vs_fastest_peer", speed["ours"], "slices/s", other=others[best], against=best))
    return rows, found


def ours(options: dict) -> turns.Work:
    """A side: batches through tf.data, two at a time."""
    images, masks = slicewise.slices(options["batch"], options["size"])
    count = -(-options["slices"] // options["batch"])
    batches = tf.data.Dataset.from_tensors((tf.constant(images), tf.constant(masks))).repeat().enumerate()

    def augment(number, batch):
        images, masks = batch
        return augmentation.augment(images, masks, tf.stack([number, 0]))

    batches = batches.map(augment, num_parallel_calls=2)
    batches = iter(store.untuned(batches.prefetch(2)))  # one for all rounds, as a training has one for all epochs

    def work():
        for _ in range(count):
            next(batches)

    return turns.Work(work)


def tensorlayer(options: dict) -> turns.Work:
    """A side: TensorLayer's functions in the order of Table 1; its zoom_multi fails, so its parts are called."""
    from tensorlayer import prepro

    images, masks = slicewise.slices(options["slices"], options["size"])
    centre = options["size"]

    def one(index):
        pair = [images[index], masks[index]]
        pair = prepro.flip_axis_multi(pair, axis=1, is_random=True)
        pair = prepro.flip_axis_multi(pair, axis=0, is_random=True)
        pair = prepro.elastic_transform_multi(pair, alpha=720, sigma=24, is_random=True)
        pair = prepro.rotation_multi(pair, rg=20, is_random=True, fill_mode="constant")
        pair = prepro.shift_multi(pair, wrg=0.10, hrg=0.10, is_random=True, fill_mode="constant")
        pair = prepro.shear_multi(pair, 0.05, is_random=True, fill_mode="constant")
        zoom = prepro.transform_matrix_offset_center(prepro.affine_zoom_matrix((0.9, 1.1)), centre, centre)
        return [prepro.affine_transform(np.asarray(x), zoom, fill_mode="constant") for x in pair]

    return turns.Work(*turns.fastest(slicewise.ways(one, options["slices"])))
