import json

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.data.preparation import Preparation
from rembrandt_featgen.segmentation import unet_export
from rembrandt_featgen.segmentation.unet import build_unet, tap_model
from tests.data.cropping import centre_crop_or_pad

SIZE = 32
MEAN, DEVIATION = np.array([100.0, 7.0]), np.array([25.0, 0.0])  # the second channel is the same everywhere
PREPARATION = Preparation(
    "cohort", "none", "crop", size=SIZE, slices_in=1, mean=tuple(MEAN), deviation=tuple(DEVIATION)
)


@pytest.fixture(scope="module")
def unet():
    """A narrow U-Net of two channels that finds tumour in about half of the pixels."""
    tf.keras.utils.set_random_seed(0)
    network = build_unet(2, 4)
    median = np.median(network(tf.random.normal((2, SIZE, SIZE, 2))))
    network.get_layer("uconv1").weights[1].assign([np.log(1 / median - 1)])  # the head's bias
    return network


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, unet):
    """What `tf.saved_model.load` gives of the U-Net as the export stage saves it."""
    path = str(tmp_path_factory.mktemp("export") / "unet")
    module, signatures = unet_export.segmenter(
        unet, tap_model(unet, "conv5"), preparation=PREPARATION, modalities=("flair", "t1")
    )
    tf.saved_model.save(module, path, signatures)
    return tf.saved_model.load(path)


def raw_images(height, width, count=2):
    """Raw intensities about MEAN."""
    noise = np.random.default_rng(height * width).normal(size=(count, height, width, 2))
    return (MEAN + [25.0, 1.0] * noise).astype(np.float32)


def test_signatures(loaded):
    assert set(loaded.signatures) == {"segment", "prepare", "segment_slices", "restore", "serving_default"}


def test_default_signature_names_inputs_and_outputs(loaded):
    signature = loaded.signatures["serving_default"]
    inputs = {key: spec.shape.as_list() for key, spec in signature.structured_input_signature[1].items()}
    assert inputs == {"image": [None, None, None, 2]}
    outputs = {key: spec.dtype.name for key, spec in signature.structured_outputs.items()}
    assert outputs == {"mask": "uint8", "probability": "float32", "feature": "float32", "modalities": "string"}


@pytest.mark.parametrize(
    ("height", "width"),
    [(32, 32), (37, 43), (33, 32), (21, 27), (50, 19), (1, 1)],  # larger, smaller, mixed; odd differences
)
def test_segmenter_equals_live_network_on_the_centre(loaded, unet, height, width):
    images = raw_images(height, width)
    found = loaded.signatures["segment"](image=tf.constant(images))
    # cropped by the code that prepares training slices, not by that of the exported model
    centre = np.stack([centre_crop_or_pad(image, SIZE) for image in images])
    live = unet((centre - MEAN.astype(np.float32)) / np.float32([25.0, 1.0])).numpy()
    wanted = np.zeros((2, height, width, 1), np.float32)
    (i, rows), (j, columns) = ((max(side - SIZE, 0) // 2, min(side, SIZE)) for side in (height, width))
    top, left = ((SIZE - side) // 2 if side < SIZE else 0 for side in (height, width))
    wanted[:, i : i + rows, j : j + columns] = live[:, top : top + rows, left : left + columns]
    assert found["probability"].shape == (2, height, width, 1)
    assert np.count_nonzero(found["probability"]) == 2 * rows * columns  # exactly 0 outside the crop
    np.testing.assert_allclose(found["probability"], wanted, atol=1e-5)
    np.testing.assert_array_equal(found["mask"], found["probability"].numpy() > 0.5)


def test_segmenter_finds_some_tumour_and_names_modalities(loaded):
    found = loaded.segment(tf.constant(raw_images(64, 64)))
    assert 0.02 < np.mean(found["mask"]) < 0.23  # the crop is a quarter of the slice
    assert found["modalities"].numpy().tolist() == [b"flair", b"t1"]


def test_segmenter_gives_the_taps_features(loaded, unet):
    images = raw_images(37, 43)
    found = loaded.segment(tf.constant(images))["feature"]
    centre = np.stack([centre_crop_or_pad(image, SIZE) for image in images])
    live = tap_model(unet, "conv5")((centre - MEAN.astype(np.float32)) / np.float32([25.0, 1.0]))
    assert found.shape == (2, 2, 2, 64)
    np.testing.assert_allclose(found, live, atol=1e-5)


def test_channel_of_deviation_0_is_shifted_alone(loaded):
    constant = raw_images(32, 32)
    constant[..., 1] = 7.0
    shifted = constant.copy()
    shifted[..., 1] = 8.0
    probability, other = (loaded.segment(tf.constant(x))["probability"].numpy() for x in (constant, shifted))
    assert np.isfinite(probability).all()
    assert np.ptp(probability) > 0.01
    assert np.abs(probability - other).max() > 1e-4  # still an input


VOLUMES = Preparation("volume", "foreground", "resize", size=SIZE, slices_in=3, mean=(0.0, 0.0), deviation=(1.0, 1.0))


@pytest.fixture(scope="module")
def any_scale():
    """The exported functions of a U-Net of two channels and their neighbours, prepared by volume, mirrored."""
    tf.keras.utils.set_random_seed(1)
    network = build_unet(6, 4)
    median = np.median(network(tf.random.normal((2, SIZE, SIZE, 6))))
    network.get_layer("uconv1").weights[1].assign([np.log(1 / median - 1)])
    _, signatures = unet_export.segmenter(
        network,
        tap_model(network, "conv5"),
        preparation=VOLUMES,
        modalities=("flair", "t1"),
        mirrors="left_right",
        settings={"largest_component": True},
    )
    return signatures


def head_volume():
    """Eleven slices of a head in noise, two channels."""
    generator = np.random.default_rng(0)
    volume = generator.uniform(0, 4, (11, 70, 52, 2))
    volume[:, 8:60, 6:44] += generator.normal(60, 15, (11, 52, 38, 2))
    return volume.astype(np.float32)


@pytest.mark.parametrize(
    "scaled",
    [lambda v: (v - v.mean()) / v.std(), lambda v: (v - v.min()) / np.ptp(v), lambda v: 0.1 * v, lambda v: 1000 * v],
    ids=["z-scored", "0 to 1", "tenth", "thousandfold"],
)
def test_a_volumes_scale_changes_nothing(any_scale, scaled):
    raw, other = (any_scale["segment"](tf.constant(volume)) for volume in (head_volume(), scaled(head_volume())))
    np.testing.assert_allclose(raw["probability"], other["probability"], atol=0.01)
    masks = [found["mask"].numpy() > 0 for found in (raw, other)]
    assert masks[0].any()
    assert 2 * (masks[0] & masks[1]).sum() / sum(mask.sum() for mask in masks) > 0.99


def test_cohort_normalisation_is_not_free_of_scale(loaded):
    images = raw_images(32, 32)
    raw, other = (loaded.segment(tf.constant(volume))["probability"].numpy() for volume in (images, 10 * images))
    assert np.abs(raw - other).max() > 0.01


def test_the_steps_give_what_segment_gives(any_scale):
    """Eleven slices in batches of eight, inside, and of three, outside."""
    image = tf.constant(head_volume())
    whole = any_scale["segment"](image)
    prepared = any_scale["prepare"](image)
    parts = [any_scale["segment_slices"](prepared["slices"][start : start + 3]) for start in range(0, 11, 3)]
    probability = tf.concat([part["probability"] for part in parts], 0)
    restored = any_scale["restore"](probability, *(prepared[name] for name in ("full", "box", "scaled")))
    np.testing.assert_allclose(restored["probability"], whole["probability"], atol=1e-5)
    np.testing.assert_allclose(tf.concat([part["feature"] for part in parts], 0), whole["feature"], atol=1e-4)
    assert json.loads(prepared["settings"].numpy()) == {"largest_component": True}
    assert prepared["kept"] > 0.95
    assert prepared["description"].shape == (2, 6)
