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


def test_forest_has_all_arms_by_kind_with_the_reference_and_what_differs(given):
    alt = study_figures.draw(fake_study.make({"infogan": 0.12, "gaussian": -0.1}))["forest"].alt
    rows = {row.name: row for row in given["forest"][0]}
    assert list(rows) == [arm for names in fake_study.ARMS.values() for arm in names]
    assert rows["none"].note == "the reference" and rows["none"].difference == (None, None, None)
    assert [name for name, row in rows.items() if row.apart] == ["mixup", "smote", "gaussian", "infogan", "diffusion"]
    assert rows["none"].value == pytest.approx((0.68, 0.61, 0.75))
    assert "15 arms" in alt and "classical, best smote 0.762" in alt and "generative, best infogan 0.855" in alt


def test_forest_is_filled_by_the_bounds_of_all_arms_at_once_alone(given):
    report = fake_study.make()
    study_figures.draw(report)
    row = next(row for row in report["arms"] if (row["arm"], row["unit"]) == ("infogan", "patient"))["difference"]
    drawn = next(one for one in given["forest"][0] if one.name == "infogan")
    assert row["ci95"][0] > 0 > row["simultaneous95"][0]
    assert not drawn.apart
    assert drawn.difference == (row["difference"], *row["simultaneous95"]) and list(drawn.alone) == row["ci95"]
    assert drawn.note == f"p {row['p_adjusted']:.3f}"


def test_each_classifier_has_its_forest_and_all_the_same_axes(monkeypatch):
    seen = []
    monkeypatch.setattr(study_plots, "forest", lambda rows, headings, limits: seen.append((rows, limits)) or b"png")
    report = fake_study.make(classifiers=("mlp", "cnn", "ridge"))
    report["reference"]["classifier"] = "cnn"
    figures = study_figures.draw(report)
    assert [name for name in figures if name.startswith("forest")] == ["forest", "forest_mlp", "forest_ridge"]
    assert [rows[0].value[0] for rows, _ in seen] == pytest.approx([0.66, 0.68, 0.64])
    assert all(len(rows) == 15 for rows, _ in seen) and len({limits for _, limits in seen}) == 1
    assert "15 arms of ridge" in figures["forest_ridge"].alt and figures["forest"].caption.startswith("Arms of cnn.")
    assert figures["folds"].caption.startswith("Classifier: cnn. ") and "15 arms" in figures["folds"].alt
    assert figures["amounts"].caption.startswith("Classifier: cnn. ")


def test_folds_and_amounts_say_that_they_are_not_of_auroc():
    figures = study_figures.draw(fake_study.thin())
    assert all("(not AUROC)" in figures[name].caption for name in ("folds", "amounts"))


def test_folds_know_their_seeds(given):
    study_figures.draw(fake_study.make())
    runs, chance = given["folds"]
    assert chance == 0.5
    assert len(runs) == 15
    assert [seed for _, seed in runs["smote"]] == [seed for seed in range(5) for _ in range(5)]


def test_amounts_are_beside_the_reference(given):
    alt = study_figures.draw(fake_study.make())["amounts"].alt
    curves, kinds, level = given["amounts"]
    assert set(kinds.values()) == {"generative"}
    assert level == 0.62
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
