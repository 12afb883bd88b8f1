"""Shares of workers; that all learn what each has is tested in tests/stages/test_two_workers.py."""

import concurrent.futures
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.nn import distribution, sharding

TWO, FOUR = (SimpleNamespace(num_replicas_in_sync=number) for number in (2, 4))


def test_shares_are_put_together_in_order(monkeypatch):
    for total in (1, 2, 3, 8):
        shares = []
        for number in range(total):
            monkeypatch.setattr(distribution, "workers", lambda where, n=number, of=total: (n, of))
            shares.append(list(sharding.share_of(iter("abcdefg"), None)))
        assert "".join(sharding.in_turn(shares)) == "abcdefg"
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_worker_has_everything():
    one = distribution.strategy("one")
    value = {"a": [1.5]}
    assert sharding.gathered(one, value) == [value]
    rows = sharding.rows_of(
        one, lambda batches: np.concatenate(list(batches)), tf.data.Dataset.range(5).batch(2), size=2
    )
    assert rows.tolist() == [0, 1, 2, 3, 4]


def test_what_workers_have_is_gathered_piece_by_piece(monkeypatch):
    """Two threads as workers; of one there are more pieces than of the other."""
    barrier, given, shapes = threading.Barrier(2, timeout=60), {}, set()

    def total(number, values):
        given[number] = values
        barrier.wait()
        found = given[0] + given[1]
        shapes.add(found.shape)
        barrier.wait()
        return found

    monkeypatch.setattr(distribution, "workers", lambda number: (number, 2))
    monkeypatch.setattr(sharding, "_total_of_workers", total)
    monkeypatch.setattr(sharding, "_PIECE", 20)
    values = [{"of": 0, "numbers": [0.1 + n**0.5 for n in range(40)]}, {"of": 1, "word": "\u00e9"}]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda number: sharding.gathered(number, values[number]), range(2))) == [values, values]
    assert (2, 20) in shapes and len(shapes) == 3  # lengths, whole pieces, the last one
    assert all(shape[-1] <= 20 for shape in shapes)


@pytest.mark.parametrize(
    ("size", "count", "words"),
    [
        (3, None, "--gan_batch=3: a batch needs a sample for each of the 4 replicas of --strategy; take --gan_batch=4"),
        (8, 41, "the last batch of the 41 samples of an epoch has 1, .* take --gan_batch=7$"),
        (4, 5, "has 1, and needs one for each of the 4 replicas of --strategy; take --gan_batch=5$"),
        (5, 3, "has 3, .*; take --strategy=one$"),
    ],
)
def test_a_batch_that_is_too_small_is_refused(size, count, words):
    with pytest.raises(InputError, match=words):
        sharding.check_batches(FOUR, "--gan_batch", size, count=count)


def test_batches_that_can_be_divided_are_not_refused():
    sharding.check_batches(FOUR, "--gan_batch", 8, count=44, validation=4)
    sharding.check_batches(TWO, "--gan_batch", 2, count=10)
    sharding.check_batches(distribution.strategy("one"), "--gan_batch", 1, count=1, validation=1)
    with pytest.raises(InputError, match="there are 3 validation samples for 4 replicas"):
        sharding.check_batches(FOUR, "--gan_batch", 8, validation=3)
