from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.interpretation import explanations
from rembrandt_featgen.interpretation.feature_points import Points
from rembrandt_featgen.interpretation.samples import Slices


def test_what_a_channel_of_crops_looks_for_is_sought_in_crops(monkeypatch):
    """Crops of 16 pixels of slices of 32, maps of 4 x 4 on them, and means by the very network that is maximised."""
    random = np.random.default_rng(0)
    image = tf.keras.Input((16, 16, 1))
    encoder = tf.keras.Model(image, tf.keras.layers.Conv2D(2, 4, 4, "valid", activation="relu")(image))
    slices = Slices(random.uniform(0, 1, (2, 32, 32, 1)).astype(np.float32), np.zeros((2, 32, 32)), ["A", "B"], [1, 0])
    cut = slices.images[:, 8:24, 8:24]
    monkeypatch.setattr(explanations.samples, "read_slices", lambda *_: slices)
    values = np.array([[0.1, 0.9], [0.8, 0.2], [0.2, 0.9], [0.7, 0.1]])
    points = Points(values, np.array([1, 0, 1, 0]), list("ABAB"), ["train"] * 4, np.arange(4))
    run = SimpleNamespace(
        points=points,
        tap="crop_cnn",
        folders={"prepare_slices": ""},
        classes=Classes.of(("LGG", "HGG")),
        encoder_inputs=lambda found: (encoder, cut, found.masks),
    )
    maxima = explanations.maximise_channels(run, 2)
    maps = encoder(cut).numpy()
    for i, (found, channel) in enumerate(zip(maxima, (1, 0))):
        assert found.channel == f"CNN of crops, channel {channel}"
        np.testing.assert_array_equal(found.real[0], cut[i, ..., 0])
        np.testing.assert_allclose(found.real[1], maps[i, ..., channel], atol=1e-6)
        assert found.maximised.shape == (16, 16)
        assert found.means[1] == pytest.approx(maps[i, ..., channel].mean(), abs=1e-6)
        assert found.synthetic is None
