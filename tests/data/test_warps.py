"""Reading at positions and the matrices of a grid, against worked values and scipy."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from rembrandt_featgen.data import warps

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
    assert warps.read_bilinear(IMAGE, x, y).numpy().item() == pytest.approx(bilinear, abs=1e-5)
    for value in range(1, 7):
        image, mask = warps.read_with_mask(IMAGE, value == IMAGE, x=x, y=y)
        assert image.numpy().item() == pytest.approx(bilinear, abs=1e-5)
        assert mask.numpy().item() == (nearest == value)


def test_reads_like_scipy():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(3, 9, 13, 2)).astype(np.float32)
    masks = generator.integers(0, 2, (3, 9, 13, 1))
    x = generator.uniform(-3, 16, (3, 7, 5)).astype(np.float32)
    y = generator.uniform(-3, 12, (3, 7, 5)).astype(np.float32)

    def expected(order, image):
        found = [
            scipy.ndimage.map_coordinates(each, [row, column], order=order, mode="grid-constant")
            for each, row, column in zip(image, y, x)
        ]
        return np.stack(found)

    bilinear = np.stack([expected(1, values[..., channel]) for channel in (0, 1)], -1)
    assert bilinear.shape == (3, 7, 5, 2)
    np.testing.assert_allclose(warps.read_bilinear(values, x, y), bilinear, atol=1e-5)
    images, labels = warps.read_with_mask(values, masks, x=x, y=y)
    np.testing.assert_allclose(images, bilinear, atol=1e-5)
    np.testing.assert_array_equal(labels[..., 0], expected(0, masks[..., 0]))


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float32", "int64"])
def test_the_masks_type_is_kept_and_nothing_of_it_is_left_in_the_image(dtype):
    x, y = tf.range(3.0)[None, None, :] * tf.ones([1, 2, 1]), tf.range(2.0)[None, :, None] * tf.ones([1, 1, 3])
    masks = tf.cast(IMAGE > 2.0, dtype)
    images, labels = warps.read_with_mask(tf.zeros_like(IMAGE), masks, x=x, y=y)
    assert labels.dtype == dtype
    np.testing.assert_array_equal(labels, masks)
    np.testing.assert_allclose(images, 0.0, atol=1e-40)


@pytest.mark.parametrize(("length", "sigma"), [(240, 24.0), (64, 6.4), (10, 4.0), (7, 0.6)])
def test_smoothing_matrix_is_scipys_filter(length, sigma):
    noise = np.random.default_rng(1).uniform(-1, 1, (length, 3))
    pixels = np.arange(float(length))
    expected = scipy.ndimage.gaussian_filter1d(noise, sigma, axis=0, mode="constant")
    np.testing.assert_allclose(warps.smoothing_matrix(pixels, pixels, sigma) @ noise, expected, atol=1e-12)


def test_smoothing_matrix_refuses_no_sigma():
    with pytest.raises(ValueError, match="sigma must be positive, received 0"):
        warps.smoothing_matrix(np.zeros(1), np.zeros(1), 0.0)


def test_grid_and_cells():
    np.testing.assert_allclose(warps.grid_points(9, 3), [0.0, 4.0, 8.0])
    np.testing.assert_allclose(warps.cell_centres(8, 2), [1.5, 5.5])
    np.testing.assert_allclose(warps.cell_centres(5, 5), np.arange(5))


def test_interpolation_matrix():
    expected = [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1]]
    np.testing.assert_allclose(warps.interpolation_matrix(5, 3), expected)
    np.testing.assert_allclose(warps.interpolation_matrix(4, 4), np.eye(4), atol=1e-12)
    # What is linear on the lattice stays so between its points.
    np.testing.assert_allclose(warps.interpolation_matrix(240, 41) @ warps.grid_points(240, 41), np.arange(240))


@pytest.mark.parametrize("shape", [(240, 232, 41, 40), (9, 5, 3, 2), (3, 3, 3, 3), (2, 4, 1, 2)])
def test_interpolation_is_that_of_the_matrices(shape):
    height, width, rows, columns = shape
    lattice = np.random.default_rng(4).normal(size=(2, rows, columns)).astype(np.float32)
    down, right = warps.interpolation_matrix(height, rows), warps.interpolation_matrix(width, columns)
    np.testing.assert_allclose(warps.interpolate(lattice, height, width), down @ lattice @ right.T, atol=1e-5)
