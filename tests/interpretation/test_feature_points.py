import numpy as np
import pytest

from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.interpretation import feature_points
from rembrandt_featgen.interpretation.feature_points import Points


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """40 training features and 10 synthetic ones, classes alternating; number n has mean n in channel 0, -n in 1."""
    folder = tmp_path_factory.mktemp("features")
    for split, count in (("train", 40), ("synthetic", 10)):
        with Writer(folder, split, {"feature": ((2, 2, 2), "float32")}) as writer:
            for n in range(count):
                feature = np.array([[[0.0, -n]] * 2, [[2.0 * n, -n]] * 2])
                writer.write({"feature": feature}, f"{split} {n}", slice_index=0, label=n % 2)
    return folder


def test_pools_all_features_where_they_are_few(features):
    points = feature_points.pooled([(features, "train"), (features, "synthetic")], 1000, 0)
    np.testing.assert_allclose(points.values[:, 0], [*range(40), *range(10)])
    np.testing.assert_allclose(points.values[:, 1], -points.values[:, 0])
    assert points.splits == ["train"] * 40 + ["synthetic"] * 10
    assert points.labels.tolist() == [0, 1] * 25
    assert points.patients[38:42] == ["train 38", "train 39", "synthetic 0", "synthetic 1"]
    assert points.numbers.tolist() == [*range(40), *range(10)]
    assert points.of("synthetic").tolist() == [False] * 40 + [True] * 10


def test_pools_a_sample_of_each_split_where_they_are_many(features):
    points = feature_points.pooled([(features, "train"), (features, "synthetic")], 25, 0)
    assert points.splits == ["train"] * 20 + ["synthetic"] * 5
    np.testing.assert_allclose(points.values[:, 0], points.numbers)  # every one is still known by its number
    assert [f"{split} {n}" for split, n in zip(points.splits, points.numbers)] == points.patients
    assert set(points.labels) == {0, 1}  # classes alternate: every other feature would be of one alone
    again = feature_points.pooled([(features, "train"), (features, "synthetic")], 25, 0)
    other = feature_points.pooled([(features, "train"), (features, "synthetic")], 25, 1)
    assert again.numbers.tolist() == points.numbers.tolist() != other.numbers.tolist()


def test_a_split_without_features_has_no_points(features):
    with Writer(features, "none", {"feature": ((2, 2, 2), "float32")}):
        pass
    points = feature_points.pooled([(features, "synthetic"), (features, "none")], 1000, 0)
    assert points.splits == ["synthetic"] * 10
    assert feature_points.typical(points, "none", 1) is None
    assert feature_points.strongest(points, "none", 0) is None


def test_read_feature(features):
    np.testing.assert_array_equal(feature_points.read_feature(features, "train", 3)[:, 0], [[0, -3], [6, -3]])


def points(values, labels, splits):
    values = np.array(values, float)
    numbers = np.array([splits[:i].count(split) for i, split in enumerate(splits)])
    return Points(values, np.array(labels), ["p"] * len(labels), list(splits), numbers)


def test_typical_is_the_median_of_its_class_and_split():
    found = points(
        [[5, 5], [1, 1], [3, 0], [9, 9], [0, 8]], [1, 1, 0, 1, 1], ["train", "train", "train", "test", "train"]
    )
    assert feature_points.typical(found, "train", 1) == 3  # of means 5, 1 and 4; the numbers skip the test's
    assert feature_points.typical(found, "train", 0) == 2
    assert feature_points.typical(found, "test", 1) == 0
    assert feature_points.typical(found, "test", 0) is None


def test_strongest_of_a_split():
    found = points([[0, 5], [4, 1], [9, 0]], [0, 1, 1], ["train", "train", "synthetic"])
    assert feature_points.strongest(found, "train", 0) == 1
    assert feature_points.strongest(found, "train", 1) == 0
    assert feature_points.strongest(found, "synthetic", 0) == 0


def test_channels_by_class_are_measured_in_deviations_of_training_features():
    train = [
        # channel 0 differs by 10 but varies by 20; 1 by 1 (more in the second class), varying by 0.1; 2 by 2 (more in
        # the first), by 0.5
        ([10, 1.0, 4.0, 0], 0),
        ([50, 1.2, 3.0, 0], 0),
        ([20, 2.0, 2.0, 0], 1),
        ([60, 2.2, 1.0, 0], 1),
    ]
    synthetic = [([0, 0, 0, 100], 1), ([0, 0, 0, 0], 0)]
    values, labels = zip(*train, *synthetic)
    found = points(values, labels, ["train"] * 4 + ["synthetic"] * 2)
    assert feature_points.channels_by_class(found) == [2, 1]


def test_silent_channels_are_of_no_class():
    found = points([[0, 1], [0, 2]], [0, 1], ["train"] * 2)  # one of each class: no deviation anywhere
    assert feature_points.channels_by_class(found) == [0, 0]


def test_most_active_channels_come_highest_first():
    feature = np.ones((4, 4, 12)) * np.arange(1.0, 13.0)  # channel 11 fires most
    np.testing.assert_array_equal(feature_points.most_active_channels(feature, 3), [11, 10, 9])


def test_each_of_three_classes_has_its_channel():
    values = np.repeat(np.eye(3)[[1, 2, 0]], 2, axis=0) + 0.1 * np.tile([[1.0], [-1.0]], (3, 3))
    found = points(values.tolist(), [0, 0, 1, 1, 2, 2], ["train"] * 6)
    assert feature_points.channels_by_class(found) == [1, 2, 0]
