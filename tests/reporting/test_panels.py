import numpy as np
import pytest
from matplotlib.contour import ContourSet

from rembrandt_featgen.reporting.panels import Panel, grid

IMAGE = np.arange(12.0).reshape(3, 4)
MASK = np.zeros((3, 4))
MASK[1, 1:3] = 1


def drawn(*args, **kwargs):
    """The matplotlib figure behind the PNG."""
    return grid.__wrapped__(*args, **kwargs)


def contours(ax):
    return [each for each in ax.get_children() if isinstance(each, ContourSet)]


def test_a_place_for_each_panel_named_and_in_order():
    figure = drawn(
        [[Panel(IMAGE, "a"), Panel(IMAGE, "b\nc")], [None, Panel(IMAGE, "d")], [Panel(IMAGE)]], ["x", "y", "z"]
    )
    axes = np.array(figure.axes).reshape(3, 2)
    assert [[len(ax.images) for ax in row] for row in axes] == [[1, 1], [0, 1], [1, 0]]
    assert [[ax.get_title() for ax in row] for row in axes] == [["a", "b\nc"], ["", "d"], ["", ""]]
    assert [row[0].get_ylabel() for row in axes] == ["x", "y", "z"]
    assert not figure.legends


def test_image_is_shown_from_its_minimum_nan_left_blank():
    image = np.array([[np.nan, -2.0], [0.0, 4.0]])
    (shown,) = drawn([[Panel(image, colours="viridis")]]).axes[0].images
    assert shown.norm.vmin == -2.0
    assert shown.norm.vmax == pytest.approx(4.0, abs=0.1)
    assert shown.get_cmap().name == "viridis"
    assert np.ma.getmaskarray(shown.get_array()).tolist() == [[True, False], [False, False]]


def test_constant_and_blank_images_are_drawn():
    for value in (0.0, np.nan):
        assert grid([[Panel(np.full((2, 2), value))]]).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("panel", "lines", "texts", "names"),
    [
        (Panel(IMAGE, truth=MASK), 1, [], ["true tumour"]),
        (Panel(IMAGE, truth=0 * MASK), 0, [], ["true tumour"]),  # a slice without tumour
        (Panel(IMAGE, truth=MASK, prediction=0.9 * MASK), 2, [], ["true tumour", "predicted tumour"]),
        (Panel(IMAGE, prediction=0.4 * MASK), 0, ["no tumour predicted"], ["predicted tumour"]),
    ],
)
def test_contours_and_whose_they_are(panel, lines, texts, names):
    figure = drawn([[panel]])
    (ax,) = figure.axes
    assert len(contours(ax)) == lines
    assert [text.get_text() for text in ax.texts] == texts
    assert [text.get_text() for text in figure.legends[0].get_texts()] == names


def test_heat_spans_the_image_and_fades_where_it_is_weak():
    heat = np.array([[0.0, 1.0], [4.0, np.nan]])
    below, above = drawn([[Panel(IMAGE, heat=heat)]]).axes[0].images
    assert above.get_extent() == below.get_extent() == [-0.5, 3.5, 2.5, -0.5]
    np.testing.assert_allclose(above.get_array()[..., 3], [[0.0, 0.4], [0.8, 0.0]])


def test_no_heat_at_all():
    assert grid([[Panel(IMAGE, heat=np.zeros((2, 2)))]]).startswith(b"\x89PNG")


def test_nothing_to_show_is_said():
    assert grid([]).startswith(b"\x89PNG")


def test_stays_as_wide_as_a_page():
    widths = [drawn([[Panel(IMAGE)] * columns]).get_figwidth() for columns in (1, 3, 6, 12)]
    np.testing.assert_allclose(widths, [2.0, 6.0, 10.5, 10.5])
