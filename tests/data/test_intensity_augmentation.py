import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.data import intensity_augmentation
from rembrandt_featgen.data.intensity_augmentation import Intensities, augment

OFF = Intensities(
    low_resolution_probability=0.0,
    noise_probability=0.0,
    brightness_probability=0.0,
    contrast_probability=0.0,
    gamma_probability=0.0,
)
NAMES = [name for name in OFF._fields if name.endswith("_probability")]


@pytest.fixture(scope="module")
def images():
    """Slices of two channels of different scales, and one of nothing."""
    generator = np.random.default_rng(0)
    smooth = np.cumsum(generator.normal(size=(40, 24, 32, 2)), axis=1).astype(np.float32)
    smooth[..., 1] *= 50
    smooth[-1] = 0.25
    return smooth


def deviations(values):
    return values.std((1, 2), keepdims=True)


def test_nothing_is_changed_where_all_is_off(images):
    np.testing.assert_allclose(augment(images, [1, 2], settings=OFF), images, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_each_technique_changes_its_share_of_the_slices(images, name):
    """All channels of a slice alike, and a slice without contrast stays finite."""
    found = np.concatenate(
        [augment(images, [seed, 2], settings=OFF._replace(**{name: 0.3})).numpy()[:-1] for seed in range(20)]
    )
    before = np.tile(images[:-1], (20, 1, 1, 1))
    changed = np.abs(found - before).max((1, 2)) > 1e-3 * deviations(before)[:, 0, 0]
    assert 0.22 < changed.any(1).mean() < 0.38
    if name != "gamma_probability":
        np.testing.assert_array_equal(changed[:, 0], changed[:, 1])
    assert np.isfinite(augment(images, [1, 2], settings=OFF._replace(**{name: 1.0}))).all()


def test_noise_is_of_at_most_a_tenth_of_the_deviation(images):
    found = augment(images, [1, 2], settings=OFF._replace(noise_probability=1.0)) - images
    ratio = deviations(found.numpy()[:-1])[:, 0, 0] / deviations(images[:-1])[:, 0, 0]
    assert ratio.max() < 0.11 and ratio.min() < 0.03 and 0.04 < ratio.mean() < 0.06


def test_brightness_and_contrast_are_linear(images):
    shifted = augment(images, [1, 2], settings=OFF._replace(brightness_probability=1.0)).numpy()[:-1]
    shift = (shifted - images[:-1]) / deviations(images[:-1])
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1, :1, :1], shift.shape), atol=1e-4)
    assert 0.1 < np.abs(shift).max() <= 0.2 + 1e-4 and shift.min() < -0.1
    stretched = augment(images, [1, 2], settings=OFF._replace(contrast_probability=1.0)).numpy()[:-1]
    mean = images[:-1].mean((1, 2), keepdims=True)
    factor = deviations(stretched) / deviations(images[:-1])
    np.testing.assert_allclose(stretched, (images[:-1] - mean) * factor + mean, rtol=1e-3, atol=1e-2)
    assert 0.75 <= factor.min() < 0.85 and 1.15 < factor.max() <= 1.2501


def test_gamma_keeps_mean_deviation_and_order(images):
    found = augment(images, [1, 2], settings=OFF._replace(gamma_probability=1.0)).numpy()[:-1]
    before = images[:-1]
    np.testing.assert_allclose(found.mean((1, 2)), before.mean((1, 2)), rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(deviations(found), deviations(before), rtol=1e-3)
    for one, other in zip(found[..., 0], before[..., 0]):
        order = np.argsort(other.ravel())
        assert (np.diff(one.ravel()[order]) > -1e-4).all()
    darker = np.median(found, (1, 2)) < np.median(before, (1, 2))
    assert 0.2 < darker.mean() < 0.95  # both ways


def test_low_resolution_keeps_what_is_smooth_and_loses_what_is_not():
    rows = np.linspace(0.0, 1.0, 32, dtype=np.float32)
    ramp = np.tile(rows[None, :, None, None], (30, 1, 32, 1))
    checkers = np.tile((np.indices((32, 32)).sum(0) % 2)[None, ..., None].astype(np.float32), (30, 1, 1, 1))
    settings = OFF._replace(low_resolution_probability=1.0)
    found = augment(ramp, [1, 2], settings=settings).numpy()
    np.testing.assert_allclose(found[:, 2:-2], ramp[:, 2:-2], atol=0.02)
    np.testing.assert_allclose(found.mean((1, 2, 3)), 0.5, atol=1e-3)
    left = deviations(augment(checkers, [1, 2], settings=settings).numpy())[:, 0, 0, 0]
    assert left.min() < 1e-6 and left.max() < 0.25  # of 0.5; nothing is left at twice the spacing
    assert len(np.unique(left.round(4))) == len(intensity_augmentation._SPACINGS)


def test_is_a_function_of_the_seed_in_a_graph_and_of_any_type(images):
    batches = tf.data.Dataset.from_tensor_slices(images).batch(16).enumerate()
    mapped = list(batches.map(lambda i, batch: augment(batch, tf.stack([7, i]))))
    for number, (batch, found) in enumerate(zip(batches, mapped)):
        assert found.shape == batch[1].shape
        np.testing.assert_allclose(found, augment(batch[1], [7, number]), rtol=1e-4, atol=1e-3)
    assert not np.allclose(mapped[0], augment(images[:16], [8, 0]))
    assert augment(tf.cast(images, tf.float16), [1, 2]).dtype == tf.float16
