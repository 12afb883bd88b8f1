"""What tests ask of any training stream."""

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data import pipelines


def epoch_of(make_epoch, epoch):
    return list(make_epoch(tf.constant([9, epoch], tf.int64)))


def same(first, second):
    """Whether two lists of pairs of tensors are equal."""
    return len(first) == len(second) and all(
        np.array_equal(a, b) for one, other in zip(first, second) for a, b in zip(one, other)
    )


def assert_resumed_is_as_unbroken(make_epoch, steps):
    """Four epochs of `steps` batches, and the same from the second and the fourth on."""
    unbroken = list(pipelines.endless(make_epoch, 3).take(4 * steps))
    for first_epoch in (1, 3):
        tf.keras.utils.set_random_seed(0)
        resumed = list(pipelines.endless(make_epoch, 3, first_epoch).take((4 - first_epoch) * steps))
        assert same(resumed, unbroken[first_epoch * steps :])


def assert_differs_by_epoch_and_by_seed(make_epoch, steps):
    """No epoch repeats another, and no seed another."""
    first, other = (list(pipelines.endless(make_epoch, seed).take(3 * steps)) for seed in (3, 4))
    epochs = [first[i * steps : (i + 1) * steps] for i in range(3)]
    assert not any(same(a, b) for a, b in [epochs[:2], epochs[1:], epochs[::2], (first, other)])
