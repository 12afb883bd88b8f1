"""On phantoms, by a network that takes bright voxels for tumour."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.cohort import phantom
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.data.truth import truths
from rembrandt_featgen.features.mask_numbers import INTENSITY, LOCATION, SHAPE, intensity_numbers, shape_numbers
from rembrandt_featgen.features.patient_vectors import Settings, patient_vectors, runner
from rembrandt_featgen.stages import prepare_slices

SETTINGS = Settings("both", taps=("conv2",), modalities=("flair",), in_mm=True, batch=4)


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    """Slices of 64 pixels of volumes of 80, cropped to the head and shrunk."""
    folder = tmp_path_factory.mktemp("vectors")
    cohort = phantom.write_phantom(folder / "cohort", {"LGG": 3, "HGG": 4}, size=80, slices=5, difficulty=0)
    config = prepare_slices.Config(
        str(folder / "run"), str(cohort), image_size=64, normalise="volume", crop="foreground", fit="resize"
    )
    prepare_slices.run(config)
    return folder / "run" / "slices"


def network(above):
    """Tumour is what is brighter than `above`; conv2 are slices pooled to half their size, and 1 less that."""
    image = tf.keras.Input((None, None, 1))
    pooled = tf.keras.layers.AveragePooling2D(2, name="half")(image)
    tf_layer = tf.keras.layers.Lambda(lambda x: tf.concat([x, 1.0 - x], -1), name="conv2_2")(pooled)
    back = tf.keras.layers.UpSampling2D(2)(tf_layer)
    probability = tf.keras.layers.Lambda(lambda x: tf.sigmoid(9.0 * (x[0] - above)) + 0.0 * x[1][..., :1])(
        [image, back]
    )
    return tf.keras.Model(image, probability)


def vectors_of(unet, slices, split, *, settings, start=0):
    return patient_vectors(runner(unet, settings), slices, split, settings=settings, start=start)


def images_of(slices, split):
    """Patient to slices [n, 64, 64]."""
    found = {}
    for record in Store(slices, split).dataset().as_numpy_iterator():
        found.setdefault(record["patient"].decode(), []).append(record["image"][..., 0])
    return {patient: np.stack(images) for patient, images in found.items()}


def test_both_kinds_of_columns(slices):
    found = list(vectors_of(network(1.0), slices, "train", settings=SETTINGS))
    images = images_of(slices, "train")
    assert [one.patient for one in found] == list(images) == [truth.patient for truth in truths(slices, "train")]
    columns = [*(f"shape_{n}" for n in SHAPE), *(f"location_{n}" for n in LOCATION), *(f"flair_{n}" for n in INTENSITY)]
    columns += [f"conv2_{what}_{channel}" for what in ("mean", "max") for channel in (0, 1)]
    for one, label, truth in zip(found, Store(slices, "train").labels[::5], truths(slices, "train")):
        image = images[one.patient]
        mask = image > 1.0
        assert (list(one.numbers), one.label, one.empty) == (columns, label, False)
        inside = intensity_numbers(image, mask)
        assert {name: one.numbers[f"flair_{name}"] for name in INTENSITY} == pytest.approx(inside)
        half = image.reshape(5, 32, 2, 32, 2).mean((2, 4))
        share = mask.reshape(5, 32, 2, 32, 2).mean((2, 4))
        assert one.numbers["conv2_mean_0"] == pytest.approx(np.average(half, weights=share), rel=1e-4)
        highest = [half[n][share[n] > 0].max(initial=-99) for n in range(5)]
        assert one.numbers["conv2_max_0"] == pytest.approx(np.average(highest, weights=share.sum((1, 2))), rel=1e-4)
        voxels = truth.box[2] * truth.box[3] / (truth.scaled[0] * truth.scaled[1])  # of the volume, for a pixel
        size = mask.sum() * voxels * np.prod(truth.spacing)
        assert one.numbers["shape_volume"] == pytest.approx(size, rel=0.2)


def test_lengths_are_in_voxels_where_the_spacing_is_not_known(slices):
    in_mm, in_voxels = (
        next(vectors_of(network(1.0), slices, "test", settings=dataclasses.replace(SETTINGS, in_mm=real))).numbers
        for real in (True, False)
    )
    (truth, *_) = truths(slices, "test")
    assert truth.spacing.tolist() == pytest.approx([48 / 5, 3, 3])
    assert in_mm["shape_volume"] == pytest.approx(in_voxels["shape_volume"] * np.prod(truth.spacing))
    assert in_mm["shape_depth"] == pytest.approx(in_voxels["shape_depth"] * 48 / 5)
    assert in_mm["flair_mean"] == in_voxels["flair_mean"]


@pytest.mark.parametrize(("vectors", "count"), [("taps", 4), ("numbers", len(SHAPE) + len(LOCATION) + len(INTENSITY))])
def test_one_kind_of_columns(slices, vectors, count):
    settings = dataclasses.replace(SETTINGS, vectors=vectors)
    both = next(vectors_of(network(1.0), slices, "test", settings=SETTINGS)).numbers
    found = next(vectors_of(network(1.0), slices, "test", settings=settings)).numbers
    assert len(found) == count
    assert {name: both[name] for name in found} == pytest.approx(found)


def test_nothing_predicted(slices):
    (one, *_) = vectors_of(network(99.0), slices, "test", settings=SETTINGS)
    image = images_of(slices, "test")[one.patient]
    assert one.empty
    assert one.numbers["shape_volume"] == 0
    assert np.isnan(one.numbers["flair_mean"])
    assert one.numbers["conv2_mean_0"] == pytest.approx(image.mean(), rel=1e-4)
    assert one.numbers["conv2_max_0"] == one.numbers["conv2_mean_0"]


@pytest.mark.parametrize(("mirrors", "batch"), [("none", 1), ("none", 7), ("both", 4)])
def test_batches_and_a_start_change_nothing(slices, mirrors, batch):
    """Nor do mirror images, of a network that treats them alike."""
    settings = dataclasses.replace(SETTINGS, mirrors=mirrors, batch=batch)
    whole = list(vectors_of(network(1.0), slices, "train", settings=SETTINGS))
    rest = list(vectors_of(network(1.0), slices, "train", settings=settings, start=2))
    assert [one.patient for one in rest] == [one.patient for one in whole[2:]]
    for one, other in zip(rest, whole[2:]):
        assert one.numbers == pytest.approx(other.numbers, rel=1e-4, abs=1e-5, nan_ok=True)


def test_probabilities_are_those_of_the_unets_inference(slices):
    """A network that takes the left for tumour, and a little more: with mirror images, all is tumour."""
    image = tf.keras.Input((None, None, 1))
    left = tf.keras.layers.Lambda(lambda x: tf.sigmoid(17.0 - 0.5 * tf.range(64.0)[:, None] + 0.0 * x))(image)
    unet = tf.keras.Model(image, left)
    plain, mirrored = (
        next(vectors_of(unet, slices, "test", settings=dataclasses.replace(SETTINGS, vectors="numbers", mirrors=one)))
        for one in ("none", "left_right")
    )
    assert mirrored.numbers["shape_volume"] > 1.7 * plain.numbers["shape_volume"]


def test_the_largest_part_alone(slices):
    (image, *_) = images_of(slices, "test").values()
    shape = shape_numbers(image > 1.0, np.ones(3))
    settings = dataclasses.replace(SETTINGS, largest_component=True)
    (one, *_) = vectors_of(network(1.0), slices, "test", settings=settings)
    assert shape["parts"] > 1
    assert one.numbers["shape_parts"] == 1
