from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.interpretation import network_outputs
from rembrandt_featgen.interpretation.samples import Slices
from rembrandt_featgen.segmentation import tensorlayer_files


def network(factor):
    """A U-Net that predicts its input times `factor`."""
    image = tf.keras.Input((8, 8, 1))
    return tf.keras.Model(image, tf.keras.layers.Rescaling(factor)(image))


@pytest.fixture
def before_and_after(monkeypatch):
    """Segments slices of a run with --unet_weights and their digest; returns that, and the arrays it began with."""
    masks = np.zeros((2, 8, 8), np.uint8)
    masks[:, :4] = 1
    images = masks[..., None].astype(np.float32)
    images[1, 4:6] = 0.9  # half as much again
    slices = Slices(images, masks, ["A", "B"], np.array([1, 0]))

    def segment(weights, digest=""):
        started = []
        monkeypatch.setattr(network_outputs.initial, "unet", lambda *args: started.append(args) or network(0.4))
        record = {"config": {"unet_weights": str(weights)}, "inputs": {"unet_weights": digest}}
        records = {"train_unet": record, "prepare_slices": {"figures": {"channels": ["flair"]}}}
        run = SimpleNamespace(
            slices=lambda *_: slices, unet=network(1.0), records=records, classes=Classes.of(("LGG", "HGG"))
        )
        found = network_outputs.segment_before_and_after(run)
        np.testing.assert_array_equal(found.masks, masks)
        return found[2:], [args[2] if args[2:] else None for args in started]

    return segment


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
