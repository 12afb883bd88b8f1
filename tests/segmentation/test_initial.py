import functools
import logging

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.segmentation import initial, pretrained, unet

CONFIG = {"seed": 3, "unet_width": 2, "unet_weights": "w.npz", "unet_weights_modalities": []}
SLICES = {"channels": ["flair"], "tumour_prior": 0.02}


def arrays(network):
    return [variable.numpy() for variable in pretrained.variables(network)]


@functools.lru_cache
def began(initializer):
    return initial.unet({**CONFIG, "unet_initializer": initializer}, SLICES)


@pytest.mark.parametrize("initializer", unet.INITIALIZERS)
def test_random_weights_are_those_that_training_began_with(initializer):
    tf.keras.utils.set_random_seed(3)
    network = unet.build_unet(1, 2, initializer=initializer, prior=0.02 if initializer == "he" else None)
    tf.random.normal([3])  # whatever was drawn in between
    for x, y in zip(arrays(began(initializer)), arrays(network)):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("initializer", "share", "prior"),
    [("he", 0.02, 0.02), ("he", 0.0, 1e-4), ("he", 0.9, 0.5), ("tensorlayer", 0.02, None)],
)
def test_head_began_at_the_tumours_share_but_for_the_reference_implementation(monkeypatch, initializer, share, prior):
    seen = []
    monkeypatch.setattr(initial, "build_unet", lambda *args, **settings: seen.append((args, settings)))
    initial.unet({**CONFIG, "unet_initializer": initializer}, {"channels": ["flair", "t1"], "tumour_prior": share})
    assert seen == [((2, 2), {"initializer": initializer, "prior": prior, "precision": "float32", "norm": "none"})]


def test_norm_is_the_records(monkeypatch):
    monkeypatch.setattr(initial, "build_unet", lambda *args, norm, **settings: norm)
    assert initial.unet({**CONFIG, "unet_initializer": "he", "unet_norm": "batch"}, SLICES) == "batch"


def test_weights_of_a_checkpoint_are_adapted_to_the_modalities(monkeypatch):
    """FLAIR of BraTS' four channels: its filters times sqrt(4 / 1)."""
    given = [array + 0.5 for array in arrays(began("he"))]
    given[0] = np.concatenate([given[0], *[np.full_like(given[0], 9.0)] * 3], axis=2)
    network, before = began("he"), began("he").get_weights()
    monkeypatch.setattr(initial, "build_unet", lambda *args, **settings: network)
    found = arrays(initial.unet({**CONFIG, "unet_initializer": "he"}, SLICES, given))
    network.set_weights(before)
    np.testing.assert_allclose(found[0], 2 * given[0][:, :, :1])
    for x, y in zip(found[1:], given[1:]):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(("rate", "warned"), [(1e-5, True), (1e-4, False)])
def test_rates_for_fine_tuning_are_said_where_nothing_is_tuned(caplog, rate, warned):
    with caplog.at_level(logging.WARNING, logger="absl"):
        initial.warn_of_rate(rate)
    assert ("--unet_learning_rate=1e-05" in caplog.text) == warned
