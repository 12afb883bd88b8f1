"""Samples for the tests of classifiers of vectors."""

import numpy as np

from rembrandt_featgen.classification.training_problems import Problem


def samples(n, d, classes, *, seed=0):
    """Features [n, d] of which the first ones tell the classes apart, somewhat, and labels [n] with each class."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(n) % classes)
    features = random.normal(size=(n, d)).astype(np.float32)
    features[np.arange(n), labels] += 1.0
    return features, labels


def problem(n, d, classes, *, seed=0, **options):
    """One on `samples`."""
    return Problem(*samples(n, d, classes, seed=seed), classes, seed=seed, **options)
