from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from rembrandt_featgen.data import sampling_order


def key(seed, epoch=0):
    return tf.constant([seed, epoch], tf.int64)


def fits(counts, degrees):
    """Whether counts that should all be alike are so, by chi-square at 0.1%."""
    counts = np.asarray(counts, float)
    return stats.chi2.sf(((counts - counts.mean()) ** 2 / counts.mean()).sum(), degrees) > 0.001


@pytest.mark.parametrize("count", [1, 2, 10, 4540, 100_000])
def test_permutation_holds_each_number_once(count):
    for seed, epoch in ((0, 0), (0, 1), (5, 0)):
        found = sampling_order.permutation(count, key(seed, epoch)).numpy()
        assert found.dtype == np.int64
        np.testing.assert_array_equal(np.sort(found), np.arange(count))


def test_permutation_is_a_function_of_seed_and_epoch():
    @tf.function
    def graph(key):
        return sampling_order.permutation(100, key)

    found = [
        sampling_order.permutation(100, key(seed, epoch)).numpy() for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    again = [graph(key(seed, epoch)).numpy() for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))]
    np.testing.assert_array_equal(found, again)
    assert len({tuple(order) for order in found}) == 4


@pytest.mark.parametrize("over", ["epochs", "seeds"])
def test_all_orders_are_equally_likely(over):
    """All 24 orders of 4, 2400 draws."""
    permute = tf.function(lambda k: sampling_order.permutation(4, k))
    keys = ((0, i) if over == "epochs" else (i, 0) for i in range(2400))
    counts = Counter(tuple(permute(key(*k)).numpy()) for k in keys)
    assert len(counts) == 24
    assert fits(list(counts.values()), 23)


def test_each_number_is_at_each_position_equally_often():
    """30 numbers at 30 positions, 600 epochs; also how far neighbours come to lie apart."""
    permute = tf.function(lambda k: sampling_order.permutation(30, k))
    found = np.array([permute(key(1, epoch)).numpy() for epoch in range(600)])
    table = np.array([np.bincount(column, minlength=30) for column in found.T])
    assert fits(table, 29 * 29)
    places = np.argsort(found, axis=1)
    apart = np.abs(places[:, 0] - places[:, 1])  # d apart in 2 (30 - d) of 30 * 29 ways
    expected = 600 * 2 * (30 - np.arange(1, 30)) / (30 * 29)
    observed = np.bincount(apart, minlength=30)[1:]
    assert stats.chi2.sf(((observed - expected) ** 2 / expected).sum(), 28) > 0.001


def piece(count, start, length, seed=0):
    return [
        int(n) for n in sampling_order.rounds(count, start=tf.constant(start, tf.int64), length=length, key=key(seed))
    ]


def test_rounds_are_one_permutation_after_another():
    found = piece(7, 0, 70)
    rounds = [tuple(found[i : i + 7]) for i in range(0, 70, 7)]
    assert all(sorted(order) == list(range(7)) for order in rounds)
    assert len(set(rounds)) == 10
    assert piece(7, 0, 70, seed=1) != found


@pytest.mark.parametrize(("start", "length"), [(0, 1), (3, 4), (3, 5), (6, 1), (7, 7), (13, 30), (69, 1), (14, 0)])
def test_rounds_are_the_same_in_pieces(start, length):
    assert piece(7, start, length) == piece(7, 0, 70)[start : start + length]


def epochs(groups, length, count, seed=0):
    seed = tf.constant(seed, tf.int64)
    tensors = [tf.constant(group, tf.int64) for group in groups]
    chained = tf.data.Dataset.range(count).flat_map(
        lambda epoch: sampling_order.balanced(tensors, length, seed=seed, epoch=epoch)
    )
    found = [int(n) for n in chained]
    return [found[i : i + length] for i in range(0, count * length, length)]


@pytest.mark.parametrize("length", [12, 13])
def test_balanced_groups_take_turns(length):
    for order in epochs([range(10, 14), range(20, 29)], length, 5):
        assert [n // 10 for n in order] == ([1, 2] * 7)[:length]


def test_balanced_is_exact_over_epochs():
    drawn = [n for order in epochs([range(10, 14), range(20, 29)], 12, 12) for n in order]
    counts = Counter(drawn)
    assert [counts[n] for n in range(10, 14)] == [18] * 4  # 72 draws of each group
    assert [counts[n] for n in range(20, 29)] == [8] * 9


def test_balanced_groups_have_orders_of_their_own():
    (order,) = epochs([range(50), range(100, 150)], 100, 1)
    first, second = order[::2], [n - 100 for n in order[1::2]]
    assert sorted(first) == sorted(second)
    assert first != second


@pytest.mark.parametrize("counts", [(5,), (5, 3), (1, 20, 4)])
def test_mixed_holds_each_record_of_each_source_once(counts):
    source, numbers = sampling_order.mixed(counts, key(0))
    assert len(source) == sum(counts)
    for i, count in enumerate(counts):
        assert np.sum(source == i) == count
        assert sorted(numbers[i].numpy().tolist()) == list(range(count))


def test_mixed_is_the_permutation_of_all():
    source, numbers = sampling_order.mixed((5, 3), key(4))
    queues = [iter(part.numpy().tolist()) for part in numbers]
    merged = [next(queues[i]) + (0, 5)[i] for i in source.numpy()]
    assert merged == sampling_order.permutation(8, key(4)).numpy().tolist()


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_weighted_draws_each_number_as_often_as_expected(count):
    shares = np.array([0.0, 3.0, 1.0, 0.0, 6.0, 0.0])
    draw = tf.function(lambda k: sampling_order.weighted(shares, count, k))
    found = np.array([draw(key(2, epoch)).numpy() for epoch in range(400)])
    counts = np.array([np.bincount(row, minlength=6) for row in found])
    expected = count * shares / shares.sum()
    assert found.shape == (400, count) and found.dtype == np.int64
    assert (np.abs(counts - expected) < 1).all()  # rounded up or down, in each epoch
    np.testing.assert_allclose(counts.mean(0), expected, atol=0.1)
    np.testing.assert_array_equal(found[5], draw(key(2, 5)))
    if count == 7:
        at_each_place = np.array([np.bincount(column, minlength=6) for column in found.T]) / 400
        np.testing.assert_allclose(at_each_place, np.tile(shares / shares.sum(), (7, 1)), atol=0.1)


def test_weighted_copes_with_many_numbers():
    shares = np.random.default_rng(0).random(50_000) ** 8
    found = np.bincount(sampling_order.weighted(shares, 100_000, key(0)), minlength=50_000)
    assert (np.abs(found - 100_000 * shares / shares.sum()) < 1 + 1e-6).all()


def test_patients_have_equal_shares_and_slices_go_by_tumour():
    patients, areas = ["b", "b", "a", "a", "a", "c", "b"], np.array([0, 30, 0, 0, 0, 5, 10])
    found = sampling_order.patient_shares(patients, areas)
    by_hand = [1 / 9, 2 / 3 * 3 / 4 + 1 / 9, 1 / 3, 1 / 3, 1 / 3, 1, 2 / 3 / 4 + 1 / 9]
    np.testing.assert_allclose(found, np.array(by_hand) / 3)
