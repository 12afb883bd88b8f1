"""The report of made few-shot draws."""

import json

import numpy as np
import pytest

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import few_shot_contrasts, few_shot_scores
from rembrandt_featgen.evaluation.few_shot_report import few_shot_report
from rembrandt_featgen.reporting import few_shot_page
from tests.evaluation import few_shot_tables
from tests.evaluation.few_shot_tables import RESERVE, SHOTS


def _report(made, **settings):
    tables, trained = made
    return few_shot_report(tables, trained=trained, **{"label": 1, "reserve": RESERVE, "draws": 200, **settings})


def _row(report, arm, shots=2, classifier="ridge"):
    return next(r for r in report["rows"] if (r["arm"], r["shots"], r["classifier"]) == (arm, shots, classifier))


@pytest.fixture(scope="module")
def helped():
    return _report(few_shot_tables.made(gains={"gaussian": 0.8}, draws=16))


def test_it_is_plain_and_has_a_row_for_each_arm(helped):
    assert json.loads(json.dumps(helped, allow_nan=False)) == helped
    assert len(helped["rows"]) == 3 * 2 * 4 and helped["shots"] == list(SHOTS) and helped["cut"] == "case"
    assert helped["patients"] == {"control": 30, "case": 24} and helped["draws"] == 16


def test_an_arm_that_helps_is_said_to_and_is_worth_patients(helped):
    row = _row(helped, "gaussian")
    assert row["word"] == "helped" and row["difference"]["simultaneous95"][0] > 0
    assert row["worth"]["patients"] is None or row["worth"]["patients"] > 2
    assert row["log_loss_difference"]["difference"] < 0
    assert helped["verdict_word"] == "helped" and helped["verdict"].startswith("Helped: generation helped where few")
    best = helped["contrasts"][0]
    assert (
        best["question"] == "best pipeline" and best["word"] == "helped" and "ridge/smote" in best["without"]["chosen"]
    )


def test_the_rule_and_what_could_be_found_are_of_this_study(helped):
    assert "(real samples alone and smote) and one with it (gaussian)" in helped["verdict_rule"]
    assert helped["times_tested"]["most"] <= 16 and helped["times_tested"]["least"] > 0
    for gap in (row["difference"] for row in helped["rows"] if "difference" in row):
        low, high = gap["simultaneous95"]
        assert gap["detectable"] > (high - low) / 2


def test_what_real_patients_add_stands_beside_the_word(helped):
    row = max((r for r in helped["rows"] if r["arm"] == "oracle"), key=lambda r: r["difference"]["difference"])
    assert row["difference"]["simultaneous95"][0] > 0  # made so
    gain = f"{row['difference']['difference']:+.3f} ["
    assert f" {RESERVE} real patients more add up to {gain}" in helped["verdict"]
    none = {**row, "difference": {"difference": 0.01, "simultaneous95": [-0.1, 0.12]}}
    assert few_shot_contrasts.of_real_patients([none], reserve=17, unit="patients").startswith(" Not even 17 real")
    unsure = {**row, "shots": 3, "difference": {"difference": 0.3, "simultaneous95": [-0.1, 0.7]}}
    text = few_shot_contrasts.of_real_patients([unsure, row], reserve=RESERVE, unit="patients")
    assert text.startswith(f" {RESERVE} real patients more add up to {gain}")


def test_few_draws_are_warned_of():
    assert few_shot_contrasts.few_draws(60) == []
    assert few_shot_contrasts.few_draws(5)[0].startswith("5 draws are few")


def test_the_sentence_has_what_could_be_found_and_both_log_losses(helped):
    one = json.loads(json.dumps(helped["contrasts"][0]))
    one["difference"]["detectable"], one["log_loss_difference"]["ci95"] = 0.328, [0.1, 0.9]
    one["without"]["log_loss"], one["with"]["log_loss"] = 1.59, 2.11
    text = few_shot_contrasts.sentence([one], cut="case", draws=5, margin=0.05)
    assert "only 0.328 could have been found" in text
    assert "at the class frequencies trained on, are worse: log loss 2.11 with it, 1.59 without it" in text


def test_the_interval_that_an_equivalence_rests_on_is_said(helped):
    one = json.loads(json.dumps(helped["contrasts"][0]))
    one["word"] = "equivalent"
    one["difference"] |= {"simultaneous95": [-0.044, 0.058], "ci90": [-0.034, 0.048]}
    text = few_shot_contrasts.sentence([one], cut="case", draws=60, margin=0.05)
    assert "(equivalent by the 90% interval [-0.034, +0.048]" in text
    one["difference"]["simultaneous95"] = [-0.044, 0.049]
    assert "90%" not in few_shot_contrasts.sentence([one], cut="case", draws=60, margin=0.05)


def test_an_arm_that_does_nothing_is_not_said_to(helped):
    assert all(_row(helped, "smote", shots)["word"] in ("undecided", "equivalent") for shots in SHOTS)
    none = _row(helped, "none")
    assert "difference" not in none and none["ci95"][0] < none["auroc"] < none["ci95"][1]


def test_bounds_of_all_rows_are_wider_than_one(helped):
    gap = _row(helped, "smote")["difference"]
    assert gap["simultaneous95"][0] < gap["ci95"][0] and gap["ci95"][1] < gap["simultaneous95"][1]


def test_the_curve_ends_with_the_oracle(helped):
    curve = helped["curves"][0]
    assert [point["patients"] for point in curve["points"]] == [2, 4, 8, 12] and curve["rises"]
    last, row = curve["points"][-1], _row(helped, "oracle", 8)
    assert last["auroc"] == row["auroc"]
    assert "worth" not in row  # it is the end of the curve itself


def test_an_arm_that_harms_is_worth_less_than_nothing():
    report = _report(few_shot_tables.made(gains={"gaussian": -0.6}, draws=16))
    row = _row(report, "gaussian", 4)
    assert row["difference"]["difference"] < 0 and (row["worth"]["patients"] or -1) < 0
    assert report["verdict_word"] in ("harmed", "undecided")


def test_three_classes():
    report = _report(few_shot_tables.made(counts=(20, 20, 22), classes=("a", "b", "c"), draws=8), label=2)
    assert report["cut"] == "c" and 0.5 < _row(report, "none", 8)["auroc"] < 1.0


def test_order_of_rows_does_not_matter():
    tables, trained = few_shot_tables.made(draws=6, classifiers=("ridge",))
    turned = {shots: table.take(np.arange(len(table))[::-1]) for shots, table in tables.items()}
    expected, found = (_row(_report((each, trained)), "smote")["difference"] for each in (tables, turned))
    np.testing.assert_allclose(found["simultaneous95"], expected["simultaneous95"])


def test_what_is_missing_is_said():
    tables, trained = few_shot_tables.made(draws=4, classifiers=("ridge",))
    with pytest.raises(InputError, match="'none' is missing at ridge"):
        _report(({shots: table.take(table.arm != "none") for shots, table in tables.items()}, trained))
    with pytest.raises(InputError, match="shots 4, draw 3: who was trained on"):
        _report((tables, {**trained, 4: {0: [], 1: [], 2: []}}))
    with pytest.raises(InputError, match="other draws than shots 2"):
        _report(({**tables, 8: tables[8].select(draw=0)}, trained))


def test_without_generative_arms_there_is_no_word():
    tables, trained = few_shot_tables.made(draws=4, classifiers=("ridge",))
    report = _report(({shots: table.take(table.kind != "generative") for shots, table in tables.items()}, trained))
    assert report["contrasts"] == [] and report["verdict"] == few_shot_contrasts.NOTHING


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("helped", "undecided"), "helped"),
        (("helped", "harmed"), "undecided"),
        (("equivalent", "equivalent"), "equivalent"),
        (("equivalent", "undecided"), "undecided"),
        (("harmed", "equivalent"), "harmed"),
    ],
)
def test_the_word_of_all_shots(words, expected):
    assert few_shot_contrasts.word([{"question": "best pipeline", "word": word} for word in words]) == expected


def test_the_reserve_is_who_is_neither_tested_nor_trained_on():
    tables, trained = few_shot_tables.made(draws=16, classifiers=("ridge",))  # all are tested in one
    cohort = few_shot_scores.cohort(tables, few=1, draws=10, seed=0)
    training = {shots: cohort.training(trained[shots]) for shots in SHOTS}
    more = few_shot_scores.with_reserve(training, cohort.scores(tables[2].select(arm="none")), cohort)
    few = cohort.resamples.units == 1
    assert (more[2].trained[:, few].sum(axis=1) == 2 + RESERVE).all()
    assert (more[2].trained[:, ~few] == training[2].trained[:, ~few]).all()


def test_groups_are_not_called_patients(helped):
    """Where two patients are a group, shots count groups."""
    tables, trained = few_shot_tables.made(draws=6)
    of_pairs = {
        shots: table.replace(group=np.array([f"g{int(name[1:]) // 2}" for name in table.patient]))
        for shots, table in tables.items()
    }
    report = _report((of_pairs, trained))
    assert report["unit"] == "groups of patients" and " with 2 groups of patients (" in report["verdict"]
    assert helped["unit"] == "patients" and " with 2 patients (" in helped["verdict"]
    page = few_shot_page.render(report)
    assert "Worth, in groups of patients" in page and "few groups of patients of case are trained on" in page


def test_better_than_a_bad_choice_is_no_help():
    """Inner folds choose SMOTE, which harms: a generator that does nothing is above that, and no better than none."""
    report = _report(few_shot_tables.made(gains={"smote": -1.0}, draws=16))
    best = report["contrasts"][0]
    assert best["shots"] == 2 and best["difference"]["simultaneous95"][0] > 0.05
    assert abs(best["difference_to_none"]["difference"]) < 0.05
    assert best["word"] == report["verdict_word"] == "undecided"
    assert "(undecided, as to real samples alone it is " in report["verdict"]
    assert not any(row["word"] == "helped" for row in report["against_best"]["rows"])
