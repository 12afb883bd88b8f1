import numpy as np
import pytest
from hypothesis import given, settings
from sklearn import metrics

from rembrandt_featgen.measures import decisions
from tests.measures.test_classification import cohorts


@pytest.mark.parametrize(
    ("labels", "probabilities", "wanted"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], 0.25),  # a shifted scale
        ([0, 0, 1, 1], [0.1, 0.4, 0.7, 0.8], 0.5),  # 0.5 and the midpoint 0.55 part them; 0.5 is always tried
        ([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], 0.35),  # 0.15 and 0.35 give 0.75 each; 0.35 is nearer to 0.5
        ([0, 1, 1, 0, 0, 1], [0.125, 0.375, 0.375, 0.625, 0.625, 0.875], 0.25),  # 0.25 and 0.75 tie: the lower
        ([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4], 0.5),  # the wrong way round: nothing beats calling all negative
        ([1, 1], [0.1, 0.2], 0.5),
        ([], [], 0.5),
        ([0, 1], [0.3, 0.3], 0.5),
    ],
)
def test_chosen_threshold(labels, probabilities, wanted):
    assert decisions.choose_threshold(np.array(labels), np.array(probabilities)) == pytest.approx(wanted)


@settings(max_examples=100, deadline=None)
@given(cohorts)
def test_no_candidate_beats_the_chosen_threshold(cohort):
    labels, probabilities = cohort
    found = decisions.choose_threshold(labels, probabilities)
    scores = sorted(set(probabilities))
    candidates = [0.5, *((a + b) / 2 for a, b in zip(scores, scores[1:]))]
    assert found in candidates
    if 0 < labels.sum() < len(labels):

        def value(threshold):
            right = metrics.balanced_accuracy_score(labels, probabilities > threshold)
            return round(right, 12), -abs(threshold - 0.5)  # rounded, so that ties are ties

        best = max(map(value, candidates))
        assert value(found) == pytest.approx(best, abs=1e-9)


def test_two_classes_are_decided_by_the_threshold_exactly():
    p = np.array([0.1, 0.3, np.nextafter(0.3, 1.0), 0.9])
    assert decisions.decide(decisions.two_columns(p), decisions.two_columns(0.3)).tolist() == [0, 0, 1, 1]
    assert decisions.decide(decisions.two_columns([0.5, 0.6])).tolist() == [0, 1]


def test_dividing_by_the_prior_undoes_it():
    """Bayes: posteriors under equal priors, times an unequal prior, lead back to the decisions under equal ones."""
    generator = np.random.default_rng(0)
    even, shares = generator.dirichlet(np.ones(4), (5, 20)), np.array([0.4, 0.3, 0.2, 0.1])
    skewed = even * shares / (even * shares).sum(axis=-1, keepdims=True)
    np.testing.assert_array_equal(decisions.decide(skewed, shares), even.argmax(axis=-1))
    assert (decisions.decide(skewed) != even.argmax(axis=-1)).any()


def test_a_class_that_was_not_trained_is_not_decided_for():
    assert decisions.decide([[0.1, 0.2, 0.7]], [0.5, 0.5, 0.0]).tolist() == [1]


def test_the_prior_is_that_of_the_loss():
    labels = np.array([0, 0, 0, 1, 2, 2])
    np.testing.assert_allclose(decisions.prior(labels, 3), [1 / 2, 1 / 6, 1 / 3])
    balanced = len(labels) / (3 * np.bincount(labels))
    np.testing.assert_allclose(decisions.prior(labels, 3, balanced), decisions.even(3))


def test_thresholds_of_two_are_chosen_and_of_more_are_the_prior():
    p, shares = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.7, 0.2, 0.1])
    found = decisions.choose_thresholds([0, 0, 1, 1], decisions.two_columns(p), [0.5, 0.5])
    np.testing.assert_allclose(found, [0.75, 0.25])
    np.testing.assert_array_equal(decisions.choose_thresholds([0, 1], np.full((2, 3), 1 / 3), shares), shares)
