import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.reporting import run_page, sweep_figures, sweep_tables
from tests.reporting.fake_sweep import SWEPT

CLASSES = Classes.of(("LGG", "HGG"))
POINTS = SWEPT["points"]


@pytest.fixture
def curves(monkeypatch):
    """Curves by the number of added features that are drawn."""
    seen = []
    monkeypatch.setattr(sweep_figures, "_draw_added", lambda found, names: seen.append(found) or b"png")
    return seen


def test_curves_of_added_features_both_begin_with_none(curves):
    figure = sweep_figures.draw(SWEPT, CLASSES)["figure_sweep_added"]
    (found,) = curves
    assert {axis: [count for count, _ in points] for axis, points in found.items()} == {
        "Added to all classes": [0, 10],
        "Added to the minority class": [0, 4],
        "Added to HGG alone": [0, 6],
        "Added to LGG alone": [0, 7],
    }
    assert "(10; their balanced" in figure.caption and "chose nothing" in figure.caption


def test_draws_a_figure_for_each_axis():
    found = sweep_figures.draw(SWEPT, CLASSES)
    assert set(found) == {
        "figure_11",
        "figure_sweep_added",
        "figure_pretraining",
        "figure_sweep_implementation",
        "figure_sweep_tap",
        "figure_sweep_gan",
    }
    assert all(figure.png.startswith(b"\x89PNG") and len(figure.png) > 9_000 for figure in found.values())
    assert found["figure_sweep_tap"].alt.endswith("source of features: conv5, uconv1.")


def test_a_sweep_of_one_axis_has_its_figures_alone():
    assert set(sweep_figures.draw({"points": POINTS[:2]}, CLASSES)) == {"figure_pretraining"}
    assert set(sweep_tables.tables({"points": POINTS[:2]}, CLASSES)) == {"pretraining"}
    assert set(sweep_figures.draw({"points": POINTS[3:5]}, CLASSES)) == {"figure_sweep_tap"}


def test_page_tells_every_point():
    page = run_page.render({"classes": CLASSES.record, "sweep": SWEPT}, sweep_figures.draw(SWEPT, CLASSES))
    assert 'href="#sweeps"' in page and "Validation patients chose." in page
    assert "there are &lt;80&gt; synthetic features" in page
    for axis in sweep_tables.axes(CLASSES.names).values():
        assert axis in page
    assert page.count("<figure>") == 6
    assert page.count("<small>paper 0.760</small>") == 1
    assert page.count("differences are to adding none") == 4
    assert 'href="#sweeps"' not in run_page.render({}, {})
