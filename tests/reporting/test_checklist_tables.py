"""The page and the checklists of a study whose features were made elsewhere speak of no volume, slice or U-Net."""

import copy
import re

import pytest

from rembrandt_featgen.reporting import checklist, records, study_page
from rembrandt_featgen.reporting.checklist_answers import AUTHORS, NOT_DONE, PARTLY
from tests.reporting import fake_study
from tests.reporting.pages import Page, damaged

OF_VOLUMES = re.compile(r"volume|slice|U-Net|NIfTI|mask|modalit|\bscanner|not recorded|unrecorded", re.IGNORECASE)


def table_study(shape=(720,), samples=170, **validation):
    """A study of 170 patients of whom a file held features."""
    report = fake_study.thin()
    del report["segmentation"]
    report["cohort"] = {
        "patients": dict(fake_study.PATIENTS),
        "samples": samples,
        "groups": 170,
        "numbers": list(shape),
        "missing": 7133,
        "source": "gbm.csv",
        "sites": {},
    }
    report["cross_validation"] = {
        "plan": "k-fold", "folds": 5, "repeats": 1, "seeds": 1, "runs": 5, "validation_fraction": 0.25, **validation
    }  # fmt: skip
    report["settings"] = {"features": "gbm.csv", "components": 0, "inner_folds": 3}
    report["tuning"] = {"cnn/none": {"1": 5}}
    return report


def answers(report):
    return {item.number: item for item in checklist.tripod(report)} | {
        f"CLAIM {item.number}": item for item in checklist.claim(report)
    }


@pytest.mark.parametrize("shape", [(720,), (6, 6, 128)])
def test_no_answer_speaks_of_volumes(shape):
    for number, item in answers(table_study(shape)).items():
        assert not OF_VOLUMES.search(item.answer), (number, item.answer)
        assert item.answer.startswith("to be filled in by the authors: ") == (item.status == AUTHORS)
        assert item.answer.startswith("not done: ") == (item.status == NOT_DONE)


def test_studies_of_volumes_keep_their_words():
    of_volumes = answers(fake_study.make())
    assert of_volumes["7"].answer.startswith("Volumes cut into axial slices")
    of_run = table_study()
    of_run["settings"]["features"] = ""  # features of the run itself
    assert "Volumes cut" in answers(of_run)["7"].answer and not records.made_elsewhere(of_run)


def test_missing_values_are_imputed_by_training_medians():
    said = answers(table_study())
    for number in ("CLAIM 12", "11"):
        assert (
            "7133 values" in said[number].answer and "median of its column in the training part" in said[number].answer
        )
        assert said[number].status == PARTLY
    assert any("standardised and stop at 20 deviations" in one.answer for one in said.values())
    assert "median" in said["27a"].answer and "imputes nothing" not in said["27a"].answer
    assert "constant in training becomes 0" in said["12b"].answer
    assert "stop the program" in answers(table_study((6, 6, 128)))["11"].answer


@pytest.mark.parametrize(
    ("changes", "groups", "said", "kept"),
    [
        ({}, 170, "5-fold cross-validation by patient", "all samples of a patient"),
        ({}, 150, "5-fold cross-validation by group", "all patients of a group"),
        ({"plan": "sites"}, 170, "Each of 5 sites is tested once", "all patients of a site"),
        ({"plan": "hold-out", "folds": 1}, 170, "One part of the patients is tested", "all samples of a patient"),
    ],
)
def test_what_no_split_divides(changes, groups, said, kept):
    report = table_study(**changes)
    report["cohort"]["groups"] = groups
    assert said in answers(report)["12a"].answer
    assert f"kept together {kept} share" in Page(study_page.render(report, {})).text


def test_patients_who_are_never_tested_are_told_apart():
    report = table_study(plan="hold-out", folds=1)
    assert "rests on the" not in Page(study_page.render(report, {})).text
    for row in report["arms"]:
        row["n"] = {"HGG": 40, "LGG": 25}
    words = Page(study_page.render(report, {})).text
    assert "patients tested 40 25 65" in words and "rests on the 65 patients who are tested" in words


def with_control():
    """A study beside whose arms there is a control, better than all of them."""
    report = table_study()
    none = next(row for row in report["arms"] if row["arm"] == fake_study.REFERENCE)
    report["arms"].append({**copy.deepcopy(none), "arm": "copy", "kind": "control", "auroc": 0.99})
    return report


def test_controls_are_no_competitors():
    said = answers(with_control())
    for number in ("CLAIM 37", "CLAIM 38", "23a"):
        assert "copy" not in said[number].answer and "0.99" not in said[number].answer
    report = with_control() | {"contrasts": []}
    assert "copy" not in answers(report)["CLAIM 37"].answer
    text = Page(study_page.render(report, {})).text
    assert "Highest AUROC of all arms" in text and "0.990 [" not in text[: text.index("What was done")]


def test_sites_are_not_said_to_be_mixed_where_they_are_held_out():
    report = table_study(plan="sites", folds=3)
    report["cohort"]["sites"] = {"Leeds": 24, "Lund": 33, "Lyon": 31}
    said = answers(report)
    assert said["12d"].status == said["23b"].status == PARTLY
    assert "3 sites" in said["12d"].answer and "3 sites say little of new ones" in said["CLAIM 33"].answer
    report["cross_validation"]["plan"] = "k-fold"
    assert "mixed" in answers(report)["12d"].answer and "mixed" in answers(report)["23b"].answer
    report["cohort"]["sites"] = {}
    assert answers(report)["12d"].answer == "not done: no sites of patients were given."


def test_folds_are_recorded_in_the_predictions():
    said = answers(table_study())
    assert said["20c"].status == said["21"].status == PARTLY
    assert "predictions.csv names the patients whom each run tested" in said["20c"].answer
    assert said["21"].answer.startswith("170 patients (108 HGG, 62 LGG) are tested, by 5 runs in all, and by all arms")


def test_what_classes_and_classifiers_are():
    report = table_study()
    report["settings"]["label_column"] = "grade"
    assert "as the column grade gives it" in answers(report)["8a"].answer
    for row in report["arms"]:
        row["classifier"] = "mlp@10"
    assert answers(report)["CLAIM 25"].answer.startswith("mlp@10: a perceptron of one hidden layer")
    report["settings"]["classifier_epochs"] = 50
    assert "classifier_epochs" not in Page(study_page.render(report, {})).text.split("Methods, in a paragraph")[0]
    assert "as given with the features" in answers(table_study())["8a"].answer


def test_samples_are_tabled_only_where_a_patient_has_several():
    assert "Each row counts samples" not in Page(study_page.render(table_study(), {})).text
    several = Page(study_page.render(table_study(samples=340), {})).text
    assert "All measures, per sample" in several and "Each row counts samples; many" in several
    words = several[several.index("What was done") : several.index("Methods & provenance", several.index("checklist"))]
    assert "slice" not in words


def test_without_contrasts_the_reference_of_the_first_classifier_is_shown():
    report = table_study()
    best = next(row for row in report["arms"] if row["arm"] == fake_study.REFERENCE)
    report["arms"].insert(0, copy.deepcopy(best) | {"arm": "plain", "classifier": "mlp", "auroc": 0.9})
    report["reference"] |= {"classifier": "cnn", "by_classifier": {"cnn": fake_study.REFERENCE, "mlp": "plain"}}
    report["contrasts"] = []
    text = Page(study_page.render(report, {})).text
    assert f"Reference, real samples alone 0.680 [0.610, 0.750] {fake_study.REFERENCE}, cnn" in text
    assert "Highest AUROC of all arms 0.900 [0.610, 0.750] plain, mlp" in text


@pytest.mark.parametrize("change", ["missing", None, float("nan")])
def test_bears_whatever_is_missing(change):
    for path, report in damaged(table_study(), change):
        for item in answers(report).values():
            assert "None" not in item.answer and "nan" not in item.answer, (path, item)
        study_page.render(report, {})
