"""Nearest neighbours, with probabilities that are never 0 or 1."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from rembrandt_featgen.classification import training_problems
from rembrandt_featgen.classification.training_problems import Problem

_CHUNK_BYTES = 64 * 2**20


@dataclasses.dataclass(frozen=True)
class NeighbourSettings:
    """There is nothing to set: the number of neighbours is the strength."""


def fit(problems: Sequence[Problem], settings: NeighbourSettings, strengths: Sequence[float]) -> list[dict]:
    """Keeps the samples that have a weight; focusing changes nothing, as there is no loss.

    Args:
      problems: of any sizes.
      settings: none.
      strengths: numbers of neighbours, from 1; where a problem has fewer samples all of them vote.

    Returns:
      {"samples": [n, d] float32, "votes": [n, classes], "count"} of each problem.

    Raises:
      ValueError: a strength is no whole number from 1.
    """
    if any(strength < 1 or strength != int(strength) for strength in strengths):
        raise ValueError(f"a number of neighbours is a whole number from 1, received {list(strengths)}")
    results = []
    for problem, strength in zip(problems, strengths):
        samples, votes = training_problems.all_mixed(problem, problem.features)
        kept = votes.sum(1) > 0
        samples, votes = samples[kept], votes[kept]
        count = min(int(strength) * (len(samples) // len(problem.features)), len(samples))
        results.append({"samples": samples.astype(np.float32), "votes": votes, "count": np.array(count)})
    return results


def logits(arrays: dict, features: np.ndarray) -> np.ndarray:
    """[m, classes] logarithms of Laplace-smoothed votes: probabilities are (votes + 1) / (all votes + classes)."""
    samples, count = arrays["samples"].astype(np.float64), int(arrays["count"])
    lengths = (samples**2).sum(1)
    votes = np.zeros((len(features), arrays["votes"].shape[1]))
    rows = max(1, _CHUNK_BYTES // (16 * len(samples)))
    for start in range(0, len(features), rows):
        part = features[start : start + rows]
        # without the length of the sample itself, which is the same for all of them
        nearest = np.argsort(lengths - 2 * part @ samples.T, 1, kind="stable")[:, :count]
        votes[start : start + rows] = arrays["votes"][nearest].sum(1)
    return np.log(votes + 1.0)
