import copy

from rembrandt_featgen.reporting import contrast_words
from tests.reporting import fake_study

REPORT = fake_study.make({"infogan": 0.12}, classifiers=("cnn", "linear"))


def test_the_pair_of_the_verdict_is_told_and_not_the_best_by_result():
    report = copy.deepcopy(REPORT)
    better = next(row for row in report["arms"] if (row["arm"], row["unit"]) == ("vae", "patient"))
    better["auroc"] = 0.99
    said = contrast_words.compared(report)
    assert said.startswith(
        "AUROC per patient 0.762 without generation (most often cnn/smote in 19 of 25 tasks) and 0.855"
    )
    assert said.endswith("difference +0.093 [+0.033, +0.153]")
    named = [(row["classifier"], row["arm"]) for row in contrast_words.rows_of_best(report)]
    assert named == [("cnn", "smote"), ("cnn", "infogan")]


def test_without_contrasts_the_references_are_told():
    report = {**REPORT, "contrasts": []}
    assert contrast_words.compared(report) == ""
    named = [(row["classifier"], row["arm"]) for row in contrast_words.rows_of_best(report)]
    assert named == [("cnn", "none"), ("linear", "none")]
    assert contrast_words.conclusion({**report, "verdict": "No generative arm was tested."}).startswith("No generative")


def test_a_difference_without_an_interval_is_told_as_such():
    report = copy.deepcopy(REPORT)
    contrast_words.best(report)["difference"]["ci95"] = None
    assert contrast_words.compared(report).endswith("difference +0.093, without an interval")


def test_conclusion():
    said = contrast_words.conclusion(REPORT)
    assert said.startswith(
        "Generated samples helped the pipeline that validation patients choose: AUROC per patient 0.762 without"
    )
    assert said.endswith("[+0.033, +0.153]; 170 patients tested.")
