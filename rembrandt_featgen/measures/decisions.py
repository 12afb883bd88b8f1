"""From probabilities of the classes to one class: thresholds, and how validation patients choose them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

THRESHOLD = 0.5  # of the positive class of two


def two_columns(positive: ArrayLike) -> np.ndarray:
    """[..., 2] float64 of what is known of the positive class of two, 1: a probability, or a threshold of it.

    Args:
      positive: [...] in [0, 1].
    """
    positive = np.asarray(positive, np.float64)
    return np.stack([1.0 - positive, positive], axis=-1)


def even(num_classes: int) -> np.ndarray:
    """[num_classes] thresholds by which the most probable class is decided for; 0.5 for each of two."""
    return np.full(num_classes, 1.0 / num_classes)


def decide(probabilities: ArrayLike, thresholds: ArrayLike | None = None) -> np.ndarray:
    """The class of the greatest probability divided by its threshold.

    With thresholds (1 - t, t) of two classes that is: positive where its probability is above t. With the shares of the
    classes in training as thresholds it is the class that would be the most probable were all equally frequent.

    Args:
      probabilities: [..., classes] in [0, 1].
      thresholds: [classes], or [..., classes] where samples were predicted by models (folds) that chose different ones;
        None for `even`. A class of threshold 0 is never decided for, but where it is one of two.

    Returns:
      [...] int64 labels; of equals the first.

    Reference: Elkan 2001, "The foundations of cost-sensitive learning", theorem 1.
    """
    p = np.asarray(probabilities, np.float64)
    t = even(p.shape[-1]) if thresholds is None else np.asarray(thresholds, np.float64)
    if p.shape[-1] == 2:  # p / t would round
        return (p[..., 1] > t[..., 1]).astype(np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(t > 0, p / t, -1.0).argmax(axis=-1)


def prior(labels: ArrayLike, num_classes: int, class_weights: ArrayLike | None = None) -> np.ndarray:
    """[num_classes] share of each class in what a classifier is fitted with.

    Args:
      labels: [n] of the training samples, those that were added among them.
      num_classes: of the run.
      class_weights: [num_classes] of a sample of each class in the loss; None for equal ones.
    """
    mass = np.bincount(np.asarray(labels, np.int64), minlength=num_classes).astype(np.float64)
    mass = mass if class_weights is None else mass * np.asarray(class_weights, np.float64)
    return mass / mass.sum()


def choose_thresholds(labels: ArrayLike, probabilities: np.ndarray, training_prior: ArrayLike) -> np.ndarray:
    """Thresholds by which classes are decided for: of two chosen on validation, of more the training prior.

    Args:
      labels: [patients] of validation patients.
      probabilities: [patients, classes] of them.
      training_prior: [classes], `prior` of what the classifier was fitted with.

    Returns:
      [classes]: (1 - t, t) with the t of `choose_threshold`, or the prior.
    """
    if probabilities.shape[1] == 2:
        return two_columns(choose_threshold(labels, probabilities[:, 1]))
    return np.asarray(training_prior, np.float64)


def choose_threshold(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """The threshold of greatest balanced accuracy, for predictions of patients who are not the test's.

    Args:
      labels: [patients] in {0, 1}.
      probabilities: [patients] in [0, 1], of the positive class.

    Returns:
      0.5 or a midpoint between neighbouring scores; of equally good ones the nearest to 0.5, the lower at equal
      distance; 0.5 when a class is missing.
    """
    positive, p = np.asarray(labels) == 1, np.asarray(probabilities, np.float64)
    above, below = np.sort(p[positive]), np.sort(p[~positive])
    if not (len(above) and len(below)):
        return THRESHOLD
    scores = np.unique(p)
    candidates = np.append(scores[:-1] + np.diff(scores) / 2.0, THRESHOLD)
    hits = len(above) - np.searchsorted(above, candidates, side="right")
    # Balanced accuracy times 2 x positives x negatives: whole numbers, so that ties are ties.
    value = hits * len(below) + np.searchsorted(below, candidates, side="right") * len(above)
    best = np.sort(candidates[value == value.max()])
    return float(best[np.argmin(np.abs(best - THRESHOLD))])
