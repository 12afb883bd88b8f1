"""With networks that are scaled copies of one another, so that it is known which one was at work."""

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.features import cross_fitting, part_features
from rembrandt_featgen.segmentation.unet_parts import UnetParts

PATIENTS = [f"P{i}" for i in range(6)]
PART_OF = {patient: i % 2 for i, patient in enumerate(PATIENTS)}


def network(factor, shift=0.0):
    """Its tap conv1 holds the slice and its distance from 3, times `factor`; its mask is the slice plus `shift`."""
    image = tf.keras.Input((None, None, 1))
    both = tf.keras.layers.Lambda(lambda x: factor * tf.concat([x, tf.abs(x - 3.0)], -1), name="conv1_2")(image)
    mask = tf.keras.layers.Lambda(lambda x: x[0] + shift + 0.0 * x[1][..., :1])([image, both])
    return tf.keras.Model(image, mask)


@pytest.fixture(scope="module")
def parts():
    return UnetParts([network(2.0, 10.0), network(5.0, 20.0)], PART_OF)


def test_masks_are_of_whoever_never_saw_the_patient(parts):
    images = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
    found = part_features.segmenter(network(1.0), parts)(images, np.array(["P1", "P0", "test", "P3"]))
    np.testing.assert_allclose(found.ravel(), [20, 11, 2, 23])
    alone = part_features.segmenter(network(1.0), UnetParts([], {}))(images, np.array(PATIENTS[:4]))
    np.testing.assert_allclose(alone.ravel(), [0, 1, 2, 3])


@pytest.mark.parametrize("batch", [1, 7])
def test_channels_are_mapped_by_those_whom_both_have_seen(tmp_path, parts, batch, monkeypatch):
    """Whose values a map is fitted on is seen by the whole number that they lie above."""
    random, fitted = np.random.default_rng(0), []
    make = cross_fitting.channel_map
    monkeypatch.setattr(
        cross_fitting, "channel_map", lambda features, wanted: fitted.append(features) or make(features, wanted)
    )
    values = {patient: random.uniform(0, 1, (3, 8, 8, 1)).astype(np.float32) + i for i, patient in enumerate(PATIENTS)}
    spec = {"image": ((8, 8, 1), "float32"), "mask": ((8, 8, 1), "uint8")}
    with Writer(tmp_path, "train", spec) as writer:
        for patient in PATIENTS:
            for number, image in enumerate(values[patient]):
                writer.write({"image": image, "mask": image > 1}, patient, slice_index=number, label=0)
    kernels = part_features.channel_maps(network(1.0), parts, ["conv1"], slices=tmp_path, batch=batch, seed=0)
    for part, ((kernel,), factor) in enumerate(zip(kernels, (2.0, 5.0))):
        np.testing.assert_allclose(kernel, np.concatenate([np.eye(2) / factor, np.zeros((1, 2))]), atol=0.02)
        whole_numbers = set(np.floor(fitted[part][..., 0] / factor).astype(int).ravel())
        assert whole_numbers == {i for i, patient in enumerate(PATIENTS) if PART_OF[patient] != part}
    encoders = part_features.tap_encoders(network(1.0), parts, "conv1", slices=tmp_path, batch=batch, seed=0)
    images = np.stack([values[patient][0] for patient in PATIENTS[:2]])
    found = encoders.runner()(images, np.array(PATIENTS[:2]))
    np.testing.assert_allclose(found, np.concatenate([images, np.abs(images - 3)], -1), atol=0.1)
    assert (
        part_features.channel_maps(network(1.0), UnetParts([], {}), ["conv1"], slices=tmp_path, batch=1, seed=0) == []
    )


def test_rows_take_masks_as_they_are_and_match_columns_of_taps():
    def rows(by):
        numbers = [{"conv1_mean_0": by + i * by, "shape_volume": by * 100.0 + i} for i in range(6)]
        return [
            {"patient": patient, "label": 1, "numbers": one, "empty": by > 1} for patient, one in zip(PATIENTS, numbers)
        ]

    found = part_features.cross_fitted_rows(rows(1.0), [rows(2.0), rows(4.0)], part_of=PART_OF, taps=("conv1",))
    assert [row["patient"] for row in found] == PATIENTS
    for i, row in enumerate(found):
        # by + i * by is linear in what it is to be, 1 + i
        assert row["numbers"] == pytest.approx({"conv1_mean_0": 1.0 + i, "shape_volume": (200, 400)[i % 2] + i})
        assert row["empty"]
