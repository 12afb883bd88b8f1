from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import pipelines
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.features import streams
from tests.data.epochs import assert_differs_by_epoch_and_by_seed, assert_resumed_is_as_unbroken, epoch_of, same

FEATURE = {"feature": ((1, 1, 2), "float32")}
HGG, LGG = 10, 3


@pytest.fixture(autouse=True)
def seeded():
    tf.keras.utils.set_random_seed(0)


def write_features(folder, split, labels, first=0):
    """Features whose two values are a number of their own, from `first`, and their label."""
    folder.mkdir(exist_ok=True)
    with Writer(folder, split, FEATURE, per_shard=4) as writer:
        for i, label in enumerate(labels, first):
            writer.write({"feature": np.array([[[i, label]]])}, f"patient {i}", slice_index=i, label=label)


@pytest.fixture
def features(tmp_path):
    """13 training features, 10 HGG (numbers 0 to 9) and 3 LGG (10 to 12)."""
    write_features(tmp_path / "features", "train", [1] * HGG + [0] * LGG)
    return tmp_path / "features"


def numbers(batch):
    """The numbers of a batch of features; their labels must be those that were written with them."""
    feature, label = batch
    np.testing.assert_array_equal(feature[:, 0, 0, 1], label)
    return [int(n) for n in feature[:, 0, 0, 0]]


@pytest.mark.parametrize("batch", [2, 4, 6])
def test_balanced_batches_hold_both_classes_equally_often(features, batch):
    batches = epoch_of(streams.balanced_features(features, batch), 5)
    assert len(batches) == pipelines.steps_per_epoch(HGG + LGG, batch)
    for feature, label in batches:
        assert feature.shape == (batch, 1, 1, 2)
        assert Counter(label.numpy().tolist()) == {0: batch // 2, 1: batch // 2}


def test_balanced_repeats_the_minority_class_alone(features):
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
    """Also of the majority class, of which one epoch holds 8 of 10, none comes twice before all came once."""
    batches = list(pipelines.endless(streams.balanced_features(features, 4), 3).take(5 * 4))
    drawn = [n for batch in batches for n in numbers(batch)]
    for of_class, count in ((range(HGG), HGG), (range(HGG, HGG + LGG), LGG)):
        turns = [n for n in drawn if n in of_class]
        assert len(turns) == 40
        for i in range(0, len(turns) - count + 1, count):
            assert sorted(turns[i : i + count]) == list(of_class)


def test_balanced_with_one_class_alone(tmp_path):
    write_features(tmp_path, "train", [1] * 5)
    batches = epoch_of(streams.balanced_features(tmp_path, 4), 5)
    assert [len(label) for _, label in batches] == [4, 4]
    assert set(numbers(batches[0]) + numbers(batches[1])) == set(range(5))


@pytest.fixture
def synthetic(tmp_path):
    """Ten synthetic features, numbers 100 to 109, the classes alternating."""
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


def balanced(folder):
    write_features(folder, "train", [1] * HGG + [0] * LGG)
    return streams.balanced_features(folder, 4)


def labelled(folder):
    write_features(folder, "train", [1] * HGG + [0] * LGG)
    write_features(folder, "synthetic", [0, 1] * 5, first=100)
    return streams.labelled_features([(folder, "train", 13), (folder, "synthetic", 6)], 4)


@pytest.mark.parametrize(("make", "steps"), [(balanced, 4), (labelled, 5)])
def test_endless_resumed_is_as_unbroken(tmp_path, make, steps):
    assert_resumed_is_as_unbroken(make(tmp_path), steps)


@pytest.mark.parametrize(("make", "steps"), [(balanced, 4), (labelled, 5)])
def test_endless_differs_by_epoch_and_by_seed(tmp_path, make, steps):
    assert_differs_by_epoch_and_by_seed(make(tmp_path), steps)


def test_whole_records_in_the_order_of_writing(features):
    batches = list(streams.features(features, "train", 3))
    assert [len(batch["slice"]) for batch in batches] == [3] * (13 // 3) + [1]
    assert [int(i) for batch in batches for i in batch["slice"]] == list(range(13))
    assert {"patient", "slice", "label"} < set(batches[0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_features_come_as_float32(dtype, tmp_path):
    with Writer(tmp_path, "train", {"feature": ((1, 1, 2), dtype)}, codec="lz4") as writer:
        for i in range(3):
            writer.write({"feature": np.array([[[i, 1]]], np.float32)}, "A", slice_index=i, label=1)
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


def test_pairs_in_the_order_of_writing(features):
    assert [n for batch in streams.feature_pairs(features, "train", 5) for n in numbers(batch)] == list(range(13))


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: streams.balanced_features(folder, 2),
        lambda folder: streams.labelled_features([(folder, "train", 3)], 2),
    ],
    ids=["balanced_features", "labelled_features"],
)
def test_damaged_shard_is_said_at_once(make, features):
    (features / "train-00000.tfrecord").unlink()
    with pytest.raises(InputError, match=r"train-00000\.tfrecord"):
        make(features)
