import random

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import pipelines
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.data.store_writer import Writer
from tests.data import truths
from tests.data.epochs import assert_differs_by_epoch_and_by_seed, assert_resumed_is_as_unbroken, epoch_of, same

SLICE = {"image": ((16, 16, 1), "float32"), "mask": ((16, 16, 1), "uint8")}


@pytest.fixture(autouse=True)
def seeded():
    tf.keras.utils.set_random_seed(0)


@pytest.fixture
def slices(tmp_path):
    """Seven training slices."""
    return written(tmp_path, range(7))


def written(folder, patients):
    """The folder, with a training slice of each of some patients."""
    generator = np.random.default_rng(0)
    with Writer(folder, "train", SLICE, per_shard=3) as writer:
        for i, patient in enumerate(patients):
            image, mask = generator.normal(size=(16, 16, 1)), np.zeros((16, 16, 1))
            mask[4 : 8 + i, 5:11] = 1
            writer.write({"image": image, "mask": mask}, f"patient {patient}", slice_index=i, label=i % 2)
    return folder


@pytest.mark.parametrize(("count", "batch", "wanted"), [(1, 10, 1), (10, 10, 1), (11, 10, 2), (4540, 10, 454)])
def test_steps_per_epoch(count, batch, wanted):
    assert pipelines.steps_per_epoch(count, batch) == wanted


@pytest.mark.parametrize("augmentation", ["correct", "standard", None])
def test_endless_resumed_is_as_unbroken(slices, augmentation):
    make_epoch = pipelines.training_slices(slices, 3, augmentation)
    assert_resumed_is_as_unbroken(make_epoch, 3)


@pytest.mark.parametrize("augmentation", ["correct", "standard", None])
def test_endless_differs_by_epoch_and_by_seed(slices, augmentation):
    make_epoch = pipelines.training_slices(slices, 3, augmentation)
    assert_differs_by_epoch_and_by_seed(make_epoch, 3)


def test_endless_gives_each_epoch_the_runs_seed_and_its_number():
    for seed, first in ((0, 0), (1, 0), (7, 50)):
        keys = pipelines.endless(lambda key: tf.data.Dataset.from_tensors(key), seed, first).take(3)
        assert [key.tolist() for key in keys.as_numpy_iterator()] == [[seed, first + i] for i in range(3)]


@pytest.mark.parametrize("augmentation", [None, "correct"])
def test_training_slices_are_a_function_of_the_seed(slices, augmentation):
    make_epoch = pipelines.training_slices(slices, 3, augmentation)
    first, again, other = (epoch_of(make_epoch, seed) for seed in (5, 5, 6))
    assert same(first, again)
    assert not same(first, other)
    assert [len(image) for image, _ in first] == [3, 3, 1]
    for image, mask in first:
        assert image.shape[1:] == mask.shape[1:] == (16, 16, 1)
        assert set(np.unique(mask)) == {0, 1}


def test_batches_are_the_same_however_many_are_augmented_at_a_time(slices, monkeypatch):
    found = []
    for workers in (1, 8):
        monkeypatch.setattr(pipelines, "WORKERS", workers)
        found.append(epoch_of(pipelines.training_slices(slices, 2, "correct"), 0))
    assert same(*found)


def test_training_slices_hold_each_slice_once(slices):
    records = Store(slices, "train").dataset().as_numpy_iterator()
    stored = {record["image"].tobytes(): record["mask"].tobytes() for record in records}
    found = {
        image.numpy().tobytes(): mask.numpy().tobytes()
        for images, masks in epoch_of(pipelines.training_slices(slices, 3, None), 5)
        for image, mask in zip(images, masks)
    }
    assert found == stored
    assert list(found) != list(stored)


@pytest.mark.parametrize("augmentation", ["correct", "reference", "standard"])
def test_augmented_slices_differ_from_the_stored_and_from_epoch_to_epoch(slices, augmentation):
    stored = np.stack([record["image"] for record in Store(slices, "train").dataset().as_numpy_iterator()])
    make_epoch = pipelines.training_slices(slices, 7, augmentation)
    seen = [epoch_of(make_epoch, seed)[0][0].numpy() for seed in (5, 6)]
    masks = epoch_of(make_epoch, 5)[0][1].numpy()
    assert (set(np.unique(masks)) <= {0, 1}) == (augmentation != "reference")  # the reference's are soft
    for image in seen[0]:
        assert np.abs(stored - image).mean((1, 2, 3)).min() > 0.1
        assert np.abs(seen[1] - image).mean((1, 2, 3)).min() > 0.1


def numbers(make_epoch, epoch):
    """The slices of an epoch, batch by batch; the tumour of slice i has 4 + i rows of 6."""
    return [(masks.numpy().sum((1, 2, 3)) // 6 - 4).tolist() for _, masks in epoch_of(make_epoch, epoch)]


def test_epochs_of_any_length_go_through_all_slices_again_and_again(slices):
    order = pipelines.training_order(slices, draws=4)
    make_epoch = pipelines.training_slices(slices, 2, None, order=order)
    found = [numbers(make_epoch, epoch) for epoch in range(7)]
    assert all([len(batch) for batch in epoch] == [2, 2] for epoch in found)
    drawn = np.array(found).reshape(4, 7)  # four rounds of all seven
    assert (np.sort(drawn) == np.arange(7)).all()
    assert len({tuple(row) for row in drawn}) == 4


@pytest.mark.parametrize("draws", [None, 70])
def test_patients_are_drawn_equally_often_and_their_slices_by_tumour(tmp_path, draws):
    slices = written(tmp_path, "aaabbcc")
    areas = np.array([1, 0, 1, 0, 0, 10, 0])
    truths.write(slices, "train", areas)
    order = pipelines.training_order(slices, sampling="patients", draws=draws)
    made = pipelines.training_slices(slices, 7, None, order=order)
    labelled = pipelines.training_slices(slices, 7, None, order=order, labelled=True)
    drawn = np.concatenate(numbers(made, 0))
    assert len(drawn) == (draws or 7)
    assert same([(image, mask) for image, (mask, _) in epoch_of(labelled, 0)], epoch_of(made, 0))
    counts = np.bincount(drawn.astype(int), minlength=7)
    shares = np.array([4, 1, 4, 4.5, 4.5, 7.5, 1.5]) / 27
    assert (np.abs(counts - len(drawn) * shares) < 1).all()
    assert_differs_by_epoch_and_by_seed(made, len(drawn) // 7)
    assert_resumed_is_as_unbroken(made, len(drawn) // 7)


@pytest.mark.parametrize("options", [{}, {"draws": 14}, {"sampling": "patients", "draws": 60}])
def test_some_slices_alone(tmp_path, options):
    slices = written(tmp_path, "aaabbcc")
    truths.write(slices, "train", np.array([1, 0, 1, 9, 0, 10, 0]))

    def drawn(kept):
        order = pipelines.training_order(slices, **options, kept=kept)
        return np.concatenate(numbers(pipelines.training_slices(slices, 7, None, order=order), 3))

    some = drawn(np.array([True] * 3 + [False] * 2 + [True] * 2))
    assert set(some) == {0, 1, 2, 5, 6}
    assert len(some) == options.get("draws", 5)
    np.testing.assert_array_equal(drawn(np.ones(7, bool)), drawn(None))


@pytest.mark.parametrize("augmentation", [None, "standard"])
def test_half_size(slices, augmentation):
    whole, half = (
        epoch_of(pipelines.training_slices(slices, 3, augmentation, half_size=half_size), 5)
        for half_size in (False, True)
    )
    assert [images.shape for images, _ in half] == [(3, 8, 8, 1), (3, 8, 8, 1), (1, 8, 8, 1)]
    for images, masks in half:
        assert masks.shape == images.shape and masks.dtype == tf.uint8 and set(np.unique(masks)) == {0, 1}
    if augmentation is None:
        for (images, masks), (small, of_small) in zip(whole, half):
            blocks = [each.numpy().astype(float).reshape(-1, 8, 2, 8, 2, 1).mean((2, 4)) for each in (images, masks)]
            np.testing.assert_allclose(small, blocks[0], atol=1e-6)
            np.testing.assert_array_equal(of_small, blocks[1] >= 0.5)


def test_whole_records_in_the_order_of_writing(slices):
    batches = list(pipelines.slices(slices, "train", 3))
    assert [len(batch["slice"]) for batch in batches] == [3] * (7 // 3) + [1]
    assert [int(i) for batch in batches for i in batch["slice"]] == list(range(7))
    assert {"patient", "slice", "label"} < set(batches[0])


def test_slices_from_a_number_on(slices):
    assert [int(i) for batch in pipelines.slices(slices, "train", 3, start=2) for i in batch["slice"]] == [
        2,
        3,
        4,
        5,
        6,
    ]


def test_pairs_in_the_order_of_writing(slices):
    records = next(iter(pipelines.slices(slices, "train", 7)))
    images, masks = (np.concatenate(parts) for parts in zip(*pipelines.slice_pairs(slices, "train", 3)))
    np.testing.assert_array_equal(images, records["image"])
    np.testing.assert_array_equal(masks, records["mask"])


def test_damaged_shard_is_said_at_once(slices):
    (slices / "train-00000.tfrecord").unlink()
    with pytest.raises(InputError, match=r"train-00000\.tfrecord"):
        pipelines.training_slices(slices, 2, True)


def test_set_seed_repeats_initial_weights_and_noise():
    def draw(seed):
        tf.keras.utils.set_random_seed(seed)
        weights = tf.keras.initializers.GlorotUniform()((2, 2)).numpy().ravel()
        return [*weights, float(tf.random.normal([])), np.random.rand(), random.random()]

    np.testing.assert_array_equal(draw(0), draw(0))
    assert not np.isclose(draw(0), draw(1)).any()


@pytest.mark.parametrize("augmentation", [None, "correct"])
def test_labelled_training_slices_are_the_plain_ones_with_their_labels(slices, augmentation):
    labelled = epoch_of(pipelines.training_slices(slices, 3, augmentation, labelled=True), 5)
    plain = epoch_of(pipelines.training_slices(slices, 3, augmentation), 5)
    assert same([(image, mask) for image, (mask, _) in labelled], plain)
    labels = [int(label) for _, (_, labels) in labelled for label in labels]
    # The tumour of slice i has 4 + i rows of 6, and its label is i % 2.
    areas = [
        int(mask.sum())
        for _, masks in epoch_of(pipelines.training_slices(slices, 3, None), 5)
        for mask in masks.numpy()
    ]
    assert labels == [(area // 6 - 4) % 2 for area in areas] != sorted(labels)


def test_labelled_pairs_in_the_order_of_writing(slices):
    images, masks, labels = zip(*((i, m, y) for i, (m, y) in pipelines.labelled_slice_pairs(slices, "train", 3)))
    assert same(list(zip(images, masks)), list(pipelines.slice_pairs(slices, "train", 3)))
    np.testing.assert_array_equal(np.concatenate(labels), [0, 1, 0, 1, 0, 1, 0])
