import pytest

from rembrandt_featgen.evaluation import self_checks


def row(arm, interval, p):
    return {
        "arm": arm,
        "unit": "patient",
        "n": {"LGG": 8, "HGG": 8},
        "balanced_accuracy": sum(interval) / 2,
        "ci95": {"balanced_accuracy": interval},
        "p_against_chance": p,
    }


@pytest.mark.parametrize(
    ("interval", "p_values", "passed"),
    [
        ((0.4, 0.6), (0.5, 0.03), True),  # of two arms, 0.03 is 0.06 after Holm's adjustment
        ((0.4, 0.6), (0.5, 0.02), False),
        ((0.55, 0.7), (0.5, 0.5), False),  # chance is outside the interval of the first arm
    ],
)
def test_random_labels_must_give_chance(interval, p_values, passed):
    report = {"arms": [row("none", interval, p_values[0]), row("smote", (0.4, 0.6), p_values[1])]}
    finding = self_checks.random_labels(report)
    assert finding.passed == passed
    assert ("smote of 2" in finding.finding) == (p_values[1] < 0.025)


def test_every_leak_must_be_caught():
    assert self_checks.planted_leaks({"a": "caught", "b": "caught (3 patients named)"}).passed
    missed = self_checks.planted_leaks({"a": "caught", "b": ""})
    assert not missed.passed
    assert missed.finding == "a: caught; b: NOT caught"


@pytest.mark.parametrize(("low", "passed"), [(0.51, True), (0.5, False)])
def test_the_largest_cohort_must_show_the_signal(low, passed):
    sizes = [{"patients": n, "balanced_accuracy": 0.7, "ci95": (bound, 0.9)} for n, bound in ((20, 0.3), (80, low))]
    finding = self_checks.planted_signal(sizes, 0.1)
    assert finding.passed == passed
    assert finding.finding.startswith(
        "difficulty 0.1, balanced accuracy by number of patients: 20 patients: 0.70 (0.30"
    )
