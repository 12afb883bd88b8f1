import numpy as np
import tensorflow as tf

from rembrandt_featgen.features.mask_pooling import pool_over_mask, pooled_names, weighted_by_area

RANDOM = np.random.default_rng(0)


def expected(maps, mask):
    """By hand, position by position."""
    (h, w, c), (height, width, _) = maps.shape, mask.shape
    share = np.zeros((h, w))
    for i in range(h):
        for j in range(w):
            share[i, j] = mask[i * height // h : (i + 1) * height // h, j * width // w : (j + 1) * width // w].mean()
    if not share.any():
        return np.concatenate([maps.mean((0, 1))] * 2)
    means = [np.average(maps[..., k], weights=share) for k in range(c)]
    return np.array(means + [maps[..., k][share > 0].max() for k in range(c)])


def test_mean_and_maximum_over_the_tumour():
    maps = RANDOM.normal(size=(4, 3, 2, 5)).astype(np.float32)
    mask = (RANDOM.random((4, 12, 8, 1)) > 0.9).astype(np.uint8)
    mask[2] = 0
    mask[3, :4], mask[3, 4:] = 1, 0
    found = pool_over_mask(tf.constant(maps), tf.constant(mask)).numpy()
    np.testing.assert_allclose(found, [expected(*pair) for pair in zip(maps, mask)], rtol=1e-5, atol=1e-6)
    assert len(pooled_names("conv5", 5)) == found.shape[1]
    assert pooled_names("conv5", 2) == ["conv5_mean_0", "conv5_mean_1", "conv5_max_0", "conv5_max_1"]


def test_the_same_on_the_grid_of_the_slices_and_in_a_graph():
    maps = RANDOM.random((2, 8, 8, 3)).astype(np.float32)
    mask = (RANDOM.random((2, 8, 8, 1)) > 0.5).astype(np.float32)
    found = tf.function(pool_over_mask)(tf.constant(maps), tf.constant(mask))
    np.testing.assert_allclose(found, [expected(*pair) for pair in zip(maps, mask)], rtol=1e-5)


def test_slices_weigh_by_their_area():
    vectors = np.array([[1.0, 2.0], [5.0, 0.0], [100.0, 100.0]])
    assert weighted_by_area(vectors, np.array([3, 1, 0])).tolist() == [2.0, 1.5]
    assert weighted_by_area(vectors, np.zeros(3, int)).tolist() == [np.float32(106 / 3), 34.0]
