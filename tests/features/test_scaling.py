import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.features import scaling


def records(*arrays):
    return [{"feature": tf.constant(array, tf.float32)} for array in arrays]


def test_by_hand():
    # channel 0: 3 and 4 at one position each, 0 elsewhere; channel 1 never fires; channel 2 is 2 everywhere
    feature = np.zeros((1, 2, 2, 3))
    feature[0, 0, 0, 0], feature[0, 1, 1, 0] = 3, 4
    feature[..., 2] = 2
    found = scaling.root_mean_square(records(feature))
    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx([2.5, 0.0, 2.0])


def test_above_the_lowest_value_by_hand():
    """A channel whose background is -1: 0 there, and 3 and 4 above it at one position each."""
    slices = np.full((2, 2, 1, 2), -1.0)
    slices[0, 0, 0, 0], slices[1, 1, 0, 0] = 2, 3
    slices[..., 1] = 5
    batches = records(slices[:1], slices[1:])
    found = scaling.lowest(batches)
    assert found.dtype == np.float32
    assert found.tolist() == [-1.0, 5.0]
    assert scaling.root_mean_square(batches, found).tolist() == pytest.approx([2.5, 0.0])


def test_range_by_hand():
    """A channel from 0 to 3, one from -1 to 5 over both batches, one that is 2 everywhere and one that never fires."""
    features = np.zeros((2, 1, 2, 4))
    features[0, 0, :, 0], features[0, 0, :, 1], features[1, 0, :, 1] = (1, 3), (-1, 2), (5, 0)
    features[..., 2] = 2
    middle, half = scaling.range_of(records(features[:1], features[1:]))
    assert middle.dtype == half.dtype == np.float32
    assert (middle.tolist(), half.tolist()) == ([1.5, 2.0, 2.0, 0.0], [1.5, 3.0, 0.0, 0.0])


@pytest.mark.parametrize("sizes", [[7], [3, 4], [1] * 7, [5, 2]])
def test_batches_do_not_matter(sizes):
    features = np.random.default_rng(0).gamma(0.5, 3.0, (7, 3, 5, 4)).astype(np.float32)
    parts = np.split(features, np.cumsum(sizes)[:-1])
    wanted = np.sqrt((features.astype(np.float64) ** 2).mean((0, 1, 2)))
    np.testing.assert_allclose(scaling.root_mean_square(records(*parts)), wanted, rtol=1e-6)


def test_of_a_dataset():
    features = np.random.default_rng(0).normal(size=(5, 2, 2, 3)).astype(np.float32)
    dataset = tf.data.Dataset.from_tensor_slices({"feature": features}).batch(2)
    np.testing.assert_allclose(scaling.root_mean_square(dataset), np.sqrt((features**2).mean((0, 1, 2))), rtol=1e-6)


def test_many_values_are_summed_in_float64():
    # in float32, 2**24 + 1 = 2**24: ones beside a large value would be lost
    feature = np.ones((1, 300, 300, 1), np.float32)
    feature[0, 0, 0, 0] = 2**14
    wanted = np.sqrt((2**28 + 300 * 300 - 1) / 300**2)
    assert scaling.root_mean_square(records(feature))[0] == pytest.approx(wanted, rel=1e-7)


def test_channels_that_hardly_fire_are_not_blown_up():
    feature = np.zeros((1, 1, 1, 4))
    feature[0, 0, 0] = 3.0, 4.0, 0.001, 0.0
    floor = 0.1 * np.sqrt((9 + 16 + 1e-6) / 3)
    assert scaling.root_mean_square(records(feature)).tolist() == pytest.approx([3.0, 4.0, floor, 0.0])


def test_maps_are_prepared_by_the_scale_of_training_samples():
    maps = np.zeros((70, 2, 2, 3), np.float32)
    maps[..., 0], maps[::2, 0, 0, 1] = 4.0, 6.0
    prepared = scaling.fit(maps)
    np.testing.assert_allclose(prepared.scale, [4.0, 6.0 / np.sqrt(8), 0.0], rtol=1e-6)
    assert (prepared.size, prepared.imputed, prepared.constant) == (12, 0, 1)
    np.testing.assert_allclose(prepared.apply(maps[:1])[0, 0, 0], [1.0, np.sqrt(8), 0.0], rtol=1e-6)
