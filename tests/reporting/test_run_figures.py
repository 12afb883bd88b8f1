import struct

import matplotlib
import numpy as np
import pytest
from matplotlib import _pylab_helpers

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.reporting import drawing, run_figures

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(5, 24, 32))
TRUTHS = np.zeros((5, 24, 32))
TRUTHS[:4, 5:12, 0:9] = 1  # touches the edge; the last slice has no tumour
NAN = float("nan")
CLASSES = Classes.of(("LGG", "HGG"))

DRAWN = {
    "overlays": lambda: run_figures.segmentation_overlays(
        IMAGES, TRUTHS, 0.9 * TRUTHS, titles=["a $ b_$, HGG, dice 0.90"] * 5
    ),
    "one overlay": lambda: run_figures.segmentation_overlays(IMAGES[:1], TRUTHS[:1], 0 * TRUTHS[:1], titles=["p"]),
    "constant image": lambda: run_figures.segmentation_overlays(
        np.zeros((1, 8, 8)), np.ones((1, 8, 8)), [[[1.0]]], titles=["p"]
    ),
    "no overlays": lambda: run_figures.segmentation_overlays(IMAGES[:0], TRUTHS[:0], TRUTHS[:0], titles=[]),
    "25 maps": lambda: run_figures.feature_maps(RNG.random((25, 15, 15)), RNG.random((25, 15, 15)), "HGG"),
    "8 dead maps": lambda: run_figures.feature_maps(np.zeros((8, 2, 2)), np.zeros((8, 2, 2)), "LGG"),
    "curves": lambda: run_figures.training_curves({"Loss": {"training": [1, 0.5, None], "validation": [1, NAN, 1]}}, 1),
    "four panels": lambda: run_figures.training_curves({f"p{i}": {"a": [1.0]} for i in range(4)}, None, "value"),
    "no curves": lambda: run_figures.training_curves({}),
    "forest": lambda: run_figures.forest(
        [("a", 0.5, 0.2, 0.8), ("b", None, None, None), ("c", 0.5, NAN, NAN)], "x", 0.5
    ),
    "forest of MCC": lambda: run_figures.forest([("a", -0.5, -0.9, 0.1)], "MCC"),
    "no forest": lambda: run_figures.forest([], "x"),
    "strip of three": lambda: run_figures.probability_strip(
        {"a": [0.5, 0.9, 0.2]}, ["a", "b", "c"], Classes.of(("a", "b", "c"))
    ),
    "strip": lambda: run_figures.probability_strip({"a": [0.5] * 20, "b": [None] * 20}, ["HGG"] * 20, CLASSES),
}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.filterwarnings("error")
def test_is_a_png_of_sensible_size(name):
    before = dict(matplotlib.rcParams)
    png = DRAWN[name]()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    assert 400 <= width <= 2400 and 100 <= height <= 4000
    assert len(png) < 2_000_000
    assert not _pylab_helpers.Gcf.figs  # none left with pyplot
    assert dict(matplotlib.rcParams) == before


def test_same_input_same_bytes():
    assert DRAWN["forest"]() == DRAWN["forest"]()


def test_height_grows_with_the_arms():
    heights = [
        struct.unpack(">II", run_figures.forest([(f"arm {i}", 0.5, 0.4, 0.6) for i in range(n)])[16:24])[1]
        for n in (4, 24)
    ]
    assert heights[1] > 3 * heights[0]


def test_best_epoch_is_drawn_from_one(monkeypatch):
    seen = []
    monkeypatch.setattr("matplotlib.axes.Axes.axvline", lambda self, x, **kwargs: seen.append(x))
    run_figures.training_curves({"Loss": {"training": [3.0, 1.0, 2.0]}}, 1)
    assert seen == [2]


def test_mosaic_is_row_by_row():
    maps = np.arange(3.0)[:, None, None] * np.ones((3, 2, 2))
    mosaic = drawing.mosaic(maps)
    assert mosaic.shape == (5, 5)
    np.testing.assert_array_equal(mosaic[[0, 0, 3], [0, 3, 0]], [0, 1, 2])
    assert np.isnan(mosaic[2]).all() and np.isnan(mosaic[3:, 3:]).all()


def test_maps_share_the_colours_of_a_channel(monkeypatch):
    seen = []
    monkeypatch.setattr(run_figures, "mosaic", lambda maps: seen.append(maps) or np.zeros((2, 2)))
    run_figures.feature_maps(np.array([[[0.0, 1.0]], [[0.0, 50.0]]]), np.array([[[2.0, 1.0]], [[100.0, 0.0]]]), "HGG")
    np.testing.assert_allclose(seen[0], [[[0, 0.5]], [[0, 0.5]]])
    np.testing.assert_allclose(seen[1], [[[1, 0.5]], [[1, 0]]])
