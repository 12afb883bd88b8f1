"""Where crops are cut, what is cut, and the CNN behind them."""

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.features import crops

SIZE = 4


def probability(*blocks, height=12, width=14):
    """[1, height, width, 1]: 0.9 in blocks of (rows, columns), 0.5 (not above) elsewhere."""
    mask = np.full((1, height, width, 1), 0.5, np.float32)
    for rows, columns in blocks:
        mask[0, slice(*rows), slice(*columns)] = 0.9
    return mask


@pytest.mark.parametrize(
    ("blocks", "corner", "has_tumour"),
    [
        ([], (4, 5), False),  # the centre of 12 x 14
        ([((5, 7), (6, 8))], (4, 5), True),  # 2 x 2 in the middle of 4 x 4
        ([((0, 1), (0, 1))], (0, 0), True),  # it stays within the slice
        ([((11, 12), (13, 14))], (8, 10), True),
        ([((2, 8), (3, 9))], (2, 3), True),  # larger than a crop: the first window full of tumour
        ([((1, 2), (1, 2)), ((6, 9), (7, 10))], (6, 6), True),  # a speck has no say; centre 7, 8 less 1.5, to even
        ([((1, 3), (1, 3)), ((8, 10), (9, 12))], (7, 8), True),  # of two, the larger: centre 8.5, 10 less 1.5
    ],
)
def test_crops_are_around_the_largest_part_of_the_tumour(blocks, corner, has_tumour):
    where = crops.places(tf.constant(probability(*blocks)), SIZE)
    assert (int(where.rows[0]), int(where.columns[0])) == corner
    assert bool(where.has_tumour[0]) == has_tumour


def test_each_slice_of_a_batch_has_a_place_of_its_own():
    masks = np.concatenate([probability(), probability(((5, 7), (6, 8))), probability(((0, 1), (0, 1)))])
    images = np.random.default_rng(0).normal(size=(3, 12, 14, 2)).astype(np.float32)
    found, has_tumour = crops.cut_around_tumour(lambda _: masks, tf.constant(images), SIZE)
    assert has_tumour.numpy().tolist() == [False, True, True]
    for image, crop, (row, column) in zip(images, found.numpy(), [(4, 5), (4, 5), (0, 0)]):
        np.testing.assert_array_equal(crop, image[row : row + SIZE, column : column + SIZE])


def test_a_crop_of_the_whole_slice_is_the_slice():
    images = np.random.default_rng(0).normal(size=(2, 12, 12, 1)).astype(np.float32)
    masks = np.concatenate([probability(((0, 2), (0, 2)), width=12), probability(width=12)])
    np.testing.assert_array_equal(crops.cut(tf.constant(images), crops.places(tf.constant(masks), 12), 12), images)


def thresholding_unet():
    """Predicts tumour where a slice is above 1."""
    image = tf.keras.Input((None, None, 1))
    return tf.keras.Model(image, tf.keras.layers.Lambda(lambda x: tf.sigmoid(10.0 * (x - 1.0)))(image))


@pytest.fixture(scope="module")
def cnn():
    tf.keras.utils.set_random_seed(0)
    return crops.build_cnn(16, 1, 2)


def test_the_cnn_is_small_and_ends_in_a_low_dimensional_map(cnn):
    assert cnn.output_shape == (None, 1)
    assert crops.of_crops(cnn).output_shape == (None, 1, 1, 16)
    assert crops.of_crops(crops.build_cnn(96, 1, 8)).output_shape == (None, 6, 6, 64)
    # convolutions of 3 x 3 without biases, batch norms of 4 each, the dense layer
    assert cnn.count_params() == 9 * (2 + 8 + 32 + 128) + 4 * (2 + 4 + 8 + 16) + 17
    features = crops.of_crops(cnn)(tf.random.normal((4, 16, 16, 1))).numpy()
    assert features.min() >= 0 < features.max()  # after ReLU, as the generators need it


def test_from_slices_to_features_in_one_network(cnn):
    images = np.random.default_rng(1).uniform(-1, 0.5, (2, 32, 48, 1)).astype(np.float32)
    images[0, 4:10, 30:38] = 2.0  # centre 6.5, 33.5: the crop begins at row 0 (-1 is outside) and column 26
    encoder = crops.encoder(thresholding_unet(), cnn)
    wanted = crops.of_crops(cnn)(np.stack([images[0, :16, 26:42], images[1, 8:24, 16:32]]))
    assert encoder.output_names == ["features"]
    assert encoder.compute_output_shape((1, 32, 48, 1)) == (1, 1, 1, 16)
    np.testing.assert_allclose(encoder(images), wanted, rtol=1e-5, atol=1e-6)


def test_the_gradient_reaches_the_crop_of_the_slice_alone(cnn):
    images = np.random.default_rng(1).uniform(-1, 0.5, (1, 32, 48, 1)).astype(np.float32)
    images[0, 12:18, 30:38] = 2.0  # centre 14.5, 33.5: from row 7 and column 26 on
    encoder = crops.encoder(thresholding_unet(), cnn)
    with tf.GradientTape() as tape:
        slices = tf.constant(images)
        tape.watch(slices)
        total = tf.reduce_sum(encoder(slices))
    gradient = np.abs(tape.gradient(total, slices).numpy()[0, ..., 0])
    inside = np.zeros((32, 48), bool)
    inside[7:23, 26:42] = True
    assert gradient[inside].max() > 0
    assert not gradient[~inside].any()
