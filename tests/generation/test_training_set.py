import numpy as np
import pytest

from rembrandt_featgen.generation import training_set
from rembrandt_featgen.generation.training_set import TrainingSet

SHAPE = (2, 2, 3)


@pytest.mark.parametrize(
    ("positive", "negative", "amount", "expected"),
    [
        (6, 4, 0, {0: 2, 1: 0}),
        (4, 6, 0, {0: 0, 1: 2}),
        (5, 5, 0, {0: 0, 1: 0}),
        (6, 4, 1, {0: 7, 1: 5}),  # as many more as there are, half of each class
        (6, 4, 0.5, {0: 5, 1: 3}),  # 2.5 is rounded half up
        (6, 4, 2, {0: 12, 1: 10}),
    ],
)
def test_counts(positive, negative, amount, expected):
    assert training_set.counts(np.repeat([1, 0], [positive, negative]), amount, 2) == expected


def test_a_negative_amount_is_refused():
    with pytest.raises(ValueError, match="received -1"):
        training_set.counts(np.array([0, 1]), -1, 2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": np.array([0, 1])}, r"received \(3, 2, 2, 3\), \(2,\)"),
        ({"patients": np.array(["a"])}, r"and \(1,\)"),
        ({"features": np.zeros((3, 12))}, r"received \(3, 12\)"),
        ({"scale": np.ones(2)}, r"must be \[3\]"),
        ({"labels": np.array([1, 1, 1])}, "none of label 0"),
    ],
)
def test_a_training_set_that_does_not_fit_is_refused(changes, words):
    whole = {
        "features": np.zeros((3, *SHAPE)),
        "labels": np.array([0, 1, 1]),
        "patients": np.array(["a", "b", "c"]),
        "scale": np.ones(3),
        "num_classes": 2,
    }
    TrainingSet(**whole)
    with pytest.raises(ValueError, match=words):
        TrainingSet(**{**whole, **changes})


def test_scaling_divides_by_channel_and_back():
    features = np.array([[4, 30, 0], [1, 0, 0]], np.float32).reshape(2, 1, 1, 3)
    scale = np.array([2.0, 10.0, 0.0], np.float32)
    training = TrainingSet(features, np.array([0, 1]), np.array(["a", "b"]), scale=scale, num_classes=2)
    scaled = training.scaled(training.features)
    np.testing.assert_array_equal(scaled, np.reshape([[2, 3, 0], [0.5, 0, 0]], (2, 1, 1, 3)))
    np.testing.assert_array_equal(training.unscaled(scaled.reshape(2, 3)), training.features)
    np.testing.assert_array_equal(training.unscaled(np.array([[-1.0, 1.0, 5.0]])), np.reshape([0, 10, 0], (1, 1, 1, 3)))


def test_counts_of_three_classes():
    """Each up to the largest, and a third of all more."""
    assert training_set.counts(np.repeat([0, 1, 2], [6, 4, 2]), 0.5, 3) == {0: 2, 1: 4, 2: 6}
