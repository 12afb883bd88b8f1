import pytest

from rembrandt_featgen.reporting import study_methods, study_page
from tests.reporting import fake_study
from tests.reporting.pages import Page, damaged
from tests.reporting.test_checklist_tables import table_study


def study():
    """A study of a table, by two classifiers, one of which is not tuned."""
    whole = fake_study.make({"infogan": 0.12}, classifiers=("ridge", "mlp@10"))
    kept = {key: whole[key] for key in ("arms", "contrasts", "margin", "reference")}
    report = table_study() | kept | {"versions": {"rembrandt_featgen": "0.2", "numpy": "1.26"}, "commit": "abc"}
    report["settings"]["bootstrap_draws"] = 2000
    return report


@pytest.mark.parametrize(
    "wanted",
    [
        "We studied 170 patients (108 HGG, 62 LGG).",
        "Features were 720 numbers of each sample; missing ones were replaced by the median",
        "Design: 5-fold cross-validation by patient, stratified by class; 25% of the patients that are not tested",
        "mlp@10, a perceptron of one hidden layer with weight decay; ridge, multinomial logistic regression",
        "by 3-fold inner cross-validation over training patients; that of mlp@10 was fixed",
        "real samples alone (none); without a generator (class_weights, ",
        "with generated samples (gaussian, ",
        "In each task validation patients chose, by log loss, one pipeline without generation and one with it",
        "new patients (bootstrap within classes, 2000 resamples) and new trainings (5 trainings)",
        "two one-sided tests within 0.05 of AUROC",
        "Software: rembrandt_featgen 0.2 (commit abc).",
    ],
)
def test_tells_what_was_done(wanted):
    assert wanted in study_methods.paragraph(study())
    assert wanted in Page(study_page.render(study(), {})).text


def test_tells_nothing_that_is_not_recorded():
    assert study_methods.paragraph({}) == "Software: rembrandt_featgen."
    nothing = study() | {"contrasts": []}
    assert "pipeline" not in study_methods.paragraph(nothing)
    fixed = study()
    fixed["arms"] = [row for row in fixed["arms"] if row["classifier"] == "mlp@10"]
    said = study_methods.paragraph(fixed)
    assert "Regularisation was tuned" not in said and "fixed at the number in the name" in said


@pytest.mark.parametrize("change", ["missing", None, float("nan")])
def test_bears_whatever_is_missing(change):
    for path, report in damaged(table_study(), change):
        assert "None" not in study_methods.paragraph(report) and "nan" not in study_methods.paragraph(report), path
