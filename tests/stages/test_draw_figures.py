"""What the figures stage takes from other runs; that it draws all of a run, tests/test_pipeline.py says."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core import rundir
from rembrandt_featgen.interpretation.samples import Points, Slices
from rembrandt_featgen.segmentation import tensorlayer_files
from rembrandt_featgen.stages import draw_figures


def test_a_run_without_sweeps_has_no_figures_of_them(tmp_path):
    assert draw_figures._sweep(str(tmp_path)) == ({"points": []}, {})
    assert draw_figures.sweeps.drawn({"points": []}) == draw_figures.sweeps.tables({"points": []}) == {}


def test_a_changed_sweep_is_another_input(tmp_path):
    (tmp_path / "sweep").mkdir()
    rundir.write_json(tmp_path / "sweep" / "sweep.json", {"points": ["p"]})
    digests = []
    for seconds in (1, 2):
        rundir.write_json(tmp_path / "sweep" / "stage.json", {"seconds": seconds, "inputs": {}})
        swept, found = draw_figures._sweep(str(tmp_path))
        assert swept == {"points": ["p"]}
        digests.append(found["sweep"])
    assert digests[0] != digests[1]


def network(factor):
    """A U-Net that predicts its input times `factor`."""
    image = tf.keras.Input((8, 8, 1))
    return tf.keras.Model(image, tf.keras.layers.Rescaling(factor)(image))


@pytest.fixture
def before_and_after(monkeypatch):
    """Draws Fig. 7 of a run with --unet_weights and their digest; returns what is drawn, and arrays it began with."""
    masks = np.zeros((2, 8, 8), np.uint8)
    masks[:, :4] = 1
    images = masks[..., None].astype(np.float32)
    images[1, 4:6] = 0.9  # half as much again
    slices = Slices(images, masks, ["A", "B"], np.array([1, 0]))

    def draw(weights, digest=""):
        drawn, started = [], []
        monkeypatch.setattr(draw_figures.paper_figures, "before_and_after", lambda *args: drawn.append(args))
        monkeypatch.setattr(draw_figures.initial, "unet", lambda *args: started.append(args) or network(0.4))
        record = {"config": {"unet_weights": str(weights)}, "inputs": {"unet_weights": digest}}
        records = {"unet": record, "slices": {"figures": {"modalities": ["flair"]}}}
        draw_figures._before_and_after(SimpleNamespace(slices=lambda *_: slices, unet=network(1.0), records=records))
        (shown,), arrays = drawn, [args[2] if args[2:] else None for args in started]
        np.testing.assert_array_equal(shown[1], masks)
        return shown[2:], arrays

    return draw


def test_random_start_against_fine_tuned_with_dice_of_each_slice(before_and_after):
    (predictions, titles, note), arrays = before_and_after("")
    assert list(predictions) == ["initial", "fine-tuned"]
    assert predictions["fine-tuned"].max() == 1.0 and predictions["initial"].max() == pytest.approx(0.4)
    assert titles == [
        ["A, HGG\ndice 0.00", "B, LGG\ndice 0.00"],
        ["A, HGG\ndice 1.00", "B, LGG\ndice 0.80"],  # 2 x 32 / (32 + 48)
    ]
    assert note == "No --unet_weights was given: the initial weights are random."
    assert arrays == [None]


@pytest.mark.parametrize("changed", [False, True])
def test_pre_trained_against_fine_tuned(before_and_after, tmp_path, changed):
    file, given = tmp_path / "w.npz", [np.array([1.0, 2.0], np.float32)]
    tensorlayer_files.write(file, given)
    digest = "other" if changed else tensorlayer_files.read(file).digest
    (predictions, _, note), (arrays,) = before_and_after(file, digest)
    assert list(predictions) == ["pre-trained", "fine-tuned"]
    np.testing.assert_array_equal(arrays, given)
    assert note == f"Pre-trained weights: {file}" + (", which has changed since." if changed else ".")


def test_pre_trained_weights_that_are_gone_are_said_to_be(before_and_after, tmp_path):
    (predictions, titles, note), arrays = before_and_after(tmp_path / "gone.npz")
    assert list(predictions) == ["fine-tuned"] and len(titles) == 1
    assert not arrays
    assert "gone.npz is not there any more" in note


def test_what_a_channel_of_crops_looks_for_is_sought_in_crops(monkeypatch):
    """Crops of 16 pixels of slices of 32, maps of 4 x 4 on them, and means by the very network that is maximised."""
    random = np.random.default_rng(0)
    image = tf.keras.Input((16, 16, 1))
    encoder = tf.keras.Model(image, tf.keras.layers.Conv2D(2, 4, 4, "valid", activation="relu")(image))
    slices = Slices(random.uniform(0, 1, (2, 32, 32, 1)).astype(np.float32), np.zeros((2, 32, 32)), ["A", "B"], [1, 0])
    cut = slices.images[:, 8:24, 8:24]
    monkeypatch.setattr(draw_figures.samples, "read_slices", lambda *_: slices)
    values = np.array([[0.1, 0.9], [0.8, 0.2], [0.2, 0.9], [0.7, 0.1]])
    points = Points(values, np.array([1, 0, 1, 0]), list("ABAB"), ["train"] * 4, np.arange(4))
    run = SimpleNamespace(
        points=points, tap="crop_cnn", folders={"slices": ""}, looked_at=lambda found: (encoder, cut, found.masks)
    )
    sought = draw_figures._sought(run, 2)
    maps = encoder(cut).numpy()
    for i, (found, channel) in enumerate(zip(sought, (1, 0))):
        assert found.channel == f"CNN of crops, channel {channel}"
        np.testing.assert_array_equal(found.real[0], cut[i, ..., 0])
        np.testing.assert_allclose(found.real[1], maps[i, ..., channel], atol=1e-6)
        assert found.maximised.shape == (16, 16)
        assert found.means[1] == pytest.approx(maps[i, ..., channel].mean(), abs=1e-6)
        assert found.synthetic is None
