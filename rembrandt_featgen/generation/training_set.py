"""Extra training samples, and how many of each class are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Samples(NamedTuple):
    """Features [n, *shape] float32 and their labels [n]."""

    features: np.ndarray
    labels: np.ndarray


def counts(labels: np.ndarray, amount: float, num_classes: int) -> dict[int, int]:
    """Extra samples of each class at an amount.

    Amount 0 brings each class up to the largest, and no more. Amount a > 0 does that and then adds a * n / classes more
    to each class, rounded half up, so that amount 1 adds as many as there were real samples, equally many of each
    class.

    Args:
      labels: [n] of the real training samples.
      amount: from 0.
      num_classes: of the run.

    Returns:
      Label to number.

    Raises:
      ValueError: the amount is negative.
    """
    if amount < 0:
        raise ValueError(f"amount must be from 0, received {amount}")
    real = np.bincount(labels, minlength=num_classes)
    more = int(amount * len(labels) / num_classes + 0.5)
    return {label: int(real.max() - real[label] + more) for label in range(num_classes)}


def check_amounts(amounts: Sequence[float]) -> None:
    """ValueError for amounts of extra samples that are none, below 0, not finite or shown alike."""
    if not amounts or min(amounts) < 0 or not np.isfinite(amounts).all():
        raise ValueError("give at least one, each from 0 on")
    if len({f"{amount:g}" for amount in amounts}) < len(amounts):
        raise ValueError("names one twice; give each once")
