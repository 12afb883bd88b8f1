"""Orders in which records are read: exact permutations, computed on the graph from seeds alone.

A key is an int64 tensor [2]: the run's seed and the number of an epoch, or what was folded into it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

_BY_AREA = 2 / 3  # of the draws of a patient; the others take any of its slices


def permutation(count: int, key: tf.Tensor) -> tf.Tensor:
    """All numbers below `count` in an order drawn uniformly from all orders; [count] int64.

    Sorting by 64 random bits each: two of a million are alike with probability 3e-8.
    """
    draws = tf.random.stateless_uniform([count], key, minval=None, maxval=None, dtype=tf.int64)
    return tf.cast(tf.argsort(draws, direction="DESCENDING"), tf.int64)


def rounds(count: int, *, start: tf.Tensor, length: int, key: tf.Tensor) -> tf.data.Dataset:
    """A piece of the endless sequence in which one permutation of all numbers below `count` follows another.

    Each number comes once before any comes twice, wherever pieces begin and end.

    Args:
      count: how many numbers there are, from 1.
      start: int64 scalar, where the piece begins.
      length: of the piece.
      key: of the sequence.
    """
    first = start // count
    orders = tf.data.Dataset.range(first, (start + length - 1) // count + 1).map(
        lambda number: permutation(count, tf.random.experimental.stateless_fold_in(key, number))
    )
    return orders.unbatch().skip(start - first * count).take(length)


def balanced(groups: Sequence[tf.Tensor], length: int, *, seed: tf.Tensor, epoch: tf.Tensor) -> tf.data.Dataset:
    """One epoch in which records of each group take turns; those of smaller groups are repeated.

    Over all epochs, each record of a group comes once before any of the group comes twice.

    Args:
      groups: [n] int64 numbers of the records of each group, n from 1.
      length: records in an epoch.
      seed, epoch: int64 scalars.

    Returns:
      Dataset of int64 scalars.
    """
    turns = []
    for number, group in enumerate(groups):
        share = len(range(number, length, len(groups)))
        places = rounds(len(group), start=epoch * share, length=share, key=tf.stack([seed, number]))
        turns.append(places.map(lambda place, group=group: group[place]))
    return tf.data.Dataset.choose_from_datasets(turns, tf.data.Dataset.range(len(groups)).repeat()).take(length)


def mixed(counts: Sequence[int], key: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """One epoch over all records of several sources, in an order drawn uniformly from all orders.

    Args:
      counts: records of each source.
      key: of the epoch.

    Returns:
      The number of the source from which each record comes, [sum of counts] int64, and for each source the numbers of
      its records in the order in which they come.
    """
    order = permutation(sum(counts), key)
    ends = tf.cumsum(tf.constant(counts, tf.int64))
    source = tf.cast(tf.searchsorted(ends, order, "right"), tf.int64)
    starts = ends - tf.constant(counts, tf.int64)
    return source, [tf.boolean_mask(order, source == i) - starts[i] for i in range(len(counts))]


def weighted(shares: np.ndarray, count: int, key: tf.Tensor) -> tf.Tensor:
    """`count` numbers drawn by given shares, in an order drawn uniformly from all orders; [count] int64.

    The draws are systematic: equally spaced points, shifted together by one uniform number, go through the cumulative
    shares, so that each number comes as often as expected, rounded up or down, and not by luck.

    Args:
      shares: [n] of each number below n, at least 0, of any sum above 0.
      count: numbers to draw.
      key: of the epoch.

    Reference: Madow, "On the theory of systematic sampling", 1949.
    """
    ends = np.cumsum(np.asarray(shares, np.float64))
    shift = tf.random.stateless_uniform([], key, dtype=tf.float64)
    points = (tf.range(count, dtype=tf.float64) + shift) / count
    points = tf.minimum(points, np.nextafter(1.0, 0.0))  # a number whose share is 0 may be the last
    drawn = tf.searchsorted(tf.constant(ends / ends[-1]), points, "right", out_type=tf.int64)
    return tf.gather(drawn, permutation(count, tf.random.experimental.stateless_fold_in(key, 1)))


def patient_shares(patients: Sequence[str], areas: np.ndarray) -> np.ndarray:
    """Shares for `weighted` that draw each patient equally often, and its slices by their tumour.

    Of a patient's draws two thirds go by the area of tumour, one third to all of its slices alike; where it has no
    tumour, all do.

    Args:
      patients: [n] ids of the slices' patients.
      areas: [n] pixels of tumour in the slices.

    Returns:
      [n] float64, whose sum is 1.
    """
    _, patient = np.unique(np.asarray(patients), return_inverse=True)
    slices, tumour = np.bincount(patient)[patient], np.bincount(patient, areas)[patient]
    by_area = np.where(tumour > 0, areas / np.maximum(tumour, 1), 1 / slices)
    return (_BY_AREA * by_area + (1 - _BY_AREA) / slices) / (patient.max() + 1)
