"""Stages under --strategy=mirrored on two virtual CPUs, interrupted and resumed: see test_mirrored_stages.

A program of its own: a process has the CPUs that it was given before TensorFlow computed anything.
"""

import sys
from pathlib import Path

import tensorflow as tf

from rembrandt_featgen.nn import checkpointing, inference
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
    for stage, flags, first, then in (
        (train_generators, GAN, MIRRORED, ONE),
        (train_classifiers, CLASSIFIER, ONE, MIRRORED),
    ):
        stage.run(stage.Config(whole, **flags, strategy=ONE))
        interrupted(stage, stage.Config(broken, **flags, strategy=first))
        stage.run(stage.Config(broken, **flags, strategy=then))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
