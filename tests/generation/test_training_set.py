import numpy as np
import pytest

from rembrandt_featgen.generation import training_set


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


def test_counts_of_three_classes():
    """Each up to the largest, and a third of all more."""
    assert training_set.counts(np.repeat([0, 1, 2], [6, 4, 2]), 0.5, 3) == {0: 2, 1: 4, 2: 6}
