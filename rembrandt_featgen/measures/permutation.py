"""Permutation tests over patients, and Holm's adjustment of their p-values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.measures.out_of_fold import OutOfFold

EXACT = 12  # patients up to which all 2^n swaps are enumerated


class PairedTest(NamedTuple):
    """Difference of balanced accuracy between two arms, and its two-sided p-value."""

    difference: float
    p_value: float


def paired_permutation(
    labels: np.ndarray,
    before: OutOfFold,
    after: OutOfFold,
    *,
    groups: np.ndarray | None = None,
    permutations: int = 10000,
    seed: int = 0,
) -> PairedTest:
    """Tests whether two arms differ in balanced accuracy: each patient's scores are swapped between them at random.

    All runs of a patient are swapped together, with the thresholds of its folds. As each run holds every patient, the
    mean balanced accuracy over runs is a sum over patients, and swapping a patient changes the sign of its part.

    Args:
      labels: [patients] in [0, classes).
      before, after: predictions of these patients in the same number of runs.
      groups: [patients] of those who are swapped together, such as a family; None where each is swapped alone.
      permutations: random ones, where more than `EXACT` patients differ between the arms.
      seed: of the permutations.

    Returns:
      `PairedTest`, difference after - before; NaN where a class has no patient.

    Raises:
      ValueError: an arm's arrays do not fit the labels or each other.

    Reference: Good 2005, "Permutation, parametric and bootstrap tests of hypotheses", chapter 3 (matched pairs).
    """
    labels = np.asarray(labels)
    first, second = (arm.correct(labels, name) for arm, name in ((before, "before"), (after, "after")))
    if first.shape != second.shape:
        raise ValueError(
            f"{len(first)} runs before, {len(second)} after; swapping needs the same number of runs of both arms"
        )
    num_classes = np.shape(before.probabilities)[-1]
    sizes = np.bincount(labels, minlength=num_classes)
    if not sizes.all():
        return PairedTest(np.nan, np.nan)
    parts = (second.mean(axis=0) - first.mean(axis=0)) / (float(num_classes) * sizes[labels])
    return PairedTest(float(parts.sum()), sign_flip(of_groups(parts, groups), permutations, seed))


def of_groups(parts: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """[groups] sums of the parts [patients] of each group; the parts as they are for None."""
    return parts if groups is None else np.bincount(np.unique(groups, return_inverse=True)[1], parts)


def sign_flip(parts: np.ndarray, permutations: int = 10000, seed: int = 0) -> float:
    """Two-sided permutation p-value of a sum whose independent parts are symmetric about 0 under the null hypothesis.

    Args:
      parts: [n], one for each patient. Zeros change no sum and are left out.
      permutations: number m of random signs, where more than `EXACT` parts are not zero; otherwise all 2^n are tried.
      seed: of the signs.

    Returns:
      Share of all signs whose sum is at least as far from 0, or (b + 1) / (m + 1) with b of m random ones (Phipson
      and Smyth 2010, "Permutation p-values should never be zero"); 1 where no part differs from 0.
    """
    parts = np.asarray(parts, np.float64)
    parts = parts[parts != 0]
    if not parts.size:
        return 1.0
    exact = parts.size <= EXACT
    if exact:
        bits = np.arange(2**parts.size)[:, None] >> np.arange(parts.size) & 1
    else:
        bits = np.random.default_rng(seed).integers(0, 2, (permutations, parts.size))
    sums = np.abs((2.0 * bits - 1.0) @ parts)
    # Sums that are equal but for rounding count as equal.
    extreme = int(np.sum(sums >= np.abs(parts.sum()) - 1e-9 * np.abs(parts).sum()))
    return extreme / len(sums) if exact else (extreme + 1) / (len(sums) + 1)


def label_permutation(labels: np.ndarray, decided: np.ndarray, permutations: int = 10000, seed: int = 0) -> float:
    """Two-sided p-value of balanced accuracy, under the null hypothesis that labels were given to patients at random.

    Args:
      labels: [patients] in [0, classes).
      decided: [runs, patients] class that each run decided for.
      permutations: number m of random orders of the labels.
      seed: of these.

    Returns:
      (b + 1) / (m + 1), where b orders lead at least as far from their mean as the true one.
    """
    sizes = np.bincount(labels).astype(np.float64)
    # [patients, classes]: what a patient would add were it of that class
    parts = np.mean(decided[..., None] == np.arange(len(sizes)), axis=0) / np.where(sizes > 0, sizes, np.nan)
    generator, each = np.random.default_rng(seed), np.arange(len(labels))
    shuffled = [parts[each, generator.permutation(labels)].sum() for _ in range(permutations)]
    middle = np.nanmean(parts * len(labels), axis=0) @ sizes / len(labels)
    gap = abs(parts[each, labels].sum() - middle)
    return (int(np.sum(np.abs(np.array(shuffled) - middle) >= gap - 1e-9)) + 1) / (permutations + 1)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's step-down adjustment of p-values, for the family-wise error rate.

    Args:
      p_values: [n] in [0, 1]; a NaN (a test that could not be made) stays NaN and is not counted.

    Returns:
      [n] adjusted: of the i-th smallest (from 0), the largest of (n - j) p_j over j <= i, at most 1.

    Reference: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    p = np.asarray(p_values, np.float64)
    adjusted = np.full(p.shape, np.nan)
    order = np.argsort(p, kind="stable")[: np.sum(~np.isnan(p))]  # NaNs sort last
    steps = np.arange(len(order), 0, -1) * p[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
