from types import SimpleNamespace

import numpy as np
import pytest

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.segmentation import unet_fitting
from rembrandt_featgen.stages import train_unet
from tests.cohort.refusals import refused
from tests.data import truths


def recipe(**flags):
    return train_unet._recipe(train_unet.Config(**flags))


def stored(folder, size=32):
    """The folder, with 25 training slices and one for validation; neither has tumour."""
    spec = {"image": ((size, size, 1), "float32"), "mask": ((size, size, 1), "uint8")}
    for split, count in (("train", 25), ("validation", 1)):
        with Writer(folder, split, spec) as writer:
            for number in range(count):
                blank = np.zeros((size, size, 1))
                writer.write({"image": blank, "mask": blank}, "A", slice_index=number, label=0)
        truths.write(folder, split, np.zeros(count, np.int64))
    return folder


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        ({"unet_epochs": 7}, (3, 7, 0, None)),
        ({"unet_epochs": 7, "unet_sampling": "patients"}, (3, 7, 0, 30)),
        ({"unet_epochs": 10, "unet_half_size": 0.3}, (3, 10, 3, None)),
        ({"unet_steps": 1500}, (100, 15, 0, 1000)),
        ({"unet_steps": 1510, "unet_half_size": 0.25}, (100, 16, 4, 1000)),
        ({"unet_steps": 40, "unet_batch": 4}, (40, 1, 0, 160)),
        ({"unet_steps": 40, "unet_validate_every": 20, "unet_half_size": 1.0}, (20, 2, 2, 200)),
        ({"unet_steps": 40, "unet_validate_every": 20, "unet_half_size": 0.9}, (20, 2, 1, 200)),  # 1.8 are not all
        ({"unet_epochs": 1, "unet_half_size": 0.9}, (3, 1, 0, None)),
    ],
)
def test_budget(tmp_path, flags, wanted):
    assert unet_fitting.budget(recipe(**flags), stored(tmp_path)) == wanted


def test_some_of_the_slices_take_as_large_a_share_of_the_steps(tmp_path):
    """15 of 25 slices; the steps are rounded up to whole epochs, as those of all are."""
    slices, kept = stored(tmp_path), np.arange(25) < 15
    assert unet_fitting.budget(recipe(unet_epochs=7), slices, kept) == (2, 7, 0, None)
    assert unet_fitting.budget(recipe(unet_steps=50, unet_validate_every=10), slices, kept) == (10, 3, 0, 100)


def test_batches_without_a_slice_for_each_replica_are_refused_before_any_training(tmp_path):
    slices, two, three = stored(tmp_path), *(SimpleNamespace(num_replicas_in_sync=number) for number in (2, 3))
    unet_fitting.check_batches(two, recipe(), slices)  # 10, 10 and 5 slices
    unet_fitting.check_batches(three, recipe(unet_batch=4, unet_sampling="patients"), slices)
    refused(lambda: unet_fitting.check_batches(two, recipe(unet_batch=4), slices), "--unet_batch=4", "has 1")
    refused(lambda: unet_fitting.check_batches(two, recipe(unet_batch=1, unet_steps=9), slices), "--unet_batch=1")
    unet_fitting.check_batches(two, recipe(unet_batch=4), slices, left_out=[{"A"}])  # who has all of them
    refused(lambda: unet_fitting.check_batches(two, recipe(unet_class_weight=0.3), slices), "1 validation samples")


def test_half_of_a_size_that_the_network_does_not_take(tmp_path):
    slices = stored(tmp_path, 48)
    with pytest.raises(InputError, match=r"--unet_half_size=0\.2 .*48 x 48 .*multiple of 32 .*or --unet_half_size=0"):
        unet_fitting.budget(recipe(unet_half_size=0.2), slices)


@pytest.mark.parametrize(
    ("size", "flags", "words"),
    [
        (16, {}, ["32 x 32 or more, not slices of 16 x 16", "larger --image_size, another --unet_norm"]),
        (
            32,
            {"unet_half_size": 0.5},
            ["64 x 64", "with --unet_half_size=0.5", "not slices of 32", "or --unet_half_size=0"],
        ),
        (32, {}, []),
        (64, {"unet_half_size": 0.5}, []),
        (32, {"unet_half_size": 0.5, "unet_norm": "batch"}, []),
    ],
)
def test_instance_norm_of_maps_of_one_pixel_is_refused(tmp_path, size, flags, words):
    if not words:
        unet_fitting.budget(recipe(**{"unet_norm": "instance", **flags}), stored(tmp_path, size))
        return
    with pytest.raises(InputError, match="--unet_norm=instance with ") as caught:
        unet_fitting.budget(recipe(**{"unet_norm": "instance", **flags}), stored(tmp_path, size))
    for word in words:
        assert word in str(caught.value)


def test_validation_without_tumour_can_choose_by_iou_alone(tmp_path):
    with pytest.raises(InputError, match=r"--unet_monitor=volume_dice: .*--unet_monitor=iou"):
        unet_fitting.fit(
            None,
            recipe(),
            slices=stored(tmp_path),
            folder=tmp_path,
            logs=tmp_path,
            weights=None,
            initial_weights=lambda number: [],
        )


def test_without_augment_slices_stay_as_they_are():
    assert recipe(augment=False, augmentation="standard").augmentation is None
    assert recipe(augmentation="standard").augmentation == "standard"
