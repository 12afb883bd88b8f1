"""The reference implementation's augmentations against TensorLayer itself, and each quirk against the correct ones."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorlayer as tl

from rembrandt_featgen.data import augmentation, augmentation_parameters, reference_augmentation

SIZE, SECOND = 32, 1_600_000_000
SCALE = SIZE / augmentation_parameters.ELASTIC_HEIGHT


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(3.0, 1.0, (3, SIZE, SIZE, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def masks():
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return np.stack([(rows - 15) ** 2 + (columns - 18) ** 2 < r**2 for r in (5, 8, 11)])[..., None].astype(np.uint8)


def given(**values):
    """Parameters that are the identity but for `values`, the same for three images."""
    parameters = augmentation_parameters.identity(3, SIZE, SIZE)._replace(zoom=tf.zeros([3, 2]))
    return parameters._replace(
        **{k: tf.cast(np.stack([v] * 3), getattr(parameters, k).dtype) for k, v in values.items()}
    )


def elastic_noise():
    """What the reference implementation draws in that second, in [-1, 1)."""
    return np.random.RandomState(SECOND).rand(SIZE, SIZE) * 2 - 1


def field():
    noise = np.repeat(elastic_noise()[None, None], 2, 1).astype(np.float32)
    return augmentation_parameters.elastic(tf.constant(noise), SIZE, SIZE)[0].numpy()


def zoomed(values, x, y):
    """TensorLayer 1's zoom_multi: height and width apart."""
    matrix = tl.prepro.transform_matrix_offset_center(np.diag([y, x, 1.0]), SIZE, SIZE)
    return [tl.prepro.affine_transform(each, matrix, fill_mode="constant") for each in values]


def tensorlayer(values, monkeypatch, **p):
    """A list of [height, width, 1] after those techniques that are given, by TensorLayer."""
    if "flip_horizontal" in p:
        values = tl.prepro.flip_axis_multi(values, axis=1)
    if "flip_vertical" in p:
        values = tl.prepro.flip_axis_multi(values, axis=0)
    if "displacement" in p:
        monkeypatch.setattr(tl.prepro.time, "time", lambda: SECOND + 0.7)
        values = tl.prepro.elastic_transform_multi(values, alpha=720 * SCALE**2, sigma=24 * SCALE, is_random=True)
    if "angle" in p:
        values = tl.prepro.rotation_multi(values, rg=math.degrees(p["angle"]), fill_mode="constant")
    if "shift" in p:
        values = tl.prepro.shift_multi(values, wrg=p["shift"][0], hrg=p["shift"][1], fill_mode="constant")
    if "shear" in p:
        values = tl.prepro.shear_multi(values, p["shear"], fill_mode="constant")
    return zoomed(values, *(1 + np.array(p["zoom"]))) if "zoom" in p else values


SEVEN = {
    "flip_horizontal": True,
    "flip_vertical": True,
    "displacement": field(),
    "angle": math.radians(-17),
    "shift": [0.0725, -0.0553],
    "shear": 0.047,
    "zoom": [0.09, -0.06],
}


@pytest.mark.parametrize("names", [*((name,) for name in SEVEN), tuple(SEVEN)], ids="+".join)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_techniques_are_tensorlayers(names, images, masks, monkeypatch):
    values = {name: SEVEN[name] for name in names}
    found, soft = reference_augmentation.apply(images, masks, given(**values))
    assert soft.dtype == tf.float32
    for i in range(3):
        channels = [images[i, ..., :1], images[i, ..., 1:], masks[i].astype(np.float32)]
        wanted = tensorlayer(channels, monkeypatch, **values)
        got = [found[i, ..., :1], found[i, ..., 1:], soft[i]]
        # at the very edge of "inside", float32 and float64 may fall on either side
        differ = np.abs(np.asarray(got) - np.asarray(wanted)) > 2e-3
        assert differ.mean() < 1e-3, names


def changed(technique, value, images, masks):
    """Of one technique: images and masks by the correct code, then by the reference implementation's."""
    other = augmentation_parameters.identity(3, SIZE, SIZE)._replace(**{technique: tf.constant([value] * 3)})
    reference = [value, value] if technique == "zoom" else value
    return augmentation.apply(images, masks, other), reference_augmentation.apply(
        images, masks, given(**{technique: reference})
    )


def test_fill_is_zero_not_the_background(images, masks):
    """What shifts in is brighter than what lies there in normalised slices."""
    dark = images - 5.0  # background below the mean, which is 0
    (correct, _), (reference, _) = changed(
        "shift", [-0.25, 0.0], dark, masks
    )  # content goes left; the reference's, right
    np.testing.assert_allclose(correct[0, :, -8:, 0], np.full((SIZE, 8), dark[0, ..., 0].min()), atol=1e-4)
    np.testing.assert_array_equal(reference[0, :, :8, 0], np.zeros((SIZE, 8)))


def test_masks_are_interpolated(images, masks):
    (_, correct), (_, reference) = changed("angle", 0.2, images, masks)
    assert set(np.unique(correct)) == {0, 1}
    between = np.mean((reference.numpy() > 0.01) & (reference.numpy() < 0.99))
    assert between > 0.03


def test_what_is_moved_out_is_lost_and_steps_blur(images, masks):
    """A shift of 3.2 pixels to the right, undone by one to the left in the elastic field before it."""
    both = {"shift": [0.1, 0.0], "displacement": np.full((SIZE, SIZE, 2), [-3.2, 0.0])}
    found, _ = reference_augmentation.apply(images, masks, given(**both))
    middle = slice(8, 24)
    assert found[0, :, middle, 0].numpy().std() < 0.85 * images[0, :, middle, 0].std()  # interpolated twice
    np.testing.assert_array_equal(found[0, :, -4:, 0], np.zeros((SIZE, 4)))  # gone, though it was moved back
    once, _ = augmentation.apply(
        images,
        masks,
        augmentation_parameters.identity(3, SIZE, SIZE)._replace(
            displacement=tf.fill([3, SIZE, SIZE, 2], 0.0) + [3.2, 0.0], shift=tf.fill([3, 2], 0.0) + [0.1, 0.0]
        ),
    )
    np.testing.assert_allclose(once[..., 4:-4, :], images[..., 4:-4, :], atol=1e-3)


def test_one_elastic_field_for_both_axes_and_the_whole_batch():
    reference, correct = (
        module.draw([3, 4], 5, height=64, width=64).displacement.numpy()
        for module in (reference_augmentation, augmentation)
    )
    np.testing.assert_array_equal(reference[..., 0], reference[..., 1])
    np.testing.assert_array_equal(reference, np.broadcast_to(reference[:1], reference.shape))
    assert np.abs(correct[..., 0] - correct[..., 1]).mean() > 0.1
    assert np.abs(correct[0] - correct[1]).mean() > 0.1


def test_shear_is_vertical():
    """The middle row stands still where rows are moved; in the reference implementation the middle column does."""
    rows = np.repeat(np.arange(33.0)[:, None], 33, 1)[None, ..., None].astype(np.float32)  # does not vary along a row
    parameters = augmentation_parameters.identity(1, 33, 33)._replace(shear=tf.constant([0.05]), zoom=tf.zeros([1, 2]))
    reference, _ = reference_augmentation.apply(rows, np.zeros_like(rows), parameters)
    correct, _ = augmentation.apply(rows, np.zeros_like(rows), parameters._replace(zoom=tf.zeros([1])))
    inner = slice(4, -4)
    np.testing.assert_allclose(correct[0, inner, inner, 0], rows[0, inner, inner, 0], atol=1e-4)
    np.testing.assert_allclose(  # read at y - x sin(0.05)
        reference[0, 16, inner, 0], 16 - (np.arange(33)[inner] - 16) * math.sin(0.05), atol=1e-4
    )


def test_zoom_stretches_and_reads_at_the_factor(images, masks):
    drawn = reference_augmentation.draw([1, 2], 4000, height=8, width=8)
    x, y = drawn.zoom.numpy().T / 0.10
    for values in (x, y):
        assert (values.min(), values.max()) == (pytest.approx(-1, abs=0.01), pytest.approx(1, abs=0.01))
        assert values.std() == pytest.approx(1 / math.sqrt(3), abs=0.02)
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.05
    (_, larger), (_, smaller) = changed("zoom", 0.3, images, masks)
    area = masks.sum((1, 2, 3))
    np.testing.assert_allclose(larger.numpy().sum((1, 2, 3)) / area, 1.3**2, rtol=0.1)
    np.testing.assert_allclose(smaller.numpy().sum((1, 2, 3)) / area, 1.3**-2, rtol=0.1)


def test_all_but_elastic_field_and_zoom_is_drawn_alike():
    reference, correct = (
        module.draw([5, 6], 7, height=64, width=64) for module in (reference_augmentation, augmentation)
    )
    for name in ("flip_horizontal", "flip_vertical", "angle", "shift", "shear"):
        np.testing.assert_array_equal(getattr(reference, name), getattr(correct, name))


def test_within_tf_data_it_gives_the_same(images, masks):
    dataset = tf.data.Dataset.from_tensor_slices((images, masks)).batch(2)
    mapped = dataset.enumerate().map(lambda i, batch: reference_augmentation.augment(*batch, [7, i]))
    assert mapped.element_spec[0] == dataset.element_spec[0]
    for i, (result, batch) in enumerate(zip(mapped, dataset)):
        for got, wanted in zip(result, reference_augmentation.augment(*batch, [7, i])):
            np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_errors_quote_what_was_received(images, masks):
    with pytest.raises(ValueError, match=r"masks must be .* received \(3, 32, 31, 1\)"):
        reference_augmentation.augment(images, masks[:, :, 1:], [0, 0])
