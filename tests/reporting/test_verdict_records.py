import math

import pytest

from rembrandt_featgen.evaluation.contrasts import BEST
from rembrandt_featgen.measures.differences import WORDS
from rembrandt_featgen.reporting import verdict_records
from tests.reporting import fake_study

ALL = fake_study.ARMS["generative"]
OF_WORDS = {
    "helped": {"gains": {"vae": 0.2}},
    "harmed": {"gains": dict.fromkeys(ALL, -0.1)},
    "equivalent": {"gains": {"diffusion": 0.015}, "error": 0.015},
    "undecided": {},
}


@pytest.mark.parametrize("word", WORDS)
def test_the_word_stands_above_its_sentence_and_gives_the_colour(word):
    report = fake_study.make(**OF_WORDS[word])
    assert verdict_records.word(report) == verdict_records.tone(report) == report["verdict_word"] == word
    sentence = verdict_records.sentence(report)
    assert report["verdict"].startswith(f"{word.capitalize()}: ")
    assert report["verdict"].lower() == f"{word}: {sentence}".lower() and sentence[0].isupper()


@pytest.mark.parametrize("changes", [{"verdict_word": None}, {"verdict_word": "better"}, {"contrasts": []}])
def test_no_word_no_colour(changes):
    report = fake_study.make({"vae": 0.2}, **changes)
    assert (verdict_records.word(report), verdict_records.tone(report)) == ("", "open")
    assert verdict_records.sentence(report) == report["verdict"]


def test_of_a_run_whose_contrasts_are_not_recorded_the_word_counts():
    report = {"verdict_word": "undecided", "verdict": "One training alone."}
    assert verdict_records.word(report) == "undecided"
    assert verdict_records.sentence(report) == "One training alone."
    assert verdict_records.sentence({}) == ""


def test_the_best_pipeline_comes_first():
    contrasts = [{"question": "cnn"}, {"question": "mlp"}, {"question": BEST}, None]
    found = verdict_records.compared({"contrasts": contrasts})
    assert [one["question"] for one in found] == [BEST, "cnn", "mlp"]
    assert verdict_records.compared({"contrasts": None}) == []


def test_pipelines_chosen_most_often():
    side = {"chosen": {"mlp/none": 2, "mlp/smote/1": 5, "ridge/none": None}}
    assert verdict_records.chosen(side) == [("mlp/smote/1", 5), ("mlp/none", 2)]
    assert verdict_records.most_chosen(side) == "mlp/smote/1 in 5 of 7 tasks"
    assert verdict_records.most_chosen({"chosen": {"mlp/none": 1}}) == "mlp/none in 1 of 1 task"
    assert verdict_records.most_chosen({"chosen": None}) == verdict_records.most_chosen(None) == ""


@pytest.mark.parametrize(
    ("both", "side"),
    [
        ([0.001, 0.1], "higher"),
        ([-0.1, -0.001], "lower"),
        ([0.0, 0.1], "not shown"),
        ([-0.1, 0.1], "not shown"),
        ([None, 0.1], ""),
        ([math.nan, 0.1], ""),
        (None, ""),
    ],
)
def test_side_of_zero_is_that_of_the_simultaneous_bounds(both, side):
    assert verdict_records.side_of_zero({"simultaneous95": both, "ci95": [0.05, 0.06]}) == side


def test_the_best_pipeline_is_judged_alone_and_classifiers_together():
    difference = {"ci95": [-0.1, 0.1], "simultaneous95": [-0.2, 0.2]}
    assert verdict_records.shown_bounds({"question": BEST, "difference": difference}) == (-0.1, 0.1)
    assert verdict_records.shown_bounds({"question": "cnn", "difference": difference}) == (-0.2, 0.2)
    without = {**difference, "simultaneous95": [None, None]}
    assert verdict_records.shown_bounds({"question": "cnn", "difference": without}) == (-0.1, 0.1)
