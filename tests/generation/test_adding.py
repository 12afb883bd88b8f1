import numpy as np
import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.generation import adding

SYNTHETIC = np.array([0, 1, 0, 1, 0, 1, 1, 1])  # as a generator writes them, of which three LGG were accepted
CLASSES = Classes.of(("LGG", "HGG"))
REAL = np.array([0, 1, 1, 1, 0, 1])  # two more HGG


@pytest.mark.parametrize(
    ("added", "receiver", "wanted"),
    [
        (4, "all", [0, 1, 2, 3]),
        (0, "all", [0, 1, 2, 3, 4, 5, 6, 7]),
        (1, "minority", [0]),
        (2, "minority", [0, 2]),
        (0, "minority", [0, 2]),  # until the classes are equal
        (3, "HGG", [1, 3, 5]),
        (0, "LGG", [0, 2, 4]),
    ],
)
def test_numbers(added, receiver, wanted):
    assert adding.numbers(SYNTHETIC, REAL, added=added, receiver=receiver, classes=CLASSES).tolist() == wanted


def test_minority_is_hgg_where_there_are_fewer():
    assert adding.numbers(SYNTHETIC, 1 - REAL, added=0, receiver="minority", classes=CLASSES).tolist() == [1, 3]


def test_all_of_the_minority_is_what_there_is():
    assert adding.numbers(np.array([1, 1, 0]), REAL, added=0, receiver="minority", classes=CLASSES).tolist() == [2]


@pytest.mark.parametrize("receiver", adding.receivers(CLASSES))
def test_nothing_was_accepted(receiver):
    assert adding.numbers(np.zeros(0, int), REAL, added=0, receiver=receiver, classes=CLASSES).tolist() == []


def test_equal_classes_get_none():
    assert adding.numbers(SYNTHETIC, np.array([0, 1]), added=0, receiver="minority", classes=CLASSES).tolist() == []


@pytest.mark.parametrize(
    ("synthetic", "added", "receiver", "message"),
    [
        (SYNTHETIC, 9, "all", "there are 8 synthetic features"),
        (SYNTHETIC, 3, "minority", "2 more of LGG make the classes equal"),
        (np.array([1, 0, 1]), 2, "minority", "there are 1 synthetic LGG features"),
        (SYNTHETIC, 6, "HGG", "there are 5 synthetic HGG features"),
        (SYNTHETIC, 1, "rarer", "'rarer' is no class: take one of all, minority, LGG, HGG"),
    ],
)
def test_too_many(synthetic, added, receiver, message):
    with pytest.raises(ValueError, match=message):
        adding.numbers(synthetic, REAL, added=added, receiver=receiver, classes=CLASSES)
