"""Volumes become slices and come back, whatever their scale."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.data import intensities
from rembrandt_featgen.data.preparation import (
    Preparation,
    content_box,
    describe,
    kept_share,
    prepare_mask,
    prepare_volume,
    restore_volume,
    size_for,
)
from tests.data.cropping import centre_crop_or_pad

VOLUME = Preparation("volume", "foreground", "resize", size=32, slices_in=1, mean=(0.0,), deviation=(1.0,))
COHORT = Preparation("cohort", "none", "crop", size=32, slices_in=1, mean=(40.0,), deviation=(20.0,))
SCALES = {"raw": (1.0, 0.0), "z": (0.02, -0.7), "unit": (1 / 160, 0.0), "tenth": (0.1, 0.0), "thousand": (1000.0, 0.0)}


def head(background=0.0, seed=0):
    """A head of 40 rows and 30 columns, off the centre of 6 slices of 64 x 56, brighter than the noise around it."""
    generator = np.random.default_rng(seed)
    volume = background + generator.uniform(0, 3, (6, 64, 56, 1))
    volume[:, 10:50, 12:42] += generator.normal(80, 10, (6, 40, 30, 1))
    volume[2:4, 20:30, 20:30] += 60.0
    return volume.astype(np.float32)


def lesion():
    mask = np.zeros((6, 64, 56, 1), np.uint8)
    mask[2:4, 20:30, 20:30] = 1
    return mask


@pytest.mark.parametrize("name", SCALES)
def test_volume_normalisation_does_not_see_scale_or_shift(name):
    factor, shift = SCALES[name]
    wanted, geometry = prepare_volume(tf.constant(head()), VOLUME)
    found, other = prepare_volume(tf.constant(head() * np.float32(factor) + np.float32(shift)), VOLUME)
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    for one, same in zip(geometry, other):
        np.testing.assert_array_equal(one, same)


def test_cohort_normalisation_sees_scale():
    raw, scaled = (prepare_volume(tf.constant(head() * np.float32(factor)), COHORT)[0] for factor in (1, 10))
    assert np.abs(raw - scaled).max() > 1


def test_foreground_is_z_scored():
    prepared, geometry = prepare_volume(tf.constant(head()), dataclasses.replace(VOLUME, size=64))
    top, left, height, width = geometry.box.numpy()
    assert (9 <= top <= 10, 11 <= left <= 12, 40 <= height <= 42, 30 <= width <= 32) == (True,) * 4
    restored = restore_volume(prepared, geometry).numpy()
    inside = restored[:, 10:50, 12:42]
    assert abs(inside.mean()) < 0.05
    assert inside.std() == pytest.approx(1.0, abs=0.05)


def test_an_outlier_moves_nothing():
    wanted, _ = prepare_volume(tf.constant(head()), VOLUME)
    volume = head()
    volume[0, 0, 0] = 1e6
    volume[5, 63, 55] = -1e6
    found, _ = prepare_volume(tf.constant(volume), VOLUME)
    np.testing.assert_allclose(found, wanted, atol=0.05)


def test_cohort_and_crop_are_the_papers():
    """The centre of the raw slices, padded by 0, minus the mean and divided by the deviation."""
    for shape in ((40, 70), (32, 32), (17, 50)):
        volume = np.random.default_rng(0).normal(50, 20, (3, *shape, 1)).astype(np.float32)
        found, _ = prepare_volume(tf.constant(volume), COHORT)
        centre = np.stack([centre_crop_or_pad(one, 32) for one in volume])
        np.testing.assert_allclose(found, (centre - 40.0) / 20.0, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("used", [VOLUME, COHORT, dataclasses.replace(VOLUME, fit="crop", size=48)])
def test_there_and_back(used):
    """The lesion's mask comes back to where it was, and its image is brighter there."""
    images, geometry = prepare_volume(tf.constant(head()), used)
    mask = prepare_mask(tf.constant(lesion()), geometry, used)
    assert images.shape == (6, used.size, used.size, 1)
    assert mask.shape == images.shape
    assert images.numpy()[mask.numpy() > 0].mean() > images.numpy()[mask.numpy() == 0].mean() + 1
    back = restore_volume(tf.cast(mask, tf.float32), geometry).numpy() > 0.5
    assert back.shape == lesion().shape
    dice = 2 * (back & (lesion() > 0)).sum() / (back.sum() + lesion().sum())
    assert dice > 0.85


def test_padding_is_background():
    small = head()[:, 5:25, 5:25]
    prepared, _ = prepare_volume(tf.constant(small), dataclasses.replace(VOLUME, crop="none"))
    assert prepared.numpy()[:, 0, 0].max() == pytest.approx(prepared.numpy().min(), abs=1e-6)
    masks = prepare_mask(tf.ones([6, 20, 20, 1]), prepare_volume(tf.constant(small), VOLUME)[1], VOLUME).numpy()
    assert masks[:, 0].max() == 0  # outside the volume there is no tumour, even where all of it is


def test_neighbours_are_channels():
    alone, _ = prepare_volume(tf.constant(head()), VOLUME)
    prepared, _ = prepare_volume(tf.constant(head()), dataclasses.replace(VOLUME, slices_in=3))
    assert prepared.shape == (6, 32, 32, 3)
    np.testing.assert_array_equal(prepared[..., :1], alone)
    np.testing.assert_array_equal(prepared[1:, ..., 1:2], alone[:-1])
    np.testing.assert_array_equal(prepared[:-1, ..., 2:], alone[1:])
    np.testing.assert_array_equal(prepared[0, ..., 1], alone[0, ..., 0])  # at the ends the slice itself
    np.testing.assert_array_equal(prepared[-1, ..., 2], alone[-1, ..., 0])


def test_every_channel_has_its_own_scale():
    both = np.concatenate([head(), head(seed=1) * 1000], -1)
    found, _ = prepare_volume(tf.constant(both), dataclasses.replace(VOLUME, mean=(0.0, 0.0), deviation=(1.0, 1.0)))
    assert np.abs(found[..., 1]).max() < 10


@pytest.mark.parametrize("volume", [np.full((2, 20, 20, 1), 7.0, np.float32), np.zeros((1, 1, 1, 1), np.float32)])
def test_constant_volumes_stay_finite(volume):
    for used in (VOLUME, COHORT):
        prepared, geometry = prepare_volume(tf.constant(volume), used)
        assert np.isfinite(prepared).all()
        assert np.isfinite(describe(tf.constant(volume), used)).all()
        assert kept_share(tf.constant(volume), geometry, used) == 1.0


def test_kept_share_and_content():
    _, geometry = prepare_volume(tf.constant(head()), VOLUME)
    assert kept_share(tf.constant(head()), geometry, VOLUME) > 0.99
    narrow = dataclasses.replace(COHORT, size=16)
    _, geometry = prepare_volume(tf.constant(head()), narrow)
    assert kept_share(tf.constant(head()), geometry, narrow) < 0.3
    assert content_box(tf.constant(head())).numpy()[2:].tolist() == [42, 32]
    assert size_for(np.array([[42, 32], [20, 33]]), 128) == 48
    assert size_for(np.array([[200, 180]]), 128) == 128


def test_description_is_of_the_foreground():
    described = describe(tf.constant(head()), VOLUME).numpy()
    assert described.shape == (1, 6)
    assert described[0, 0] == pytest.approx(40 * 30 / (64 * 56), abs=0.01)
    assert (np.diff(described[0, 1:]) > 0).all()
    np.testing.assert_allclose(describe(tf.constant(head() * 1000), VOLUME), described, atol=1e-3)


def test_record_gives_it_back():
    assert Preparation.of_record({**dataclasses.asdict(COHORT), "mean": [40.0]}) == COHORT


@pytest.mark.parametrize("shape", [(13, 256, 256), (26, 256, 256), (7, 255, 510)])
def test_large_volumes_are_sampled_evenly(shape, monkeypatch):
    """Also where the number of voxels for each that is read shares factors with the width."""
    monkeypatch.setattr(intensities, "SAMPLED", 20_000)
    columns = np.linspace(0, 1, shape[2]) ** 2
    volume = np.random.default_rng(0).normal(100, 20, shape) * (0.5 + columns)
    volume = tf.constant(volume[..., np.newaxis], tf.float32)
    whole = dataclasses.replace(VOLUME, crop="none")
    found = prepare_volume(volume, whole)[0]
    monkeypatch.setattr(intensities, "SAMPLED", 10**9)
    wanted = prepare_volume(volume, whole)[0]
    np.testing.assert_allclose(found, wanted, atol=0.05)


def test_sizes_hold_most_volumes():
    sides = np.array([[44, 44]] * 8 + [[89, 60]] * 2)
    assert size_for(sides, 128) == 48
    assert size_for(np.array([[9, 9]]), 128) == 32  # conv5 is not a single pixel
