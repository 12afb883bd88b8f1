import csv

import pytest

from rembrandt_featgen.reporting import run_page, sweep_figures
from tests.reporting.fake_sweep import SWEPT, point

POINTS = SWEPT["points"]


def read(name):
    return list(csv.DictReader(sweep_figures.tables(SWEPT)[name].splitlines()))


def test_table_has_a_row_for_each_point_and_arm():
    rows = read("sweep")
    assert [(row["axis"], row["value"], row["arm"]) for row in rows] == [
        ("implementation", "augmentation", "baseline"),
        ("tap", "conv5", "baseline"),
        ("tap", "uconv1", "baseline"),
        ("gan", "cgan", "augmented"),
        ("filters", "64", "augmented"),
        ("added", "0", "baseline"),
        ("added", "10", "augmented"),
        ("added", "900", ""),
        ("balancing", "4", "augmented"),
        ("added_HGG", "6", "augmented"),
        ("added_LGG", "7", "augmented"),
    ]
    assert rows[0]["unet_test_hard_dice"] == "0.7"
    assert [row["gan"] for row in rows[3:5]] == ["cgan", "acgan"]
    assert [row["paper_class_accuracy"] for row in rows[3:6]] == ["", "0.76", ""]
    ten = rows[6]
    assert [float(ten[name]) for name in ("difference", "difference_ci95_low", "p_adjusted")] == [0.1, 0.0, 0.4]
    assert float(ten["validation_patient_accuracy_HGG"]) == pytest.approx(0.8)
    assert float(ten["test_slice_accuracy_LGG_ci95_high"]) == pytest.approx(0.8)
    assert (ten["added_HGG"], ten["added_LGG"], ten["class_accuracy_by_discriminator"]) == ("5", "5", "0.8")
    assert rows[7]["note"] == "there are <80> synthetic features"
    assert {name for name, value in rows[7].items() if name.startswith("test_") and value} == set()


@pytest.mark.parametrize(
    ("settings", "paper"),
    [({}, 0.823), ({"gan": "infogan"}, None), ({"tap": "uconv1"}, None), ({"ngf": 64}, None), ({"gan": None}, None)],
)
def test_the_papers_class_accuracy_stands_beside_what_is_like_its_own(settings, paper):
    filters = point("filters", "512", [], filters=512)
    filters["settings"] |= settings
    assert sweep_figures.compared({"points": [filters]})["filters"][0]["paper"] == paper


def test_table_of_pretraining():
    rows = read("pretraining")
    assert [(row["start"], row["steps"], row["best_epoch"]) for row in rows] == [
        ("pre-trained", "14", "2"),
        ("scratch", "14", "2"),
    ]
    assert [row["test_hard_dice"] for row in rows] == ["0.7", "0.6"]
    assert [row["difference"] for row in rows] == ["0.1", ""]


@pytest.fixture
def curves(monkeypatch):
    """Curves by the number of added features that are drawn."""
    seen = []
    monkeypatch.setattr(sweep_figures, "_draw_added", lambda found: seen.append(found) or b"png")
    return seen


def test_curves_of_added_features_both_begin_with_none(curves):
    figure = sweep_figures.drawn(SWEPT)["figure_sweep_added"]
    (found,) = curves
    assert {axis: [count for count, _ in points] for axis, points in found.items()} == {
        "added": [0, 10],
        "balancing": [0, 4],
        "added_HGG": [0, 6],
        "added_LGG": [0, 7],
    }
    assert "(10; their balanced" in figure.caption and "chose nothing" in figure.caption


def test_draws_a_figure_for_each_axis():
    found = sweep_figures.drawn(SWEPT)
    assert set(found) == {
        *("figure_11", "figure_sweep_added", "figure_pretraining"),
        *("figure_sweep_origin", "figure_sweep_tap", "figure_sweep_gan"),
    }
    assert all(figure.png.startswith(b"\x89PNG") and len(figure.png) > 9_000 for figure in found.values())
    assert found["figure_sweep_tap"].alt.endswith("source of features: conv5, uconv1.")


def test_a_sweep_of_one_axis_has_its_figures_alone():
    assert set(sweep_figures.drawn({"points": POINTS[:2]})) == {"figure_pretraining"}
    assert set(sweep_figures.tables({"points": POINTS[:2]})) == {"pretraining"}
    assert set(sweep_figures.drawn({"points": POINTS[3:5]})) == {"figure_sweep_tap"}


def test_trials_have_the_same_settings_and_the_metrics_that_were_measured():
    found = sweep_figures.trials(SWEPT)
    assert list(found) == [
        *(
            "start=pre-trained",
            "start=scratch",
            "implementation=augmentation/baseline",
            "tap=conv5/baseline",
            "tap=uconv1/baseline",
            "gan=cgan/augmented",
        ),
        *("filters=64/augmented", "added=0/baseline", "added=10/augmented", "balancing=4/augmented"),
        *("added_HGG=6/augmented", "added_LGG=7/augmented"),
    ]
    assert len({tuple(settings) for settings, *_ in found.values()}) == 1
    settings, measured, curves = found["balancing=4/augmented"]
    assert settings == {
        **{
            "axis": "balancing",
            "start": "",
            "implementation": "correct",
            "tap": "conv5",
            "gan": "acgan",
            "filters": "64",
        },
        "arm": "augmented",
        **{"added_HGG": 0, "added_LGG": 4},
    }
    assert measured["test/balanced_accuracy_per_patient"] == pytest.approx(0.6)
    assert measured["validation/patient_log_loss"] == 0.55
    assert measured["test/hard_dice"] == 0.7
    assert curves == {}  # those of the run's GAN
    assert found["filters=64/augmented"][2]["fake_class_accuracy"] == [0.5, 0.8]
    assert found["start=pre-trained"][1]["test/hard_dice"] == 0.7
    assert found["start=pre-trained"][2]["val_hard_dice"] == [0.4, 0.7]


def test_page_tells_every_point():
    page = run_page.render({"sweep": SWEPT}, sweep_figures.drawn(SWEPT))
    assert 'href="#sweeps"' in page and "Validation patients chose." in page
    assert "there are &lt;80&gt; synthetic features" in page
    for axis in sweep_figures.AXES.values():
        assert axis in page
    assert page.count("<figure>") == 6
    assert page.count("<small>paper 0.760</small>") == 1
    assert page.count("differences are to adding none") == 4
    assert 'href="#sweeps"' not in run_page.render({}, {})
