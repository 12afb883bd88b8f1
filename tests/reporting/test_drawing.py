import numpy as np

from rembrandt_featgen.reporting import drawing


def test_dots_at_one_place_are_kept_apart():
    spread = drawing.spread(np.array([0.1, 0.5, 0.5, 0.505, 0.9]))
    assert spread[0] == spread[1] == spread[4] == 0
    assert len(set(spread[1:4])) == 3


def test_long_names_are_clipped():
    assert (drawing.clipped("abcd", 4), drawing.clipped("abcde", 4)) == ("abcd", "abc\N{HORIZONTAL ELLIPSIS}")


def test_none_becomes_nan():
    np.testing.assert_array_equal(drawing.floats([1, None, 0.5]), [1, np.nan, 0.5])
    assert drawing.floats([]).shape == (0,)


def test_rows_are_named_from_the_top_and_long_names_wrapped():
    _, ((ax,),) = drawing.canvas(4, 2)
    drawing.name_rows(ax, ["a", "b" * 20 + " " + "c" * 20], "x")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b" * 20 + "\n" + "c" * 20]
    assert ax.get_ylim() == (1.5, -0.5)
