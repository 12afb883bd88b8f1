"""Whether synthetic samples give away who was in the training set of their generator.

The game: a generator is trained on some patients (members) and not on others, again and again with other members. An
attacker sees its samples and a real patient, and scores how likely that one was a member. AUROC is 0.5 where nothing
leaks, and 1 where every member is known.

- `closeness`: how near the nearest synthetic sample is (distance to the closest record).
- `density_ratio`: the same against what is usual at that place, which real patients who are no members show.
- `aligned_closeness`: the same to samples of any class, once the means of the classes lie on each other: it finds
  patients who were moved into another class.
- `likelihood_ratio`: against what the attacker saw of the same patient when other generators, shadow models, were
  trained with and without them. The strongest, and the one that a careful publisher should fear.

Reference: Chen et al. 2020, "GAN-Leaks"; van Breugel et al. 2023, "Membership inference attacks against synthetic data
through overfitting detection" (DOMIAS); Carlini et al. 2022, "Membership inference attacks from first principles".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rembrandt_featgen.measures import pooled_features

FALSE_POSITIVES = 0.1  # the rate at which an attacker may wrongly call a patient a member
_TINY = 1e-9  # of distances: that of a copy is 0
_SHADOWS = 2  # generators with, and without, a patient that the likelihood ratio needs at least


class Attack(NamedTuple):
    """How well an attack tells members from others.

    Attributes:
      auroc: over pairs of a member and another patient of the same game and class.
      interval: 95%, over patients.
      caught: share of the members that it finds where 10% of the others are called members, too.
      caught_interval: 95%, over patients.
      by_label: label to AUROC and its interval.
    """

    auroc: float
    interval: tuple[float, float]
    caught: float
    caught_interval: tuple[float, float]
    by_label: dict[int, tuple[float, float, float]]


def closeness(candidates: np.ndarray, synthetic: np.ndarray) -> np.ndarray:
    """[n] -log of the distance of each candidate [n, d] to the nearest synthetic sample [m, d] of its class."""
    candidates, synthetic = pooled_features.checked(candidates, synthetic, least=1)
    nearest = np.concatenate([gaps.min(axis=1) for _, gaps in pooled_features.distances(candidates, synthetic)])
    return -np.log(np.maximum(nearest, _TINY))


def aligned_closeness(
    candidates: np.ndarray, synthetic: np.ndarray, *, labels: np.ndarray, synthetic_labels: np.ndarray
) -> np.ndarray:
    """[n] `closeness` to samples of any class, as deviations from the mean that synthetic samples of the class have.

    A generator that gives a class the deviations of another's patients publishes these patients but for a constant,
    which anybody can take away who has the synthetic samples.

    Args:
      candidates: [n, d] real patients.
      synthetic: [m, d].
      labels: [n], each of which has synthetic samples.
      synthetic_labels: [m].
    """
    candidates, synthetic = pooled_features.checked(candidates, synthetic, least=1)
    present, where = np.unique(synthetic_labels, return_inverse=True)
    means = np.stack([synthetic[synthetic_labels == label].mean(axis=0) for label in present])
    of_candidates = np.searchsorted(present, labels)
    if not np.array_equal(present.take(of_candidates, mode="clip"), labels):
        raise ValueError(f"candidates of classes {np.unique(labels)}, and synthetic samples of {present} alone")
    return closeness(candidates - means[of_candidates], synthetic - means[where])


def density_ratio(candidates: np.ndarray, synthetic: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """[n] log ratio of two densities, of synthetic samples and of real patients, up to a factor.

    Densities are those of the nearest neighbour, whose logarithm is -d times that of its distance.

    Args:
      candidates: [n, d], none of them in the reference.
      synthetic: [m, d] of the same class.
      reference: [r, d] of that class, of patients who are no members.
    """
    return closeness(candidates, synthetic) - closeness(candidates, reference)


def likelihood_ratio(scores: np.ndarray, members: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[games, patients] log ratio of the likelihoods of a score where the patient was a member and where not.

    Both are normal with one deviation, about means that lie as far apart for all patients, members' higher: then it is
    the score less the middle of the patient's own two means over all other games, up to a factor. (Effects of each
    patient, or their sign, would have to be estimated from few games: of a generator that gives nothing away, AUROC was
    then 0.52.) What a game does to all patients of a class is taken off.

    Args:
      scores: [games, patients] of any attack, such as `closeness`.
      members: [games, patients] bool.
      labels: [patients].

    Returns:
      NaN for a patient whom fewer than two other games had as a member, or had not.

    Reference: Carlini et al. 2022; Watson et al. 2022, "On the importance of difficulty calibration in membership
    inference attacks".
    """
    scores = scores.astype(np.float64)
    for label in np.unique(labels):
        rows = labels == label
        scores[:, rows] -= np.median(scores[:, rows], axis=1, keepdims=True)
    means = []
    for side in (True, False):
        there = members == side
        counts = there.sum(axis=0) - there  # of other games
        sums = np.where(there, scores, 0).sum(axis=0) - np.where(there, scores, 0)
        means.append(np.where(counts >= _SHADOWS, sums / np.maximum(counts, 1), np.nan))
    return scores - np.mean(means, axis=0)


def attack(
    scores: np.ndarray,
    members: np.ndarray,
    labels: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Attack:
    """Measures an attack over games; classes are attacked apart, as they are not equally crowded.

    Args:
      scores: [games, patients], the higher the more likely a member; NaN for one who has no part in a game.
      members: [games, patients] bool.
      labels: [patients].
      groups: [patients] of what is drawn together for intervals; None for the patients.
      draws, seed: of the bootstrap, within classes.
    """
    random = np.random.default_rng(seed)
    groups = np.arange(len(labels)) if groups is None else groups
    found, pairs, caught, counted = [], [], [], []
    present = [int(label) for label in np.unique(labels)]
    for label in present:
        rows = np.flatnonzero(labels == label)
        weights = _weights(groups[rows], draws, random)  # [1 + draws, patients], the first of ones
        wins, number = _pairs(scores[:, rows], members[:, rows])
        found.append(np.einsum("di,ij,dj->d", weights, wins, weights, optimize=True))
        pairs.append(np.einsum("di,ij,dj->d", weights, number, weights, optimize=True))
        hits, size = _caught(scores[:, rows], members[:, rows], weights)
        caught.append(hits)
        counted.append(size)
    auroc = _ratio(sum(found), sum(pairs))
    share = _ratio(sum(caught), sum(counted))
    each = [_ratio(top, bottom) for top, bottom in zip(found, pairs)]
    return Attack(
        float(auroc[0]),
        _interval(auroc),
        caught=float(share[0]),
        caught_interval=_interval(share),
        by_label={label: (float(one[0]), *_interval(one)) for label, one in zip(present, each)},
    )


def _pairs(scores: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[patients, patients] over games: how often a member was above another patient (a tie is half), of how many."""
    wins, number = np.zeros((2, scores.shape[1], scores.shape[1]))
    for row, member in zip(scores, members):
        inside, outside = (np.flatnonzero(side & np.isfinite(row)) for side in (member, ~member))
        a, b = row[inside][:, None], row[outside][None]
        wins[np.ix_(inside, outside)] += (a > b) + 0.5 * (a == b)
        number[np.ix_(inside, outside)] += 1
    return wins, number


def _caught(scores, members, weights) -> tuple[np.ndarray, np.ndarray]:
    """[1 + draws] members above the score that `FALSE_POSITIVES` of the others reach, and how many there are."""
    games, patients = scores.shape
    flat, inside = scores.ravel(), members.ravel()
    whose = np.tile(np.arange(patients), games)
    known = np.isfinite(flat)
    flat, inside, whose = flat[known], inside[known], whose[known]
    order = np.argsort(-flat, kind="stable")
    flat, inside, whose = flat[order], inside[order], whose[order]
    hits, size = np.zeros((2, len(weights)))
    for number, weight in enumerate(weights):
        w = weight[whose]
        false = np.cumsum(w * ~inside)
        # A member is caught where, with all that score as high, few enough of the others are called members.
        last = np.searchsorted(-flat, -flat, side="right") - 1
        hits[number] = np.sum((w * inside)[false[last] <= FALSE_POSITIVES * false[-1]]) if len(flat) else 0.0
        size[number] = np.sum(w * inside)
    return hits, size


def _weights(groups: np.ndarray, draws: int, random) -> np.ndarray:
    ids, where = np.unique(groups, return_inverse=True)
    drawn = random.multinomial(len(ids), np.full(len(ids), 1 / len(ids)), size=draws)
    return np.concatenate([np.ones((1, len(ids))), drawn])[:, where]


def _ratio(top, bottom) -> np.ndarray:
    return np.divide(top, bottom, out=np.full(len(top), np.nan), where=np.asarray(bottom) > 0)


def _interval(values: np.ndarray) -> tuple[float, float]:
    known = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return float(low), float(high)
