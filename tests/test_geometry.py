"""Reading at positions and the matrices of a grid, against worked values and scipy."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from rembrandt_featgen import geometry

IMAGE = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], np.float32)[None, :, :, None]


@pytest.mark.parametrize(
    ("x", "y", "bilinear", "nearest"),
    [
        (0.0, 0.0, 1.0, 1.0),
        (2.0, 1.0, 6.0, 6.0),
        (0.5, 0.0, 1.5, 2.0),  # ties go right
        (1.0, 0.5, 3.5, 5.0),  # and down
        (0.25, 0.5, 2.75, 4.0),  # 0.5 * (0.75 * 1 + 0.25 * 2) + 0.5 * (0.75 * 4 + 0.25 * 5)
        (-0.25, 0.0, 0.75, 1.0),  # a quarter of the zero beyond the edge
        (2.75, 1.0, 1.5, 0.0),
        (-1.0, 0.0, 0.0, 0.0),
        (0.0, 2.0, 0.0, 0.0),
        (1e6, -1e6, 0.0, 0.0),
    ],
)
def test_reads_worked_values(x, y, bilinear, nearest):
    x, y = tf.constant(x, shape=[1, 1, 1]), tf.constant(y, shape=[1, 1, 1])
    assert geometry.read_bilinear(IMAGE, x, y).numpy().item() == pytest.approx(bilinear, abs=1e-5)
    assert geometry.read_nearest(tf.constant(IMAGE), x, y).numpy().item() == nearest


def test_reads_like_scipy():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(3, 9, 13, 2)).astype(np.float32)
    x = generator.uniform(-3, 16, (3, 7, 5)).astype(np.float32)
    y = generator.uniform(-3, 12, (3, 7, 5)).astype(np.float32)
    for order, read in enumerate((geometry.read_nearest, geometry.read_bilinear)):
        result = read(tf.constant(values), tf.constant(x), tf.constant(y)).numpy()
        assert result.shape == (3, 7, 5, 2)
        for b in range(3):
            for c in range(2):
                expected = scipy.ndimage.map_coordinates(
                    values[b, ..., c], [y[b], x[b]], order=order, mode="grid-constant"
                )
                np.testing.assert_allclose(result[b, ..., c], expected, atol=1e-5)


def test_read_nearest_keeps_the_type():
    x = tf.constant(2.0, shape=[1, 1, 1])
    result = geometry.read_nearest(tf.constant(IMAGE, tf.uint8), x, x - 1.0)
    assert result.dtype == tf.uint8
    assert result.numpy().item() == 6


@pytest.mark.parametrize(("length", "sigma"), [(240, 24.0), (64, 6.4), (10, 4.0), (7, 0.6)])
def test_smoothing_matrix_is_scipys_filter(length, sigma):
    noise = np.random.default_rng(1).uniform(-1, 1, (length, 3))
    pixels = np.arange(float(length))
    expected = scipy.ndimage.gaussian_filter1d(noise, sigma, axis=0, mode="constant")
    np.testing.assert_allclose(geometry.smoothing_matrix(pixels, pixels, sigma) @ noise, expected, atol=1e-12)


def test_smoothing_matrix_refuses_no_sigma():
    with pytest.raises(ValueError, match="sigma must be positive, received 0"):
        geometry.smoothing_matrix(np.zeros(1), np.zeros(1), 0.0)


def test_grid_and_cells():
    np.testing.assert_allclose(geometry.grid_points(9, 3), [0.0, 4.0, 8.0])
    np.testing.assert_allclose(geometry.cell_centres(8, 2), [1.5, 5.5])
    np.testing.assert_allclose(geometry.cell_centres(5, 5), np.arange(5))


def test_interpolation_matrix():
    expected = [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1]]
    np.testing.assert_allclose(geometry.interpolation_matrix(5, 3), expected)
    np.testing.assert_allclose(geometry.interpolation_matrix(4, 4), np.eye(4), atol=1e-12)
    # What is linear on the lattice stays so between its points.
    np.testing.assert_allclose(geometry.interpolation_matrix(240, 41) @ geometry.grid_points(240, 41), np.arange(240))
