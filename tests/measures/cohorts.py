"""Simulated out-of-fold predictions that tests of resampling share."""

import numpy as np
from scipy import special
from sklearn import metrics

from rembrandt_featgen.measures.out_of_fold import OutOfFold


def cohort(generator, patients=40, runs=3, effect=0.5, noise=0.5):
    """Labels, and an arm whose true balanced accuracy is Phi(effect / sqrt(1 + noise^2)); its runs are correlated."""
    labels = np.arange(patients) % 2
    difficulty = generator.normal(size=patients)
    odds = effect * (2 * labels - 1) + difficulty + noise * generator.normal(size=(runs, patients))
    return labels, OutOfFold(special.expit(odds))


def balanced_accuracy(labels, arm):
    """Mean over runs, by scikit-learn."""
    thresholds = np.broadcast_to(arm.threshold, arm.probabilities.shape)
    return np.mean([metrics.balanced_accuracy_score(labels, p > t) for p, t in zip(arm.probabilities, thresholds)])


def with_thresholds(arm, seed=0):
    return arm._replace(threshold=np.random.default_rng(seed).uniform(0.3, 0.7, arm.probabilities.shape))
