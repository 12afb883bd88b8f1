"""Two training steps of each network, step by step and compiled by XLA: python -m tests.nn.jit_steps (see test_jit)."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.classification import map_networks
from rembrandt_featgen.generation import gan_training
from rembrandt_featgen.generation.gan_spec import GanSpec
from rembrandt_featgen.nn import devices, mixed_precision
from rembrandt_featgen.segmentation import losses
from rembrandt_featgen.segmentation.unet import build_unet


def unet():
    """(model, batch) of a U-Net with batch norm."""
    model = build_unet(1, 1, norm="batch")
    model.compile(mixed_precision.adam(1e-3), losses.batch_soft_dice_loss, [losses.iou])
    images = tf.random.stateless_normal([2, 16, 16, 1], [0, 0])
    return model, (images, tf.cast(images > 1.0, tf.float32))


def acgan():
    """Of an ACGAN with given noise: XLA draws other numbers from the same seed."""
    spec = GanSpec("acgan", (4, 4, 2), 2, filters_generator=4, filters_discriminator=4, latent=3, flip=False)
    model = gan_training.compiled(spec, np.ones(2, np.float32), 0.0, learning_rate=1e-3, beta1=0.5)
    noise, labels = tf.random.stateless_normal([4, 3], [0, 2]), tf.constant([1, 0, 0, 1])
    model._noise_and_labels = lambda batch: (noise, labels)
    return model, (tf.nn.relu(tf.random.stateless_normal([4, 4, 4, 2], [0, 1])), tf.constant([0, 1, 0, 1]))


def classifier():
    """Of the CNN classifier."""
    architecture = map_networks.Architecture("cnn", (4, 4, 2), filters=2, units=4)
    model, loss = map_networks.for_training(map_networks.build_classifier(architecture, np.ones(2, np.float32)))
    model.compile(mixed_precision.adam(1e-3), loss, ["accuracy"])
    return model, (tf.random.stateless_normal([4, 4, 4, 2], [0, 1]), tf.constant([0, 1, 0, 1]))


NETWORKS = {"unet": unet, "acgan": acgan, "classifier": classifier}


def weights_after_steps(name: str, *, dropout: bool = False, steps: int = 2) -> list[np.ndarray]:
    """Of a network that is built anew; mostly without dropout, for each kind of device drops others."""
    tf.keras.backend.clear_session()
    tf.keras.utils.set_random_seed(1)
    model, batch = NETWORKS[name]()
    for layer in model.submodules:
        if isinstance(layer, tf.keras.layers.Dropout) and not dropout:
            layer.rate = 0.0
    model.fit(tf.data.Dataset.from_tensors(batch).repeat(), steps_per_epoch=steps, verbose=0)
    return model.get_weights()


if __name__ == "__main__":
    dumped, found = Path(os.environ["DUMPED"]), {}
    for name in NETWORKS:
        devices.use("cpu")
        plain, before = weights_after_steps(name), len([*dumped.glob("*")])
        devices.use("cpu", jit=True)
        compiled, after = weights_after_steps(name), len([*dumped.glob("*")])
        furthest = max(float(np.abs(a - b).max()) for a, b in zip(plain, compiled))
        found[name] = {"furthest": furthest, "before": before, "after": after}
    json.dump(found, sys.stdout)
