"""Simulated out-of-fold predictions that tests of resampling share."""

import numpy as np
from scipy import special
from sklearn import metrics

from rembrandt_featgen.measures import decisions
from rembrandt_featgen.measures.out_of_fold import OutOfFold


def of_positive(probabilities, threshold=None):
    """An arm of two classes, by probabilities [runs, patients] of the positive one."""
    return OutOfFold(
        decisions.two_columns(probabilities), None if threshold is None else decisions.two_columns(threshold)
    )


def cohort(generator, patients=40, runs=3, effect=0.5, noise=0.5):
    """Labels, and an arm whose true balanced accuracy is Phi(effect / sqrt(1 + noise^2)); its runs are correlated."""
    labels = np.arange(patients) % 2
    difficulty = generator.normal(size=patients)
    odds = effect * (2 * labels - 1) + difficulty + noise * generator.normal(size=(runs, patients))
    return labels, of_positive(special.expit(odds))


def balanced_accuracy(labels, arm):
    """Mean over runs, by scikit-learn."""
    positive = arm.probabilities[..., 1]
    thresholds = np.full(positive.shape, 0.5) if arm.thresholds is None else arm.thresholds[..., 1]
    return np.mean([metrics.balanced_accuracy_score(labels, p > t) for p, t in zip(positive, thresholds)])


def with_thresholds(arm, seed=0):
    positive = np.random.default_rng(seed).uniform(0.3, 0.7, arm.probabilities.shape[:2])
    return arm._replace(thresholds=decisions.two_columns(positive))
