import pytest

from rembrandt_featgen.reporting import study_figures, study_plots
from tests.reporting import fake_study
from tests.reporting.pages import damaged

PLOTS = {"forest": "forest", "folds": "fold_strip", "amounts": "amount_curves", "reliability": "reliability_diagrams"}
PLOTS["power"] = "power_curve"


@pytest.fixture
def given(monkeypatch):
    """What each plot is given, instead of drawing it."""
    seen = {}
    for name, plot in PLOTS.items():
        monkeypatch.setattr(study_plots, plot, lambda *a, _name=name: seen.update({_name: a}) or b"png")
    return seen


def test_draws_them_all():
    figures = study_figures.draw(fake_study.thin())
    assert list(figures) == list(PLOTS)
    assert all(figure.png.startswith(b"\x89PNG") and figure.alt and figure.caption for figure in figures.values())


def test_draws_nothing_from_nothing():
    assert study_figures.draw({}) == {}


@pytest.mark.parametrize(
    ("figure", "key"), [("amounts", "amount_curve"), ("reliability", "reliability"), ("power", "power")]
)
def test_what_is_missing_is_not_drawn(given, figure, key):
    assert set(PLOTS) - set(study_figures.draw(fake_study.make(**{key: None}))) == {figure}


def test_forest_has_all_arms_by_kind_with_the_reference_and_who_helped(given):
    alt = study_figures.draw(fake_study.make({"infogan": 0.12}))["forest"].alt
    rows = {row.name: row for row in given["forest"][0]}
    assert list(rows) == [arm for names in fake_study.ARMS.values() for arm in names]
    assert rows["smote"].note == "the reference" and rows["smote"].difference == (None, None, None)
    assert [name for name, row in rows.items() if row.helped] == ["infogan"]
    assert rows["baseline"].value == (0.62, 0.55, 0.69)
    assert "15 arms" in alt and "classical, best smote 0.702" in alt and "generative, best infogan 0.795" in alt


def test_folds_know_their_seeds(given):
    study_figures.draw(fake_study.make())
    runs, chance = given["folds"]
    assert chance == 0.5
    assert len(runs) == 15
    assert [seed for _, seed in runs["smote"]] == [0] * 5 + [1] * 5 + [2] * 5


def test_amounts_are_beside_the_reference(given):
    alt = study_figures.draw(fake_study.make())["amounts"].alt
    curves, kinds, level = given["amounts"]
    assert set(kinds.values()) == {"generative"}
    assert level == 0.702
    assert curves["gaussian"][0] == ("0.25", 0.62, 0.55, 0.74)
    assert "diffusion 0.708 at balance" in alt


def test_reliability_has_the_error_and_kind_of_the_patient_row(given):
    report = fake_study.make()
    study_figures.draw(report)
    row = next(row for row in report["arms"] if (row["arm"], row["unit"]) == ("vae", "patient"))
    diagram = given["reliability"][0]["vae"]
    assert (diagram.kind, diagram.ece, len(diagram.bins)) == ("generative", row["ece"], 10)


def test_power_says_what_was_detected(given):
    figure = study_figures.draw(fake_study.make(power_rule="Detected: above chance."))["power"]
    assert given["power"] == ([(50, 0.31), (100, 0.58), (170, 0.8), (300, 0.96)], 170)
    assert figure.caption.startswith("Detected: above chance. Dashed")
    assert "50 patients 0.31" in figure.alt


@pytest.mark.parametrize("change", ["missing", None, float("nan")])
def test_bears_whatever_is_missing(given, change):
    for path, report in damaged(fake_study.thin(), change):
        try:
            study_figures.draw(report)
        except Exception as error:
            raise AssertionError(f"fails without {path}") from error
