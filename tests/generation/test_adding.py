import numpy as np
import pytest

from rembrandt_featgen.generation import adding

SYNTHETIC = np.array([0, 1, 0, 1, 0, 1, 1, 1])  # as a generator writes them, of which three LGG were confirmed
REAL = np.array([0, 1, 1, 1, 0, 1])  # two more HGG


@pytest.mark.parametrize(
    ("added", "receiver", "wanted"),
    [
        (4, "both", [0, 1, 2, 3]),
        (0, "both", [0, 1, 2, 3, 4, 5, 6, 7]),
        (1, "rarer", [0]),
        (2, "rarer", [0, 2]),
        (0, "rarer", [0, 2]),  # until the grades are equal
        (3, "HGG", [1, 3, 5]),
        (0, "LGG", [0, 2, 4]),
    ],
)
def test_numbers(added, receiver, wanted):
    assert adding.numbers(SYNTHETIC, REAL, added, receiver).tolist() == wanted


def test_rarer_is_hgg_where_there_are_fewer():
    assert adding.numbers(SYNTHETIC, 1 - REAL, 0, "rarer").tolist() == [1, 3]


def test_all_of_the_rarer_is_what_there_is():
    assert adding.numbers(np.array([1, 1, 0]), REAL, 0, "rarer").tolist() == [2]


@pytest.mark.parametrize("receiver", adding.RECEIVERS)
def test_nothing_was_confirmed(receiver):
    assert adding.numbers(np.zeros(0, int), REAL, 0, receiver).tolist() == []


def test_equal_grades_get_none():
    assert adding.numbers(SYNTHETIC, np.array([0, 1]), 0, "rarer").tolist() == []


@pytest.mark.parametrize(
    ("synthetic", "added", "receiver", "message"),
    [
        (SYNTHETIC, 9, "both", "there are 8 synthetic features"),
        (SYNTHETIC, 3, "rarer", "2 more of LGG make the grades equal"),
        (np.array([1, 0, 1]), 2, "rarer", "there are 1 synthetic LGG features"),
        (SYNTHETIC, 6, "HGG", "there are 5 synthetic HGG features"),
    ],
)
def test_too_many(synthetic, added, receiver, message):
    with pytest.raises(ValueError, match=message):
        adding.numbers(synthetic, REAL, added, receiver)
