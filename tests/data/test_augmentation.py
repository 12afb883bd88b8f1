"""The augmentations of Table 1, each against numpy or scipy, and their distribution."""

import math

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from rembrandt_featgen.data import augmentation, augmentation_parameters, warps

BATCH, HEIGHT, WIDTH, CHANNELS = 3, 32, 40, 2
CENTRE = np.array([(HEIGHT - 1) / 2, (WIDTH - 1) / 2])  # (row, column), as scipy counts


def batch_of(batch=BATCH, height=HEIGHT, width=WIDTH, channels=CHANNELS):
    generator = np.random.default_rng(0)
    images = generator.normal(3.0, 1.0, (batch, height, width, channels)).astype(np.float32)
    rows, columns = np.mgrid[:height, :width] - np.array([height / 2.2, width / 1.8])[:, None, None]
    radii = generator.uniform(0.15, 0.4, (batch, 1, 1)) * height
    masks = ((rows**2 + 0.6 * columns**2) < radii**2).astype(np.float32)[..., None]
    return images, masks


def given(**values):
    """Parameters that are the identity but for `values`, the same for every image of the batch."""
    parameters = augmentation_parameters.identity(BATCH, HEIGHT, WIDTH)
    tiled = {k: tf.convert_to_tensor(np.stack([np.asarray(v)] * BATCH)) for k, v in values.items()}
    tiled = {k: tf.cast(v, getattr(parameters, k).dtype) for k, v in tiled.items()}
    return parameters._replace(**tiled)


def inverse(angle=0.0, shift=(0.0, 0.0), shear=0.0, zoom=0.0):
    """The matrix, in homogeneous (row, column, 1), from an output position to the position it reads."""

    def centred(linear, offset=(0.0, 0.0)):
        matrix = np.eye(3)
        matrix[:2, :2] = linear
        matrix[:2, 2] = CENTRE - matrix[:2, :2] @ CENTRE + offset
        return matrix

    cos, sin = math.cos(angle), math.sin(angle)
    rotation = centred([[cos, -sin], [sin, cos]])  # content at the right (column 1) goes up (row -1) at 90 degrees
    shifting = centred(np.eye(2), (shift[1] * HEIGHT, shift[0] * WIDTH))
    shearing = centred([[1, 0], [shear, 1]])
    zooming = centred(np.eye(2) * (1 + zoom))
    return np.linalg.inv(zooming @ shearing @ shifting @ rotation)


def affine(values, order, fill, **parameters):
    matrix = inverse(**parameters)
    return scipy.ndimage.affine_transform(values, matrix, order=order, mode="grid-constant", cval=fill)


def field():
    noise = np.random.default_rng(5).uniform(-1, 1, (2, HEIGHT, WIDTH))
    return np.stack([scipy.ndimage.gaussian_filter(n, 4.0, mode="constant") * 60 for n in noise], -1)  # (x, y)


def distort(values, order, fill):
    d = field()
    positions = np.mgrid[:HEIGHT, :WIDTH] + np.stack([d[..., 1], d[..., 0]])
    return scipy.ndimage.map_coordinates(values, positions, order=order, mode="grid-constant", cval=fill)


def everything(values, order, fill):
    """All seven, by chained positions in float64."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    matrix = inverse(math.radians(-17), (-0.06, 0.08), 0.045, -0.09)
    row, column, _ = np.einsum("ij,jrc->irc", matrix, np.stack([rows, columns, np.ones_like(rows)]))
    d = field()
    d = [scipy.ndimage.map_coordinates(d[..., i], [row, column], order=1, mode="nearest") for i in (0, 1)]
    flipped = values[::-1, ::-1]
    return scipy.ndimage.map_coordinates(
        flipped, [row + d[1], column + d[0]], order=order, mode="grid-constant", cval=fill
    )


CASES = {
    "flip_horizontal": ({"flip_horizontal": True}, lambda v, order, fill: v[:, ::-1]),
    "flip_vertical": ({"flip_vertical": True}, lambda v, order, fill: v[::-1]),
    "elastic": ({"displacement": field()}, distort),
    "rotation": (
        {"angle": math.radians(20)},
        lambda v, order, fill: scipy.ndimage.rotate(v, 20, reshape=False, order=order, mode="grid-constant", cval=fill),
    ),
    "shift": (
        {"shift": [0.0725, -0.097]},
        lambda v, order, fill: scipy.ndimage.shift(
            v, [-0.097 * HEIGHT, 0.0725 * WIDTH], order=order, mode="grid-constant", cval=fill
        ),
    ),
    "shear": ({"shear": 0.048}, lambda v, order, fill: affine(v, order, fill, shear=0.048)),
    "zoom in": ({"zoom": 0.0937}, lambda v, order, fill: affine(v, order, fill, zoom=0.0937)),
    "zoom out": ({"zoom": -0.0937}, lambda v, order, fill: affine(v, order, fill, zoom=-0.0937)),
    "all seven": (
        {
            "flip_horizontal": True,
            "flip_vertical": True,
            "displacement": field(),
            "angle": math.radians(-17),
            "shift": [-0.06, 0.08],
            "shear": 0.045,
            "zoom": -0.09,
        },
        everything,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_technique_agrees_with_an_independent_implementation(case):
    values, reference = CASES[case]
    images, masks = batch_of()
    result_images, result_masks = augmentation.apply(images, masks, given(**values))
    for b in range(BATCH):
        for c in range(CHANNELS):
            expected = reference(images[b, ..., c], 1, images[b, ..., c].min())
            np.testing.assert_allclose(result_images[b, ..., c], expected, atol=2e-4)
        expected = reference(masks[b, ..., 0], 0, 0.0)
        assert np.mean(result_masks[b, ..., 0].numpy() != expected) <= 1 / 400  # ties may round either way


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
        ({"flip_horizontal": True}, [[3, 2, 1], [6, 5, 4], [9, 8, 7]]),
        ({"flip_vertical": True}, [[7, 8, 9], [4, 5, 6], [1, 2, 3]]),
        ({"angle": math.pi / 2}, [[3, 6, 9], [2, 5, 8], [1, 4, 7]]),  # anticlockwise
        ({"shift": [1 / 3, 0.0]}, [[1, 1, 2], [1, 4, 5], [1, 7, 8]]),  # to the right; 1 is the background
        ({"shift": [0.0, 2 / 3]}, [[1, 1, 1], [1, 1, 1], [1, 2, 3]]),  # down
        ({"shear": 1.0}, [[2, 3, 1], [4, 5, 6], [1, 7, 8]]),  # the row below the middle moves right
        ({"zoom": 1.0}, [[3, 3.5, 4], [4.5, 5, 5.5], [6, 6.5, 7]]),
        ({"displacement": [[[1.0, 0.0]] * 2] * 2}, [[2, 3, 1], [5, 6, 1], [8, 9, 1]]),  # reads at x + 1
        # A quarter turn brings 3 to the upper left; only then does the shift move it.
        ({"angle": math.pi / 2, "shift": [1 / 3, 0.0]}, [[1, 3, 6], [1, 2, 5], [1, 1, 4]]),
    ],
)
def test_conventions_worked_by_hand(values, expected):
    image = tf.reshape(tf.range(1.0, 10.0), [1, 3, 3, 1])
    parameters = augmentation_parameters.identity(1, 3, 3)._replace(**{k: tf.constant([v]) for k, v in values.items()})
    result, _ = augmentation.apply(image, tf.zeros_like(image), parameters)
    np.testing.assert_allclose(result[0, ..., 0], expected, atol=1e-5)


def test_identity_changes_nothing():
    images, masks = batch_of()
    result_images, result_masks = augmentation.apply(
        images, masks, augmentation_parameters.identity(BATCH, HEIGHT, WIDTH)
    )
    np.testing.assert_allclose(result_images, images, atol=1e-5)
    np.testing.assert_array_equal(result_masks, masks)


def test_no_range_changes_nothing():
    images, masks = batch_of()
    result_images, result_masks = augmentation.augment(
        images, masks, [1, 2], ranges=augmentation_parameters.Ranges(*[0.0] * 8)
    )
    np.testing.assert_allclose(result_images, images, atol=1e-4)
    np.testing.assert_array_equal(result_masks, masks)


@pytest.mark.parametrize("image_type", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("mask_type", ["uint8", "bool", "int64"])
def test_types_are_kept(image_type, mask_type):
    images, masks = batch_of()
    expected_images, expected_masks = augmentation.augment(images, masks, [3, 4])
    images, masks = augmentation.augment(tf.cast(images, image_type), tf.cast(masks, mask_type), [3, 4])
    assert images.dtype == image_type
    assert masks.dtype == mask_type
    np.testing.assert_allclose(tf.cast(images, tf.float32), expected_images, atol=0.1)
    np.testing.assert_array_equal(tf.cast(masks, tf.float32), expected_masks)


def test_within_tf_data_it_gives_the_same():
    images, masks = batch_of(batch=8, channels=1)
    dataset = tf.data.Dataset.from_tensor_slices((images, masks)).batch(BATCH)  # 3, 3 and 2 images
    assert dataset.element_spec[0].shape[0] is None
    mapped = dataset.enumerate().map(lambda i, batch: augmentation.augment(*batch, [7, i]), num_parallel_calls=2)
    assert mapped.element_spec == dataset.element_spec
    for i, (result, batch) in enumerate(zip(mapped, dataset)):
        expected = augmentation.augment(*batch, [7, i])
        np.testing.assert_allclose(result[0], expected[0], atol=1e-5)
        np.testing.assert_array_equal(result[1], expected[1])


def test_seeds():
    images, masks = batch_of()
    first, again, other = (augmentation.augment(images, masks, seed)[0].numpy() for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.1
    integers = [
        augmentation.draw(tf.constant([1, 2], dtype), 8, height=16, width=16).angle.numpy()
        for dtype in (tf.int32, tf.int64)
    ]
    np.testing.assert_array_equal(*integers)
    assert (
        len({float(angle) for angle in augmentation.draw([1, 2], 8, height=16, width=16).angle}) == 8
    )  # one for each image


def test_image_and_mask_move_together():
    _, masks = batch_of(batch=32)
    images, moved = augmentation.augment(masks, masks, [11, 0])
    images, moved = images.numpy(), moved.numpy()
    assert set(np.unique(moved)) == {0.0, 1.0}
    assert np.all(moved[images > 0.99] == 1.0)  # four neighbours inside: the nearest is, too
    assert np.all(moved[images < 0.01] == 0.0)
    assert np.mean(moved != (images > 0.5)) < 0.01
    assert np.mean(moved != masks) > 0.03


def test_background_fills_each_channel_of_each_image():
    images, masks = batch_of()
    result_images, result_masks = augmentation.apply(images, np.ones_like(masks), given(shift=[0.5, 0.0]))
    lowest = np.broadcast_to(images.min((1, 2), keepdims=True), images.shape)
    np.testing.assert_allclose(result_images[:, :, : WIDTH // 2], lowest[:, :, : WIDTH // 2], atol=1e-5)
    assert np.all(result_masks[:, :, : WIDTH // 2] == 0)
    assert np.all(result_masks[:, :, WIDTH // 2 :] == 1)


@pytest.mark.parametrize("height", [240, 64])
def test_elastic_field_is_scipys_on_the_same_noise(height):
    width = height - 8
    noise = np.random.default_rng(2).uniform(-1, 1, (1, 2, height, width)).astype(np.float32)
    alpha, sigma = {240: (720, 24), 64: (720 * (64 / 240) ** 2, 6.4)}[height]
    result = augmentation_parameters.elastic(noise, height, width).numpy()
    for axis in (0, 1):
        expected = scipy.ndimage.gaussian_filter(noise[0, axis], sigma, mode="constant", cval=0) * alpha
        np.testing.assert_allclose(result[0, ..., axis], expected, atol=1e-4)


def test_drawn_elastic_field_deviates_and_correlates_like_scipys():
    drawn = augmentation.draw([5, 6], 600, height=240, width=240).displacement.numpy()
    assert drawn.shape == (600, 41, 41, 2)
    # Exact for scipy's: the rows of its filter, and the variance 1/3 of uniform noise in [-1, 1].
    rows = scipy.ndimage.gaussian_filter1d(np.eye(240), 24, axis=0, mode="constant")
    points = np.rint(warps.grid_points(240, 41)).astype(int)
    covariance = (rows @ rows.T)[np.ix_(points, points)]  # along one axis, of noise of variance 1
    deviation = 720 / math.sqrt(3) * np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert deviation[20, 20] == pytest.approx(4.886, abs=0.01)  # 720 / sqrt(3) / (2 sqrt(pi) 24)
    np.testing.assert_allclose(drawn.std((0, 3)), deviation, rtol=0.15)
    assert np.mean(drawn.std((0, 3)) / deviation) == pytest.approx(1.0, abs=0.02)
    assert np.abs(drawn.mean((0, 3))).max() < 0.6
    for lag in (2, 4, 8):  # 12, 24 and 48 pixels
        expected = covariance[20, 20 + lag] / math.sqrt(covariance[20, 20] * covariance[20 + lag, 20 + lag])
        for sample in (drawn[:, 20, 20 + lag], drawn[:, 20 + lag, 20]):
            result = np.corrcoef(drawn[:, 20, 20].ravel(), sample.ravel())[0, 1]
            assert result == pytest.approx(expected, abs=0.06)
    assert abs(np.corrcoef(drawn[:, 20, 20].T)[0, 1]) < 0.15  # x and y are independent


def test_the_lattice_is_fine_enough():
    noise = np.random.default_rng(3).uniform(-1, 1, (240, 240))
    exact = scipy.ndimage.gaussian_filter(noise, 24, mode="constant") * 720
    smoothing = warps.smoothing_matrix(warps.grid_points(240, 41), np.arange(240.0), 24)
    between = warps.interpolation_matrix(240, 41)
    lattice = between @ (smoothing @ noise @ smoothing.T * 720) @ between.T
    assert np.sqrt(np.mean((lattice - exact) ** 2)) < 0.05  # pixels, of a deviation of 4.9
    assert np.abs(lattice - exact).max() < 0.2


def test_every_size_is_deformed_alike():
    small, large = (augmentation.draw([8, 9], 50, height=n, width=n).displacement.numpy() / n for n in (60, 240))
    assert small.shape == large.shape
    assert small.std() == pytest.approx(large.std(), rel=0.03)


def test_every_technique_is_drawn_over_its_range():
    parameters = augmentation.draw([3, 1], 4000, height=8, width=8)
    for flip in (parameters.flip_horizontal, parameters.flip_vertical):
        assert flip.dtype == tf.bool
        assert np.mean(flip) == pytest.approx(0.5, abs=0.04)
    drawn = {
        "angle": (parameters.angle, math.radians(20)),
        "shift x": (parameters.shift[:, 0], 0.10),
        "shift y": (parameters.shift[:, 1], 0.10),
        "shear": (parameters.shear, 0.05),
        "zoom": (parameters.zoom, 0.10),
    }
    for name, (values, limit) in drawn.items():
        values = values.numpy() / limit
        assert -1.0 <= values.min() < -0.99, name
        assert 0.99 < values.max() <= 1.0, name
        assert values.mean() == pytest.approx(0.0, abs=0.05), name
        assert values.std() == pytest.approx(1 / math.sqrt(3), abs=0.02), name  # of a uniform distribution
    columns = [parameters.flip_horizontal, parameters.flip_vertical, *(values for values, _ in drawn.values())]
    correlation = np.corrcoef([np.asarray(c, np.float64) for c in columns])
    assert np.abs(correlation - np.eye(7)).max() < 0.07


def test_table_1():
    assert (
        augmentation_parameters.Ranges()
        == (0.5, 0.5, 720.0, 24.0, math.radians(20), 0.10, 0.05, 0.10)
        == augmentation_parameters.TABLE_1
    )


@pytest.mark.parametrize(
    "function",
    [augmentation.augment, lambda i, m, _: augmentation.apply(i, m, augmentation_parameters.identity(1, 8, 8))],
)
def test_errors_quote_what_was_received(function):
    images, masks = tf.zeros([1, 8, 8, 1]), tf.zeros([1, 8, 8, 1])
    with pytest.raises(ValueError, match=r"masks must be .* like images \(1, 8, 8, 1\); received \(1, 8, 9, 1\)"):
        function(images, tf.zeros([1, 8, 9, 1]), [0, 0])
    with pytest.raises(ValueError, match=r"images must be floats .* received uint8 \(1, 8, 8, 1\)"):
        function(tf.cast(images, tf.uint8), masks, [0, 0])
    with pytest.raises(ValueError, match=r"images must be floats .* received float32 \(8, 8, 1\)"):
        function(images[0], masks, [0, 0])
