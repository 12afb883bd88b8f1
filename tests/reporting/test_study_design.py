import copy

import pytest

from rembrandt_featgen.reporting import study_design
from tests.reporting import fake_study
from tests.reporting.pages import damaged

REPORT = fake_study.make()


def divided(**changes):
    report = copy.deepcopy(REPORT)
    report["cross_validation"] |= changes
    return study_design.division(report)


def test_each_plan_has_its_sentence():
    shares = "20% of the patients that are not tested choose settings (validation)."
    assert divided() == f"5-fold cross-validation by patient, stratified by class, with 5 seeds each; {shares}"
    assert divided(repeats=3).startswith("3 times 5-fold cross-validation")
    assert divided(plan="hold-out") == (
        f"One part of the patients is tested, divided by patient, with 5 seeds each; {shares}"
    )
    assert divided(plan="sites", grouping=None, folds=4, seeds=1).startswith(
        "Each of 4 sites is tested once by what was learnt from the other sites; 20%"
    )
    assert divided(folds=None) == study_design.division({}) == ""


def test_patients_tested_are_told_apart_from_the_cohort():
    assert study_design.tested_of_more(REPORT) is None and study_design.tested(REPORT) == {"HGG": 108, "LGG": 62}
    report = copy.deepcopy(REPORT)
    for row in report["arms"]:
        row["n"] = {"HGG": 40, "LGG": 25}
    assert study_design.tested_of_more(report) == {"HGG": 40, "LGG": 25}


def test_repetitions():
    assert study_design.repetitions(REPORT) == ["5 seeds"]
    assert study_design.repetitions({"cross_validation": {"repeats": 5}}) == ["5 divisions of the patients"]


@pytest.mark.parametrize("change", ["missing", None, float("nan")])
def test_bears_whatever_is_missing(change):
    for path, report in damaged(REPORT, change):
        for said in (study_design.division(report), *study_design.repetitions(report)):
            assert "None" not in said and "nan" not in said, path
