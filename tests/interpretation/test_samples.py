import math

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.data import augmentation
from rembrandt_featgen.data.augmentation_parameters import Ranges
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.interpretation import samples

SLICE = {"image": ((16, 16, 1), "float32"), "mask": ((16, 16, 1), "uint8")}
# Patient to label and to the pixels of tumour in each of its slices; slice n of all has image n everywhere.
VOLUMES = {"A": (1, [0, 9, 4]), "B": (0, [1, 1]), "C": (1, [0, 0]), "D": (0, [2, 16, 3]), "E": (1, [25])}


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    folder, number = tmp_path_factory.mktemp("slices"), 0
    with Writer(folder, "train", SLICE, per_shard=3) as writer:
        for patient, (label, areas) in VOLUMES.items():
            for position, area in enumerate(areas):
                mask = np.zeros((16, 16, 1))
                mask.flat[:area] = 1
                writer.write(
                    {"image": np.full((16, 16, 1), number), "mask": mask}, patient, slice_index=position, label=label
                )
                number += 1
    return folder


@pytest.mark.parametrize(("label", "most", "wanted"), [(1, 2, ["A", "C"]), (1, 9, ["A", "C", "E"]), (0, 1, ["B"])])
def test_patients_of_a_class(slices, label, most, wanted):
    assert samples.patients(slices, "train", label, most) == wanted


def test_volume_is_all_of_a_patient_in_order(slices):
    found = samples.volume(slices, "train", "D")
    assert found.images[:, 0, 0, 0].tolist() == [7, 8, 9]
    assert found.masks.shape == (3, 16, 16)
    assert found.masks.sum((1, 2)).tolist() == [2, 16, 3]
    assert found.patients == ["D"] * 3
    assert found.labels.tolist() == [0] * 3


def test_slices_by_number_in_the_order_asked_for(slices):
    found = samples.read_slices(slices, "train", [10, 0, 4])
    assert found.images[:, 0, 0, 0].tolist() == [10, 0, 4]
    assert found.patients == ["E", "A", "B"]
    assert found.labels.tolist() == [1, 1, 0]


def test_largest_tumours(slices):
    found = samples.largest_tumours(slices, "train", ["D", "A", "C"])
    assert found.images[:, 0, 0, 0].tolist() == [8, 1, 5]  # of C, without tumour, the first
    assert found.patients == ["D", "A", "C"]
    assert found.labels.tolist() == [0, 1, 1]
    assert found.masks.sum((1, 2)).tolist() == [16, 9, 0]


def test_augmentations_of_a_slice():
    generator = np.random.default_rng(0)
    image, mask = generator.normal(size=(20, 20, 2)).astype(np.float32), np.zeros((20, 20), np.uint8)
    image[[0, -1]] = image[:, [0, -1]] = image.min((0, 1))  # a border of background, as around a brain
    mask[4:9, 6:15] = 1
    images, masks, names = samples.augmented(image, mask, seed=3)
    assert images.shape == (10, 20, 20, 2) and masks.shape == (10, 20, 20) and len(names) == 10
    np.testing.assert_allclose(images[0], image, atol=1e-5)
    np.testing.assert_array_equal(masks[0], mask)
    for place, turned in ((1, np.fliplr), (2, np.flipud)):
        np.testing.assert_allclose(images[place], turned(image), atol=1e-5)
        np.testing.assert_array_equal(masks[place], turned(mask))
    np.testing.assert_allclose(images[5, 2:, 2:], image[:-2, :-2], atol=1e-4)  # 10% of 20 pixels, right and down
    np.testing.assert_array_equal(masks[5, 2:, 2:], mask[:-2, :-2])
    for place in (3, 4, 6, 7, 8, 9):
        assert np.abs(images[place] - image).max() > 0.1 and masks[place].any()


def test_each_technique_alone_at_its_strongest_and_all_together_at_random(monkeypatch):
    given = []

    def keep(images, masks, parameters):
        given.append(parameters)
        return tf.constant(images), tf.constant(masks)

    monkeypatch.setattr(augmentation, "apply", keep)
    ranges = Ranges(angle=math.radians(30), shift=0.2, shear=0.25, zoom=0.5)
    image, mask = np.zeros((20, 20, 1), np.float32), np.zeros((20, 20), np.uint8)
    _, _, names = samples.augmented(image, mask, seed=3, ranges=ranges)
    drawn = augmentation.draw(tf.constant([3, 0]), 2, height=20, width=20, ranges=ranges)
    wanted = {
        "flip_horizontal": (1, True),
        "flip_vertical": (2, True),
        "displacement": (3, drawn.displacement[0].numpy()),
        "angle": (4, ranges.angle),
        "shift": (5, 0.2),
        "shear": (6, 0.25),
        "zoom": (7, 0.5),
    }
    for name, (place, amount) in wanted.items():
        found = getattr(given[0], name).numpy()
        assert len(found) == 10
        np.testing.assert_allclose(found[place], np.broadcast_to(amount, found[place].shape))
        np.testing.assert_array_equal(found[8:], getattr(drawn, name))
        assert not np.delete(found[:8], place, 0).any(), name
    assert names[4:8] == ["rotation by 30\N{DEGREE SIGN}", "shift by 20%", "shear by 25%", "zoom by 50%"]
