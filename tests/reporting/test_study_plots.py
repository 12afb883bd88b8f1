import struct

import matplotlib
import numpy as np
import pytest
from matplotlib import _pylab_helpers

from rembrandt_featgen.reporting import study_plots
from rembrandt_featgen.reporting.study_plots import Diagram, ForestRow

NAN = float("nan")
HEADINGS = {"none": "Nothing", "classical": "Classical", "generative": "Generative", "other": "Other"}
MANY = [ForestRow(f"arm {i}", "classical", (0.7, 0.6, 0.8), (0.1, 0.0, 0.2), (0.05, 0.15)) for i in range(24)]
ROWS = [
    ForestRow("plain $a_b$", "none", (0.6, 0.5, 0.7), (-0.1, -0.2, 0.0), (-0.15, -0.05), "p 1.000"),
    ForestRow("smote", "classical", (0.7, None, None), note="the reference"),
    ForestRow("gan", "generative", (0.8, 0.7, 0.9), (0.1, 0.02, 0.2), (0.04, 0.16), "p 0.010", True),
    ForestRow("vae", "generative", (None, NAN, None)),
]
KINDS = {f"a{i}": "generative" for i in range(5)}
BINS = [(0.05, 0.0, 3), (0.5, NAN, 0), (0.95, 0.9, 7), (None, None, None)]

DRAWN = {
    "forest": lambda: study_plots.forest(ROWS, HEADINGS),
    "forest of many": lambda: study_plots.forest(MANY, HEADINGS),
    "forest of nothing known": lambda: study_plots.forest([ForestRow("a", "other")], HEADINGS),
    "no forest": lambda: study_plots.forest([], HEADINGS),
    "folds": lambda: study_plots.fold_strip({"a": [(0.5, 0), (0.5, 1), (0.9, None)], "b": [(0.1, 7)]}),
    "folds of unknown seed": lambda: study_plots.fold_strip({"a": [(0.5, None)], "b": []}),
    "amounts": lambda: study_plots.amount_curves({f"a{i}": [("1.0", 0.6, 0.5, 0.7)] for i in range(5)}, KINDS, 0.7),
    "amounts without intervals": lambda: study_plots.amount_curves(
        {"a1": [("0", 0.6, None, None), ("x", 0.5, 0, 1)]}, KINDS
    ),
    "reliability": lambda: study_plots.reliability_diagrams(
        {f"a{i}": Diagram("none", BINS, 0.1) for i in range(7)}, "HGG"
    ),
    "reliability of empty bins": lambda: study_plots.reliability_diagrams({"a": Diagram("other", BINS[1:2])}, "HGG"),
    "power": lambda: study_plots.power_curve([(100, 0.9), (50, 0.2)], 70),
    "power at one size": lambda: study_plots.power_curve([(100, 0.9)]),
}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.filterwarnings("error")
def test_is_a_png_of_sensible_size(name):
    before = dict(matplotlib.rcParams)
    png = DRAWN[name]()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    assert 400 <= width <= 2400 and 100 <= height <= 4000
    assert not _pylab_helpers.Gcf.figs
    assert dict(matplotlib.rcParams) == before


@pytest.fixture
def calls(monkeypatch):
    """(method, arguments, keywords) of all that is drawn on axes."""
    seen = []
    for name in ("plot", "text", "axvline", "axhline", "fill_between", "scatter"):
        draw = getattr(matplotlib.axes.Axes, name)
        monkeypatch.setattr(
            matplotlib.axes.Axes,
            name,
            lambda self, *a, _draw=draw, _name=name, **k: seen.append((_name, a, k)) or _draw(self, *a, **k),
        )
    return seen


def test_forest_shows_values_left_and_differences_right(calls):
    DRAWN["forest"]()
    assert [args[0] for name, args, _ in calls if name == "axvline"] == [0.5, 0.0]
    texts = [args[2] for name, args, _ in calls if name == "text"]
    assert texts == [
        "0.600 [0.500, 0.700]",
        "0.700",
        "0.800 [0.700, 0.900]",
        "not defined",
        "\N{MINUS SIGN}0.100 [\N{MINUS SIGN}0.200, +0.000]  p 1.000",
        "the reference",
        "+0.100 [+0.020, +0.200]  p 0.010",
        "",
    ]


def test_forest_fills_the_difference_that_its_bounds_hold_apart_from_0_alone(calls):
    DRAWN["forest"]()
    faces = [k["mfc"] for name, _, k in calls if name == "plot" and "mfc" in k]
    assert "white" not in faces[:4]
    assert [face == "white" for face in faces[4:]] == [True, True, False, True]


def test_forest_draws_both_intervals_of_a_difference(calls):
    DRAWN["forest"]()
    lines = [(list(args[0]), k["lw"]) for name, args, k in calls if name == "plot" and "lw" in k]
    assert ([0.02, 0.2], 1.1) in lines and ([0.04, 0.16], 3) in lines
    assert ([0.7, 0.9], 2) in lines


def test_forests_of_a_study_share_their_axes():
    rows = [ROWS[0], ForestRow("far", "other", (0.2, 0.1, 0.3), (0.3, None, None), (0.25, 0.5))]
    values, differences = study_plots.forest_limits(rows)
    assert values == pytest.approx((0.1 - 0.024, 0.7 + 0.024))
    assert differences == pytest.approx((-0.2 - 0.028, 0.5 + 0.028))
    nothing = study_plots.forest_limits([ForestRow("a", "other")])
    assert nothing == ((0.495, 0.505), (-0.005, 0.005))


def test_strip_has_a_dot_for_each_run_and_a_bar_at_the_mean(calls):
    study_plots.fold_strip({"a": [(0.5, 0), (0.6, 1), (1.0, 0)]})
    assert sorted(args[0] for name, args, _ in calls if name == "scatter") == [0.5, 0.6, 1.0]
    ((bar, _),) = [args for name, args, _ in calls if name == "plot"]
    assert bar == pytest.approx([0.7, 0.7])
    markers = {args[0]: k["marker"] for name, args, k in calls if name == "scatter"}
    assert markers[0.5] == markers[1.0] != markers[0.6]


def test_amounts_stand_in_the_order_in_which_they_come(calls):
    curves = {"a0": [("2.0", 0.6, 0.5, 0.7), ("balance", 0.65, 0.6, 0.7)], "a1": [("balance", 0.5, 0.4, 0.6)]}
    study_plots.amount_curves(curves, KINDS, 0.7)
    bands = [args for name, args, _ in calls if name == "fill_between"]
    assert [list(x) for x, _, _ in bands] == [[0, 1], [1]]
    np.testing.assert_allclose(bands[0][1], [0.5, 0.6])
    np.testing.assert_allclose(bands[0][2], [0.7, 0.7])
    assert [args[0] for name, args, _ in calls if name == "axhline"] == [0.7, 0.7]


def test_reliability_leaves_empty_bins_out(calls):
    study_plots.reliability_diagrams({"a": Diagram("none", BINS)}, "HGG")
    ((x, y),) = [args for name, args, _ in calls if name == "scatter"]
    np.testing.assert_allclose([x, y], [[0.05, 0.95], [0.0, 0.9]])
    (areas,) = [k["s"] for name, _, k in calls if name == "scatter"]
    np.testing.assert_allclose(areas, [12 + 120 * 0.3, 12 + 120 * 0.7])


def test_power_is_sorted_and_marks_what_is_customary_and_the_cohort(calls):
    DRAWN["power"]()
    ((x, y, _),) = [args for name, args, _ in calls if name == "plot"]
    assert (list(x), list(y)) == ([50, 100], [0.2, 0.9])
    assert [args[0] for name, args, _ in calls if name == "axhline"] == [0.8]
    assert [args[0] for name, args, _ in calls if name == "axvline"] == [70]
