import copy
import re

import pytest

from rembrandt_featgen.reporting import checklist
from rembrandt_featgen.reporting.checklist_answers import AUTHORS, NOT_DONE, PARTLY, REPORTED, STATUSES
from tests.reporting import fake_study
from tests.reporting.pages import damaged

TRIPOD = (
    "1", "2", "3a", "3b", "3c", "4", "5a", "5b", "6a", "6b", "6c", "7", "8a", "8b", "8c", "9a", "9b", "9c", "10", "11",
    "12a", "12b", "12c", "12d", "12e", "12f", "12g", "13", "14", "15", "16", "17", "18a", "18b", "18c", "18d", "18e",
    "18f", "19", "20a", "20b", "20c", "21", "22", "23a", "23b", "24", "25", "26", "27a", "27b", "27c",
)  # fmt: skip
REPORT = fake_study.make()


def claim(report, number):
    return next(item for item in checklist.claim(report) if item.number == str(number))


def tripod(report, number):
    return next(item for item in checklist.tripod(report) if item.number == number)


def without(key, inner=None):
    report = copy.deepcopy(REPORT)
    if inner:
        del report[key][inner]
    else:
        del report[key]
    return report


def prepared(**preparation):
    report = copy.deepcopy(REPORT)
    report["cohort"]["preparation"] = preparation
    return claim(report, 9).answer


def test_preprocessing_is_what_was_done_to_volumes():
    of_training = "intensities minus the mean, divided by the standard deviation, of each run's training patients."
    assert prepared(normalise="cohort", crop="none", fit="crop", size=96, slices_in=1).startswith(
        f"Volumes cut into axial slices; cropped or padded to 96 x 96 pixels; {of_training}"
    )
    said = prepared(normalise="volume", crop="foreground", fit="resize", size=128, slices_in=3)
    assert said.startswith("Volumes cut into axial slices; cropped to the foreground; shrunk where larger, and padded ")
    assert "to 128 x 128 pixels; each volume clipped to percentiles and z-scored" in said and of_training not in said
    assert "each slice with its two neighbours." in said
    either = prepared(normalise="cohort or volume", crop="foreground or none", fit="resize", size="96 or 128")
    assert "cropped to the foreground in some of the runs; " in either and "to 96 x 96 or 128 x 128 pixels; " in either
    assert f"z-scored over its foreground, or {of_training}" in either
    assert of_training in claim(REPORT, 9).answer  # of a study before there was a choice


def test_training_is_told_in_steps_where_steps_decided():
    of_steps = claim({**REPORT, "settings": {**REPORT["settings"], "unet_steps": 3000}}, 25).answer
    assert "unet_steps 3000" in of_steps and "unet_epochs" not in of_steps


def test_every_item_is_there_once():
    assert [item.number for item in checklist.claim(REPORT)] == [str(i) for i in range(1, 45)]
    assert [item.number for item in checklist.tripod(REPORT)] == list(TRIPOD)


@pytest.mark.parametrize("report", [REPORT, {}], ids=["whole", "empty"])
def test_every_item_has_an_answer_that_fits_its_status(report):
    for item in [*checklist.claim(report), *checklist.tripod(report)]:
        assert item.status in STATUSES and item.title and item.section
        assert item.answer.startswith("to be filled in by the authors: ") == (item.status == AUTHORS)
        assert item.answer.startswith("not done: ") == (item.status == NOT_DONE)
        assert "None" not in item.answer and "  " not in item.answer


@pytest.mark.parametrize(
    ("item", "status", "parts"),
    [
        (claim(REPORT, 28), REPORTED, ("AUROC", "Segmentation, per volume: Dice, Mean surface distance, mm.")),
        (claim(REPORT, 39), PARTLY, ("TCGA-CS-4941 0.02", "TCGA-FG-5963 0.21")),
        (claim(without("segmentation"), 39), NOT_DONE, ("not examined",)),
        (claim(REPORT, 4), REPORTED, ("best pipeline that generates nothing", "AUROC per patient")),
        (claim(REPORT, 7), PARTLY, ("TCGA-GBM and TCGA-LGG, FLAIR", "170 patients (108 HGG, 62 LGG)", "4 sites")),
        (claim(REPORT, 10), PARTLY, ("flair", "conv5")),
        (claim(REPORT, 19), REPORTED, ("5-fold", "by patient", "5 seeds", "20%")),
        (claim(REPORT, 20), REPORTED, ("By patient",)),
        (claim(REPORT, 21), PARTLY, ("the reference none above chance at all", "0.58 with 100 patients")),
        (claim(REPORT, 22), REPORTED, ("infogan", "cnn", "tap conv5", "thresholds", "amounts")),
        (claim(REPORT, 23), REPORTED, ("tensorflow 2.15.1",)),
        (claim(REPORT, 25), REPORTED, ("unet_epochs 30", "augment True")),
        (claim(REPORT, 28), REPORTED, ("AUROC", "ECE", "reliability")),
        (
            claim(REPORT, 29),
            REPORTED,
            ("bootstrap over patients and trainings", "adjusted for all arms", "Of ECE less"),
        ),
        (tripod(REPORT, "12d"), NOT_DONE, ("patients of all sites were mixed",)),
        (claim(REPORT, 30), PARTLY, ("5 seeds", "2 of 3 passed")),
        (claim(REPORT, 31), NOT_DONE, ()),
        (claim(REPORT, 33), NOT_DONE, ()),
        (claim(REPORT, 2), PARTLY, ("remained undecided: AUROC per patient 0.762 without", "170 patients tested.")),
        (
            claim(REPORT, 37),
            PARTLY,
            ("0.762 without generation (most often cnn/smote in 19 of 25 tasks) and 0.747 with",),
        ),
        (claim(REPORT, 37), PARTLY, ("smote 0.762 [0.692, 0.832]", "diffusion 0.747 [0.677, 0.817]")),
        (claim(REPORT, 38), REPORTED, ("smote HGG 0.7", "diffusion HGG 0.7")),
        (claim(REPORT, 40), PARTLY, ("Only 62 patients are LGG",)),
        (claim(REPORT, 44), AUTHORS, ("funding",)),
        (tripod(REPORT, "14"), NOT_DONE, ()),
        (tripod(REPORT, "15"), REPORTED, ("chosen on validation patients",)),
        (tripod(REPORT, "21"), REPORTED, ("25 runs: train 108, validation 27, test 35",)),
        (tripod(REPORT, "25"), PARTLY, ("Undecided: this study cannot tell", "Fairness: not examined")),
    ],
    ids=lambda value: getattr(value, "number", ""),
)
def test_answers_come_from_the_records(item, status, parts):
    assert item.status == status
    assert all(part in item.answer for part in parts), item.answer


@pytest.mark.parametrize(
    ("report", "number", "status"),
    [
        (without("cohort", "source"), 7, AUTHORS),
        (without("cohort"), 35, AUTHORS),
        (without("cross_validation"), 19, AUTHORS),
        (without("cross_validation", "grouping"), 20, AUTHORS),
        (without("power"), 21, NOT_DONE),
        (without("versions"), 23, AUTHORS),
        (without("settings"), 25, AUTHORS),
        (without("arms"), 28, NOT_DONE),
        (without("arms"), 37, NOT_DONE),
        (without("warnings"), 40, AUTHORS),
        (without("verdict_rule"), 4, PARTLY),
    ],
)
def test_claims_nothing_that_is_not_recorded(report, number, status):
    assert claim(report, number).status == status


def test_fresh_patients_are_not_said_to_be_tested_out_of_fold():
    report = copy.deepcopy(REPORT)
    report["cross_validation"] |= {"plan": "fresh", "folds": 1, "repeats": 5, "seeds": 2}
    said = claim(report, 32).answer
    assert said.startswith(
        "The same fresh patients, from whom nothing is ever learnt, are tested 5 times, each time by "
    )
    assert said.endswith("with 2 seeds each; 20% of the patients that are learnt from choose settings (validation).")
    assert "out of fold" not in said and "cross-validation" not in said


def test_power_is_said_to_be_of_what_it_is():
    report = copy.deepcopy(REPORT)
    report["power_of_differences"] = [
        {"patients": n, "difference": gap, "power": gap * n / 100} for n in (100, 170) for gap in (0.05, 0.1)
    ]
    said = claim(report, 21).answer
    assert "between the best pipelines with the 170 patients tested: 0.09 if it is 0.05, 0.17 if it is 0.10." in said
    assert "0.05 if" not in said
    del report["power"]
    assert claim(report, 21).status == PARTLY and "chance" not in claim(report, 21).answer


def test_the_commit_is_told_where_it_is_recorded():
    assert claim({**REPORT, "commit": "abc"}, 23).answer.endswith("; commit abc of the program.")
    assert "commit" not in claim(REPORT, 23).answer


def test_sites_held_out_are_partly_external():
    report = copy.deepcopy(REPORT)
    report["cross_validation"]["grouping"] = "site"
    assert claim(report, 33).status == tripod(report, "12d").status == PARTLY
    assert "all patients of a site" in claim(report, 20).answer
    assert "as far as sites allow" in claim(report, 19).answer


def test_without_tests_no_tests_are_claimed():
    report = copy.deepcopy(REPORT)
    for row in report["arms"]:
        row["difference"] = None
    assert "no tests were recorded" in claim(report, 29).answer


def test_sources_are_cited():
    assert "e200029" in checklist.CLAIM_SOURCE and "e240300" in checklist.CLAIM_SOURCE
    assert "e078378" in checklist.TRIPOD_SOURCE


@pytest.mark.parametrize("change", ["missing", None, float("nan")])
def test_bears_whatever_is_missing(change):
    for path, report in damaged(fake_study.thin(), change):
        for item in [*checklist.claim(report), *checklist.tripod(report)]:
            assert "None" not in item.answer and "nan" not in item.answer, (path, item)


def of_settings(**settings):
    """Answers on predictors and on the parts of the data, with settings of their own."""
    report = copy.deepcopy(REPORT)
    report["settings"] |= settings
    return f"{tripod(report, '9b').answer} {claim(report, 10).answer}"


def test_a_unet_that_learns_classes_is_not_said_to_see_none():
    assert "The U-Net does not see classes." in of_settings(unet_class_weight=0.0)
    said = of_settings(unet_class_weight=0.05)
    assert "learns the classes of training patients, too (unet_class_weight 0.05)" in said and "not see" not in said


def test_features_are_called_what_they_are():
    assert "activations of block conv5 of a U-Net" in of_settings(tap="conv5")
    crops = of_settings(tap="crop_cnn")
    assert "a CNN of crops around the tumour" in crops and "block" not in crops and "The CNN of crops learns" in crops
    vectors = of_settings(tap=None, vectors="both", vector_taps=["conv3", "conv4"])
    assert "blocks conv3, conv4 of a U-Net trained to segment the tumour, pooled" in vectors
    assert "numbers of shape" in vectors and "not recorded" not in vectors
    assert "pooled" not in of_settings(tap=None, vectors="numbers") and "shape" not in of_settings(vectors="taps")


@pytest.mark.parametrize(
    "changes",
    [{}, {"grouping": "site"}, {"plan": "fresh"}, {"plan": "hold-out"}, {"repeats": 3}, {"validation_fraction": None}],
    ids=lambda changes: next(iter(changes), "as it is"),
)
@pytest.mark.parametrize("settings", [{}, {"tap": "crop_cnn", "unet_class_weight": 0.1, "unet_weights": "a.npz"}])
def test_sentences_are_apart(changes, settings):
    """A space after each full stop that ends a sentence, and none before."""
    report = copy.deepcopy(REPORT)
    report["cross_validation"] |= changes
    report["settings"] |= settings
    for item in [*checklist.claim(report), *checklist.tripod(report)]:
        assert not re.search(r"[a-z0-9)]\.[A-Z]|[a-z)][,;:][A-Za-z]|\.\.| [.,;:]|  ", item.answer), item
