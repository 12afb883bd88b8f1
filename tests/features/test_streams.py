import random
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import pipelines
from rembrandt_featgen.data.store import Store, Writer
from rembrandt_featgen.features import streams

FEATURE = {"feature": ((1, 1, 2), "float32")}
SLICE = {"image": ((16, 16, 1), "float32"), "mask": ((16, 16, 1), "uint8")}
HGG, LGG = 10, 3


@pytest.fixture(autouse=True)
def seeded():
    pipelines.set_seed(0)


def write_features(folder, split, labels, first=0):
    """Features whose two values are a number of their own, from `first`, and their label."""
    folder.mkdir(exist_ok=True)
    with Writer(folder, split, FEATURE, per_shard=4) as writer:
        for i, label in enumerate(labels, first):
            writer.write({"feature": np.array([[[i, label]]])}, f"patient {i}", i, label)


@pytest.fixture
def features(tmp_path):
    """13 training features, 10 HGG (numbers 0 to 9) and 3 LGG (10 to 12)."""
    write_features(tmp_path / "features", "train", [1] * HGG + [0] * LGG)
    return tmp_path / "features"


@pytest.fixture
def slices(tmp_path):
    """Seven training slices."""
    generator = np.random.default_rng(0)
    with Writer(tmp_path, "train", SLICE, per_shard=3) as writer:
        for i in range(7):
            image, mask = generator.normal(size=(16, 16, 1)), np.zeros((16, 16, 1))
            mask[4 : 8 + i, 5:11] = 1
            writer.write({"image": image, "mask": mask}, f"patient {i}", i, i % 2)
    return tmp_path


def numbers(batch):
    """The numbers of a batch of features; their labels must be those that were written with them."""
    feature, label = batch
    np.testing.assert_array_equal(feature[:, 0, 0, 1], label)
    return [int(n) for n in feature[:, 0, 0, 0]]


def epoch_of(make_epoch, epoch):
    return list(make_epoch(tf.constant([9, epoch], tf.int64)))


def same(first, second):
    """Whether two lists of pairs of tensors are equal."""
    return len(first) == len(second) and all(
        np.array_equal(a, b) for one, other in zip(first, second) for a, b in zip(one, other)
    )


@pytest.mark.parametrize(("count", "batch", "wanted"), [(1, 10, 1), (10, 10, 1), (11, 10, 2), (4540, 10, 454)])
def test_steps_per_epoch(count, batch, wanted):
    assert pipelines.steps_per_epoch(count, batch) == wanted


@pytest.mark.parametrize("batch", [2, 4, 6])
def test_balanced_batches_hold_both_grades_equally_often(features, batch):
    batches = epoch_of(streams.balanced_features(features, batch), 5)
    assert len(batches) == pipelines.steps_per_epoch(HGG + LGG, batch)
    for feature, label in batches:
        assert feature.shape == (batch, 1, 1, 2)
        assert Counter(label.numpy().tolist()) == {0: batch // 2, 1: batch // 2}


def test_balanced_repeats_the_rarer_grade_alone(features):
    seen = Counter(n for batch in epoch_of(streams.balanced_features(features, 4), 5) for n in numbers(batch))
    hgg = {n: count for n, count in seen.items() if n < HGG}
    lgg = {n: count for n, count in seen.items() if n >= HGG}
    assert sorted(hgg.values()) == [1] * 8  # 4 batches of 2
    assert sorted(lgg.values()) == [2, 3, 3]  # 8 draws, and each feature once before any comes again


def test_balanced_repeats_in_another_order(features):
    drawn = [n for batch in epoch_of(streams.balanced_features(features, 12), 5) for n in numbers(batch) if n >= HGG]
    rounds = [tuple(drawn[i : i + LGG]) for i in range(0, len(drawn), LGG)]
    assert all(sorted(order) == [10, 11, 12] for order in rounds)
    assert len(set(rounds)) > 1


def test_balanced_goes_round_over_all_epochs(features):
    """Also of the more frequent grade, of which one epoch holds 8 of 10, none comes twice before all came once."""
    batches = list(pipelines.endless(streams.balanced_features(features, 4), 3).take(5 * 4))
    drawn = [n for batch in batches for n in numbers(batch)]
    for grade, count in ((range(HGG), HGG), (range(HGG, HGG + LGG), LGG)):
        own = [n for n in drawn if n in grade]
        assert len(own) == 40
        for i in range(0, len(own) - count + 1, count):
            assert sorted(own[i : i + count]) == list(grade)


def test_balanced_with_one_grade_alone(tmp_path):
    write_features(tmp_path, "train", [1] * 5)
    batches = epoch_of(streams.balanced_features(tmp_path, 4), 5)
    assert [len(label) for _, label in batches] == [4, 4]
    assert set(numbers(batches[0]) + numbers(batches[1])) == set(range(5))


@pytest.fixture
def synthetic(tmp_path):
    """Ten synthetic features, numbers 100 to 109, the grades alternating."""
    write_features(tmp_path / "synthetic", "synthetic", [0, 1] * 5, first=100)
    return tmp_path / "synthetic"


def test_labelled_takes_each_source_as_often_as_it_says(features, synthetic):
    sources = [(features, "train", HGG + LGG), (synthetic, "synthetic", 6)]
    batches = epoch_of(streams.labelled_features(sources, 4), 5)
    assert [len(label) for _, label in batches] == [4, 4, 4, 4, 3]
    seen = [n for batch in batches for n in numbers(batch)]
    assert sorted(seen) == [*range(13), *range(100, 106)]  # all real ones, the first six synthetic ones, each once


def test_labelled_mixes_the_sources_in_their_proportion(features, synthetic):
    sources = [(features, "train", HGG + LGG), (synthetic, "synthetic", 3)]
    batches = list(pipelines.endless(streams.labelled_features(sources, 4), 0).take(30 * 4))
    early = [n >= 100 for epoch in range(30) for batch in batches[4 * epoch :][:2] for n in numbers(batch)]
    assert np.mean(early) == pytest.approx(3 / 16, abs=0.06)  # of the first 240 features of 480


def test_labelled_is_one_uniform_shuffle_of_all_sources(features, synthetic):
    """Over 60 epochs, each of the 16 features is at each quarter of an epoch equally often: chi-square."""
    sources = [(features, "train", HGG + LGG), (synthetic, "synthetic", 3)]
    batches = list(pipelines.endless(streams.labelled_features(sources, 4), 0).take(60 * 4))
    counts = Counter((n, i % 4) for i, batch in enumerate(batches) for n in numbers(batch))
    table = np.array([[counts[n, quarter] for quarter in range(4)] for n in [*range(13), *range(100, 103)]])
    assert (table.sum(1) == 60).all()
    assert (table.sum(0) == 240).all()
    assert stats.chi2.sf(((table - 15) ** 2 / 15).sum(), 15 * 3) > 0.001


def test_labelled_leaves_out_a_source_that_gives_none(features, synthetic):
    alone, empty = (
        epoch_of(streams.labelled_features([(features, "train", 13), *more], 4), 5)
        for more in ([], [(synthetic, "synthetic", 0)])
    )
    assert same(alone, empty)


def makers(folder, kind):
    if kind == "balanced":
        write_features(folder, "train", [1] * HGG + [0] * LGG)
        return streams.balanced_features(folder, 4), 4
    if kind == "labelled":
        write_features(folder, "train", [1] * HGG + [0] * LGG)
        write_features(folder, "synthetic", [0, 1] * 5, first=100)
        return streams.labelled_features([(folder, "train", 13), (folder, "synthetic", 6)], 4), 5
    return pipelines.training_slices(folder, 3, "correct" if kind == "augmented" else None), 3


@pytest.mark.parametrize("kind", ["balanced", "labelled", "augmented", "plain"])
def test_endless_resumed_is_as_unbroken(slices, kind):
    make_epoch, steps = makers(slices, kind)
    unbroken = list(pipelines.endless(make_epoch, 3).take(4 * steps))
    for first_epoch in (1, 3):
        pipelines.set_seed(0)
        resumed = list(pipelines.endless(make_epoch, 3, first_epoch).take((4 - first_epoch) * steps))
        assert same(resumed, unbroken[first_epoch * steps :])


@pytest.mark.parametrize("kind", ["balanced", "labelled", "augmented", "plain"])
def test_endless_differs_by_epoch_and_by_seed(slices, kind):
    make_epoch, steps = makers(slices, kind)
    first, other = (list(pipelines.endless(make_epoch, seed).take(3 * steps)) for seed in (3, 4))
    epochs = [first[i * steps : (i + 1) * steps] for i in range(3)]
    assert not any(same(a, b) for a, b in [epochs[:2], epochs[1:], epochs[::2], (first, other)])


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


@pytest.mark.parametrize("augmentation", ["correct", "reference"])
def test_augmented_slices_differ_from_the_stored_and_from_epoch_to_epoch(slices, augmentation):
    stored = np.stack([record["image"] for record in Store(slices, "train").dataset().as_numpy_iterator()])
    make_epoch = pipelines.training_slices(slices, 7, augmentation)
    seen = [epoch_of(make_epoch, seed)[0][0].numpy() for seed in (5, 6)]
    masks = epoch_of(make_epoch, 5)[0][1].numpy()
    assert (set(np.unique(masks)) <= {0, 1}) == (augmentation == "correct")  # the origin's are soft
    for image in seen[0]:
        assert np.abs(stored - image).mean((1, 2, 3)).min() > 0.1
        assert np.abs(seen[1] - image).mean((1, 2, 3)).min() > 0.1


def test_whole_records_in_the_order_of_writing(features, slices):
    for make, folder, count in ((pipelines.slices, slices, 7), (streams.features, features, 13)):
        batches = list(make(folder, "train", 3))
        assert [len(batch["slice"]) for batch in batches] == [3] * (count // 3) + [1]
        assert [int(i) for batch in batches for i in batch["slice"]] == list(range(count))
        assert {"patient", "slice", "label"} < set(batches[0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_features_come_as_float32(dtype, tmp_path):
    with Writer(tmp_path, "train", {"feature": ((1, 1, 2), dtype)}, "lz4") as writer:
        for i in range(3):
            writer.write({"feature": np.array([[[i, 1]]], np.float32)}, "A", i, 1)
    (batch,) = streams.features(tmp_path, "train", 4)
    assert batch["feature"].dtype == tf.float32
    pairs = [
        *streams.feature_pairs(tmp_path, "train", 4),
        *epoch_of(streams.labelled_features([(tmp_path, "train", 3)], 4), 0),
        *epoch_of(streams.balanced_features(tmp_path, 3), 0),
    ]
    for pair in pairs:
        assert pair[0].dtype == tf.float32
        assert sorted(numbers(pair)) == [0, 1, 2]


def test_slices_from_a_number_on(slices):
    assert [int(i) for batch in pipelines.slices(slices, "train", 3, 2) for i in batch["slice"]] == [2, 3, 4, 5, 6]


def test_pairs_in_the_order_of_writing(features, slices):
    assert [n for batch in streams.feature_pairs(features, "train", 5) for n in numbers(batch)] == list(range(13))
    records = next(iter(pipelines.slices(slices, "train", 7)))
    images, masks = (np.concatenate(parts) for parts in zip(*pipelines.slice_pairs(slices, "train", 3)))
    np.testing.assert_array_equal(images, records["image"])
    np.testing.assert_array_equal(masks, records["mask"])


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: pipelines.training_slices(folder, 2, True),
        lambda folder: streams.balanced_features(folder, 2),
        lambda folder: streams.labelled_features([(folder, "train", 3)], 2),
    ],
    ids=["training_slices", "balanced_features", "labelled_features"],
)
def test_damaged_shard_is_said_at_once(make, features):
    (features / "train-00000.tfrecord").unlink()
    with pytest.raises(InputError, match=r"train-00000\.tfrecord"):
        make(features)


def test_set_seed_repeats_initial_weights_and_noise():
    def draw(seed):
        pipelines.set_seed(seed)
        weights = tf.keras.initializers.GlorotUniform()((2, 2)).numpy().ravel()
        return [*weights, float(tf.random.normal([])), np.random.rand(), random.random()]

    np.testing.assert_array_equal(draw(0), draw(0))
    assert not np.isclose(draw(0), draw(1)).any()


@pytest.mark.parametrize("augmentation", [None, "correct"])
def test_graded_training_slices_are_the_plain_ones_with_their_labels(slices, augmentation):
    graded = epoch_of(pipelines.graded_training_slices(slices, 3, augmentation), 5)
    plain = epoch_of(pipelines.training_slices(slices, 3, augmentation), 5)
    assert same([(image, mask) for image, (mask, _) in graded], plain)
    labels = [int(label) for _, (_, labels) in graded for label in labels]
    # The tumour of slice i has 4 + i rows of 6, and its label is i % 2.
    areas = [
        int(mask.sum())
        for _, masks in epoch_of(pipelines.training_slices(slices, 3, None), 5)
        for mask in masks.numpy()
    ]
    assert labels == [(area // 6 - 4) % 2 for area in areas] != sorted(labels)


def test_graded_pairs_in_the_order_of_writing(slices):
    images, masks, labels = zip(*((i, m, y) for i, (m, y) in pipelines.graded_slice_pairs(slices, "train", 3)))
    assert same(list(zip(images, masks)), list(pipelines.slice_pairs(slices, "train", 3)))
    np.testing.assert_array_equal(np.concatenate(labels), [0, 1, 0, 1, 0, 1, 0])


@pytest.mark.parametrize(
    ("labels", "with_tumour", "wanted"),
    [([1, 1, 0, 1], [1, 0, 1, 1], [1, 2]), ([1, 0], [0, 1], [1, 0]), ([1], [0], [0, 0])],
)
def test_slices_with_tumour_are_counted_by_grade(labels, with_tumour, wanted, tmp_path):
    with Writer(tmp_path, "train", SLICE) as writer:
        for i, (label, tumour) in enumerate(zip(labels, with_tumour)):
            mask = np.zeros((16, 16, 1))
            mask[0, 0] = tumour
            writer.write({"image": np.zeros((16, 16, 1)), "mask": mask}, f"patient {i}", i, label)
    np.testing.assert_array_equal(pipelines.tumour_slices(tmp_path, "train"), wanted)
