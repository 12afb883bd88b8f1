import numpy as np
import pytest

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features.informative_columns import informative

NAN = np.nan
VALUES = np.array(
    [[1, NAN, 7, 1, -0.0, NAN, 1], [2, NAN, NAN, 2, 0.0, 1, 2], [NAN, NAN, 7, NAN, 0.0, 2, 3]], np.float32
)


def test_what_says_nothing_is_named():
    values, names, left_out = informative(VALUES, list("abcdefg"), "t.csv")
    assert names == ["a", "f", "g"]
    np.testing.assert_array_equal(values, VALUES[:, [0, 5, 6]])
    assert left_out == {
        "as all values are missing": ("b",),
        "as they are constant": ("c", "e"),
        "as they are the same as another": ("d",),
    }


def test_a_missing_value_of_other_bits_is_the_same():
    other = VALUES[:, [0, 0, 6]].copy()
    other[2, 1] = np.array([0xFFC00001], np.uint32).view(np.float32)[0]
    assert informative(other, list("abc"), "")[1] == ["a", "c"]


def test_two_columns_of_one_name():
    with pytest.raises(InputError, match="t.csv: two columns of different values are named 'x'; rename"):
        informative(VALUES[:, [0, 6]], ["x", "x"], "t.csv")
    assert informative(VALUES[:, [0, 3, 6]], ["x", "x", "y"], "")[1] == ["x", "y"]  # the same values


def test_nothing_left():
    with pytest.raises(InputError, match="no column of features has two different values"):
        informative(VALUES[:, [1, 2]], ["a", "b"], "t.csv")
