"""Separable features of a training and of a validation set that tests of trainings share."""

import dataclasses

import numpy as np

from rembrandt_featgen.evaluation import arms
from rembrandt_featgen.evaluation.trials import Settings, Validation
from rembrandt_featgen.generation.training_set import Samples, TrainingSet

SHAPE = (6, 6, 3)
SMALL = Settings(filters=4, units=8, epochs=12, patience=0, batch=8, learning_rate=1e-2)
# One step that goes nowhere: its loss is that of the initial weights.
STILL = dataclasses.replace(SMALL, kind="linear", epochs=1, batch=100, learning_rate=0.0)
SCALE = np.array([2.0, 20.0, 0.0], np.float32)  # the last channel never fires


def features_of(labels, seed):
    """Separable by the first two channels, in units far apart."""
    features = np.maximum(np.random.default_rng(seed).normal(0.5, 0.3, (len(labels), *SHAPE)), 0.0)
    features[..., 0] += 1.5 * (labels == 1)[:, None, None]
    features[..., 1] += 1.5 * (labels == 0)[:, None, None]
    return (features * SCALE).astype(np.float32)


def training_set(negatives=8, positives=16):
    labels = np.array([0] * negatives + [1] * positives)
    features = features_of(labels, 0)
    features.flags.writeable = False
    patients = np.array([f"t{i // 2}" for i in range(len(labels))])
    return TrainingSet(features, labels, patients=patients, scale=SCALE, num_classes=2)


def validation_set(seed=1):
    labels = np.array([0, 0, 0, 1, 1, 1, 1])
    features = features_of(labels, seed)
    features.flags.writeable = False
    return Validation(features, labels, np.array(["v0", "v0", "v1", "v2", "v2", "v3", "v4"]))


def filled(arm):
    labels = np.array([0] * 30 + [1] * 30)
    return arms.with_pool(arm, Samples(features_of(labels, 2), labels)) if arm.pooled else arm


def amount_of(arm):
    return 0.5 if arm.takes_amount else None
