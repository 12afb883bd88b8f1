import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rembrandt_featgen.data import slicing
from tests.data.cropping import centre_crop_or_pad

SHAPES = arrays.array_shapes(min_dims=3, max_dims=4, max_side=5)


def test_displayed_slice_by_hand():
    # x to the patient's right, y to the front: the front is on top, the patient's right on the left
    volume = np.array([["left back", "left front"], ["right back", "right front"]])[..., None]
    assert slicing.as_displayed(volume)[..., 0].tolist() == [["right front", "left front"], ["right back", "left back"]]


def test_displayed_shape():
    assert slicing.as_displayed(np.zeros((4, 6, 3, 2))).shape == (6, 4, 3, 2)


@settings(deadline=None)
@given(SHAPES)
def test_stored_undoes_displayed(shape):
    volume = np.arange(np.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(slicing.as_stored(slicing.as_displayed(volume)), volume)
    np.testing.assert_array_equal(slicing.as_displayed(slicing.as_stored(volume)), volume)


@pytest.mark.parametrize("height", [5, 6, 7, 8, 9])
@pytest.mark.parametrize("width", [4, 7, 12])
@pytest.mark.parametrize("size", [6, 7])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_crop_or_pad_is_tensorflows(height, width, size, dtype):
    volume = np.random.default_rng(0).integers(1, 255, (height, width, 3)).astype(dtype)
    found = centre_crop_or_pad(volume, size)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, tf.image.resize_with_crop_or_pad(volume, size, size))


@pytest.mark.parametrize(
    ("row", "size", "wanted"),
    [
        ([1, 2, 3], 3, [1, 2, 3]),
        ([1, 2, 3, 4], 3, [1, 2, 3]),  # of an odd rest, the end loses more
        ([1, 2, 3], 4, [1, 2, 3, 0]),  # and gains more
        ([1, 2, 3, 4, 5], 2, [2, 3]),
        ([1, 2], 5, [0, 1, 2, 0, 0]),
    ],
)
def test_crop_or_pad_by_hand(row, size, wanted):
    found = centre_crop_or_pad(np.tile(row, (size, 1)), size)
    np.testing.assert_array_equal(found, np.tile(wanted, (size, 1)))


def test_crop_or_pad_leaves_other_axes_alone():
    assert centre_crop_or_pad(np.zeros((5, 9, 2, 3), bool), 7).shape == (7, 7, 2, 3)
    assert centre_crop_or_pad(np.zeros((5, 9, 2, 3), bool), 7).dtype == bool


@settings(deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 3))
def test_moments_are_numpys_over_any_chunks(seed, sizes, channels):
    generator = np.random.default_rng(seed)
    chunks = [generator.normal(channels, 1 + channels, (size, 2, 3, channels)).astype(np.float32) for size in sizes]
    moments = slicing.Moments(channels)
    for chunk in chunks:
        moments.add(slicing.part_of(chunk))
    everything = np.concatenate(chunks).astype(np.float64)
    np.testing.assert_allclose(moments.mean(), everything.mean((0, 1, 2)), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(moments.deviation(), everything.std((0, 1, 2)), rtol=1e-10, atol=1e-12)


def test_moments_of_large_values_do_not_cancel():
    # float32, or the mean of squares less the squared mean, would lose a deviation of 1 beside a mean of 1e8
    values = 1e8 + np.random.default_rng(0).normal(size=(100, 10, 10, 1))
    moments = slicing.Moments(1)
    for chunk in np.split(values, 10):
        moments.add(slicing.part_of(chunk))
    assert moments.deviation()[0] == pytest.approx(values.std(), rel=1e-6)
    assert moments.mean()[0] == pytest.approx(values.mean(), rel=1e-12)


def test_moments_by_hand():
    moments = slicing.Moments(2)
    moments.add(slicing.part_of(np.array([[1.0, 5.0], [3.0, 5.0]])))
    moments.add(slicing.part_of(np.array([[5.0, 5.0]])))
    assert moments.mean().tolist() == [3.0, 5.0]
    assert moments.deviation().tolist() == pytest.approx([np.sqrt(8 / 3), 0.0])
