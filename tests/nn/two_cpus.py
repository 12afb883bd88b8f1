"""Trains each kind of network on one and on two virtual CPUs, and prints the curves as JSON.

A program of its own: a process has the CPUs that it was given before TensorFlow computed anything.
"""

import json

import numpy as np
import tensorflow as tf

from rembrandt_featgen.classification import map_networks
from rembrandt_featgen.features import crops
from rembrandt_featgen.generation import gan_training
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.generation.gan_spec import GanSpec
from rembrandt_featgen.nn import distribution, mixed_precision, optimizers, replicated
from rembrandt_featgen.segmentation import class_aware, losses
from rembrandt_featgen.segmentation.unet import build_unet

STEPS = 3
ROWS = 5  # of a batch, which are 2 and 3 of the replicas
RANDOM = np.random.default_rng(0)
LABELS = (np.arange(2 * ROWS) % 2).astype(np.int32)
IMAGES = RANDOM.normal(size=(2 * ROWS, 32, 32, 1)).astype(np.float32)
MASKS = (RANDOM.uniform(size=IMAGES.shape) < 0.2 * (1 + LABELS[:, None, None, None])).astype(np.uint8)
MAPS = np.maximum(RANDOM.normal(size=(2 * ROWS, 4, 4, 3)), 0).astype(np.float32)
WEIGHTS = np.where(LABELS, 1.5, 0.5).astype(np.float32)


def unet(norm="batch", loss=losses.batch_soft_dice_loss):
    rate = optimizers.schedule("cosine", 1e-2, 10, warmup_steps=1)
    model = replicated.replicated(build_unet(1, 2, norm=norm), 1)
    optimizer = optimizers.adamw(rate, model.trainable_variables, weight_decay=0.1)
    model.compile(optimizer, lambda t, p: loss(t, p) + losses.cross_entropy(t, p), [losses.iou, losses.TumourFound()])
    return model, (IMAGES, MASKS)


def unet_of_slices():
    return unet("none", losses.soft_dice_loss)


def unet_with_classes():
    model = class_aware.ClassAware(build_unet(1, 2), weight=0.5, class_weights=[0.5, 1.5])
    model.compile(mixed_precision.adam(1e-2), losses.batch_soft_dice_loss, [losses.iou])
    return model, (IMAGES, (MASKS, LABELS))


def crop_cnn():
    model = replicated.replicated(crops.build_cnn(16, 1, 2), 1)
    model.compile(mixed_precision.adam(1e-2), "binary_crossentropy", weighted_metrics=[])
    return model, (IMAGES[:, :16, :16], LABELS, WEIGHTS)


def classifier(kind):
    network = map_networks.build_classifier(
        map_networks.Architecture(kind, MAPS.shape[1:], filters=2, units=4), np.ones(MAPS.shape[-1], np.float32)
    )
    model, loss = map_networks.for_training(network)
    model = replicated.replicated(model, 1)
    model.compile(mixed_precision.adam(1e-2), loss, ["accuracy", tf.keras.metrics.AUC(name="auroc")])
    return model, (MAPS, LABELS)


def gan(kind, precision="float32"):
    values = IMAGES[:, :16, :16] if KINDS[kind].of_images else MAPS
    spec = GanSpec(
        kind,
        values.shape[1:],
        2,
        filters_generator=4,
        filters_discriminator=4,
        latent=3,
        codes=2,
        precision=precision,
        seed=3,
    )
    scale = np.ones(values.shape[-1], np.float32)
    return gan_training.compiled(spec, scale, 0.0, learning_rate=1e-2, beta1=0.5), (values, LABELS)


NETWORKS = {
    "unet": unet,
    "unet_of_slices": unet_of_slices,
    "unet_with_classes": unet_with_classes,
    "crop_cnn": crop_cnn,
    **{kind: lambda kind=kind: classifier(kind) for kind in map_networks.KINDS},
    **{kind: lambda kind=kind: gan(kind) for kind in KINDS},
    "acgan_float16": lambda: gan("acgan", "float16"),
}


def train(where, make, steps=STEPS):
    """Logs of a training step by step, and of each variable the mean of the weights' absolute values."""
    tf.keras.backend.reset_uids()
    tf.keras.utils.set_random_seed(1)
    with distribution.scope(where):
        model, rows = make()
        model.run_eagerly = True  # a few steps, which take less time than to trace one
        model._steps_per_execution.assign(1)
        model.distribute_reduction_method = "first"
        batches = tf.data.Dataset.from_tensor_slices(rows).batch(ROWS)
        if not distribution.is_distributed(where):
            batches = batches.repeat()
        logs = model.fit(distribution.batches(where, batches), steps_per_epoch=1, epochs=steps, verbose=0).history
    return {"logs": logs, "weights": [float(np.abs(weight).mean()) for weight in model.get_weights()]}


def same_noise(share):
    """`distribution.share` of replicas that all take the first rows of what is drawn."""

    def shared(batch):
        found = share(batch)
        return found._replace(first=0 * found.total)

    return shared


def main():
    cpus = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)
    two = distribution.strategy("mirrored")
    one = tf.distribute.MirroredStrategy(["/cpu:0"])
    found = {"replicas": two.num_replicas_in_sync}
    for name, make in NETWORKS.items():
        found[name] = {"one": train(one, make), "two": train(two, make)}
    found["unet"]["default"] = train(distribution.strategy("one"), unet)

    def noise():
        rows = tf.zeros([2 + tf.distribute.get_replica_context().replica_id_in_sync_group])
        return distribution.draws(lambda total: tf.random.stateless_normal([total], [1, 2]), rows)

    found["noise"] = [values.numpy().tolist() for values in two.experimental_local_results(two.run(noise))]
    found["drawn"] = tf.random.stateless_normal([5], [1, 2]).numpy().tolist()
    distribution.share = same_noise(distribution.share)
    found["acgan"]["same_noise"] = train(two, NETWORKS["acgan"])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
