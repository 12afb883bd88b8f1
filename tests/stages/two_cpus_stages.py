"""Stages under --strategy=mirrored on two virtual CPUs, interrupted and resumed: see test_mirrored_stages.

A program of its own: a process has the CPUs that it was given before TensorFlow computed anything.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data.truth import Truth
from rembrandt_featgen.nn import checkpointing, distribution, inference
from rembrandt_featgen.segmentation import scoring
from rembrandt_featgen.segmentation.unet import build_unet
from rembrandt_featgen.stages import extract_features, train_classifiers, train_generators

ONE, MIRRORED = "one", "mirrored"
GAN = {"generators": ("acgan",), "gan_networks": "reference", "ndf": 4, "ngf": 4, "gan_batch": 6, "gan_epochs": 2}
GAN |= {"gan_learning_rate": 1e-2}
CLASSIFIER = {"classifier_kinds": ("linear",), "classifier_arms": ("baseline",), "classifier_epochs": 2}
CLASSIFIER |= {"classifier_batch": 6, "synthetic_added": 0, "classifier_learning_rate": 1e-2}


def interrupted(stage, config):
    """Ends the training of a stage after its first epoch."""
    save = checkpointing.Checkpointing._save

    def save_and_end(self):
        save(self)
        raise KeyboardInterrupt

    checkpointing.Checkpointing._save = save_and_end
    try:
        stage.run(config)
    except KeyboardInterrupt:
        return
    finally:
        checkpointing.Checkpointing._save = save
    raise RuntimeError("it was not interrupted")


def scored(where):
    """The table of a U-Net of two volumes, three slices at a time."""
    tf.keras.utils.set_random_seed(3)
    random = np.random.default_rng(3)
    images, masks = random.normal(size=(7, 16, 16, 1)).astype(np.float32), random.random((7, 16, 16, 1)) < 0.4
    truths = [
        Truth(name, mask[..., 0], np.array([0, 0, 16, 16]), np.array([16, 16]), np.ones(3), mask.sum((1, 2, 3)))
        for name, mask in (("a", masks[:4]), ("b", masks[4:]))
    ]
    batches = tf.data.Dataset.from_tensor_slices({"image": images, "mask": masks.astype(np.uint8)}).batch(3)
    predict = inference.runner(build_unet(1, 2, norm="batch"))
    found = scoring.measured(predict, batches, truths, rows=(0, 7), where=where)
    if len(set(found["slices"]["soft_dice_loss"])) < 7:
        raise RuntimeError(f"there is nothing to compare: {found}")
    return found


def compare(compute, seen):
    """RuntimeError where two devices do not compute what one does, to the last bit."""
    del seen[:]
    one, two = (compute(distribution.strategy(kind)) for kind in (ONE, MIRRORED))
    if one != two or sorted(seen, key=str) != [0, 1, None]:
        raise RuntimeError(f"of one device {one}, of two {two}, by {seen}")


def main(root):
    cpus = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)
    checkpointing.SAVE_SECONDS = 0.0
    whole, broken = str(root / "whole"), str(root / "broken")
    seen, of_device = [], inference.OnDevices._of_device
    inference.OnDevices._of_device = lambda self, number: seen.append(number) or of_device(self, number)
    for run, strategy in ((whole, ONE), (broken, MIRRORED)):
        extract_features.run(extract_features.Config(run, extract_batch=3, strategy=strategy))
    if sorted(seen, key=str) != [0, 1, None]:
        raise RuntimeError(f"networks were run on {seen}")
    compare(scored, seen)
    for stage, flags, first, then in (
        (train_generators, GAN, MIRRORED, ONE),
        (train_classifiers, CLASSIFIER, ONE, MIRRORED),
    ):
        stage.run(stage.Config(whole, **flags, strategy=ONE))
        interrupted(stage, stage.Config(broken, **flags, strategy=first))
        stage.run(stage.Config(broken, **flags, strategy=then))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
