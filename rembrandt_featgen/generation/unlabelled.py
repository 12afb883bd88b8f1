"""Patients whose class nobody said: a Gaussian mixture of labelled and unlabelled ones says it, for any generator."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import special

from rembrandt_featgen.generation.sampling_method import RealSamples
from rembrandt_featgen.generation.shrunk_covariance import shrunk_root

_ROUNDS = 30  # of expectation and maximisation
_NOTHING = 1e-6  # of a sample, below which a class has no share in it


def with_unlabelled(real: RealSamples, unlabelled: np.ndarray) -> RealSamples:
    """Real samples, and unlabelled ones that were given a class each, as what a method is to be fitted to.

    Classes are Gaussians of one covariance, shrunk as that of `gaussian`. Their means, shares and covariance are learnt
    from all samples by expectation and maximisation, in which labelled ones keep their class (Nigam et al., Text
    Classification from Labeled and Unlabeled Documents using EM, 2000). Then each unlabelled sample is given a class by
    lot, with its probabilities: the most probable class would move the means of classes apart.

    Args:
      real: the labelled ones.
      unlabelled: [m, *shape] scaled like them, each of a patient of its own.
    """
    if not len(unlabelled):
        return real
    flat = np.asarray(unlabelled, real.flat.dtype).reshape(len(unlabelled), -1)
    chances = probabilities(real, flat)
    lots = np.random.default_rng([real.seed, 5]).random(len(flat))
    labels = np.minimum((chances.cumsum(1) < lots[:, None]).sum(1), real.num_classes - 1)
    return dataclasses.replace(
        real,
        flat=np.concatenate([real.flat, flat]),
        labels=np.concatenate([real.labels, labels]),
        groups=np.concatenate([real.groups.astype(str), [f"unlabelled {number}" for number in range(len(flat))]]),
    )


def probabilities(real: RealSamples, flat: np.ndarray) -> np.ndarray:
    """[m, num_classes] of unlabelled samples [m, size] by the mixture; 0 of a class without a labelled sample."""
    values = np.concatenate([real.flat, flat]).astype(np.float64)
    known = np.zeros((len(real.labels), real.num_classes))
    known[np.arange(len(known)), real.labels] = 1.0
    of_known = known
    # first by the labelled ones alone
    for _ in range(_ROUNDS):
        found = _expected(values[: len(of_known)], of_known, values)
        of_known = np.concatenate([known, found[len(known) :]])
    return of_known[len(known) :]


def _expected(values, weights, everyone) -> np.ndarray:
    """[m, classes] probabilities of everyone, of a mixture learnt from values [n, size] with weights [n, classes]."""
    totals = weights.sum(0)
    means = weights.T @ values / np.maximum(totals, _NOTHING)[:, None]
    there = weights > _NOTHING
    rows = np.concatenate(
        [np.sqrt(weights[mask, k])[:, None] * (values[mask] - means[k]) for k, mask in enumerate(there.T)]
    )
    # a sample in which several classes share has several rows, of one sample's weight together
    root = shrunk_root(rows * np.sqrt(len(rows) / len(values)), np.abs(means).max(0))
    covariance = root.loadings.T @ root.loadings + np.diag(root.independent**2)
    directions = np.linalg.pinv(covariance, hermitian=True) @ means.T
    logits = everyone @ directions - 0.5 * np.sum(means.T * directions, 0)
    shares = np.divide(totals, totals.sum())
    return special.softmax(np.where(shares > 0, logits + np.log(np.maximum(shares, 1e-300)), -np.inf), axis=1)
