import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import calibration, metrics

from rembrandt_featgen.measures import classification

# Odd 64ths lie on no edge of a bin and not on 0.5, and 1 - p of them is exact.
cohorts = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 31)), min_size=1, max_size=30).map(
    lambda rows: (np.array([y for y, _ in rows]), np.array([(2 * i + 1) / 64 for _, i in rows]))
)


def same(found, wanted):
    assert found.keys() == wanted.keys() == set(classification.MEASURES)
    for name in found:
        assert found[name] == pytest.approx(wanted[name], abs=1e-12, nan_ok=True), name


def test_golden_values():
    # positive: 3 of 4 right, negative: 1 of 2 right
    found = classification.measures(np.array([1, 1, 1, 1, 0, 0]), np.array([0.9, 0.8, 0.7, 0.2, 0.6, 0.1]))
    assert found["sensitivity"] == 0.75
    assert found["specificity"] == 0.5
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["balanced_accuracy"] == 0.625
    # pairs (positive, negative) in the right order: 2 + 2 + 2 + 1 of 8
    assert found["auroc"] == pytest.approx(7 / 8)
    # (TP TN - FP FN) / sqrt((TP+FP)(TP+FN)(TN+FP)(TN+FN)), with TP 3, TN 1, FP 1, FN 1
    assert found["mcc"] == pytest.approx((3 - 1) / np.sqrt(4 * 4 * 2 * 2))
    # precision is 1 at the first three positives, 4/5 at the fourth
    assert found["auprc"] == pytest.approx(3 / 4 * 1 + 1 / 4 * 4 / 5)
    assert found["brier"] == pytest.approx((0.01 + 0.04 + 0.09 + 0.64 + 0.36 + 0.01) / 6)
    # each in a bin of its own
    assert found["ece"] == pytest.approx((0.1 + 0.2 + 0.3 + 0.8 + 0.6 + 0.1) / 6)
    # two negatives: a specificity of 0.8 needs both, hence a threshold above 0.6
    assert found["sensitivity_at_specificity"] == 0.75


@pytest.mark.parametrize(("specificity", "wanted"), [(1.0, 0.75), (0.51, 0.75), (0.5, 1.0), (0.0, 1.0)])
def test_sensitivity_at_specificity_allows_exactly_that_specificity(specificity, wanted):
    found = classification.measures(
        np.array([1, 1, 1, 1, 0, 0]), np.array([0.9, 0.8, 0.7, 0.2, 0.6, 0.1]), specificity=specificity
    )
    assert found["sensitivity_at_specificity"] == wanted


def test_specificity_four_of_five_is_point_eight():  # 1 - 1/5 < 0.8 in floating point for some ways to compute it
    labels, probabilities = np.array([0, 0, 0, 0, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.9, 0.5])
    assert classification.measures(labels, probabilities)["sensitivity_at_specificity"] == 1.0


def test_a_lone_highest_negative_leaves_no_sensitivity():
    assert classification.measures(np.array([0, 1]), np.array([0.9, 0.1]))["sensitivity_at_specificity"] == 0.0


def test_each_sample_may_have_a_threshold_of_its_own():
    labels, probabilities = np.array([1, 1, 0, 0]), np.array([0.3, 0.6, 0.3, 0.6])
    found = classification.measures(labels, probabilities, np.array([0.2, 0.7, 0.3, 0.5]))
    assert (found["sensitivity"], found["specificity"]) == (0.5, 0.5)  # right: first (0.3 > 0.2) and third
    assert classification.measures(labels, probabilities, 0.2)["sensitivity"] == 1.0
    assert found["auroc"] == classification.measures(labels, probabilities)["auroc"] == 0.5


@pytest.mark.parametrize("decimals", [1, 6])  # one decimal makes many ties
def test_agrees_with_scikit_learn(decimals):
    generator = np.random.default_rng(1)
    labels, probabilities = generator.integers(0, 2, 300), generator.random(300).round(decimals)
    found = classification.measures(labels, probabilities)
    predicted = probabilities > 0.5
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(labels, predicted))
    assert found["mcc"] == pytest.approx(metrics.matthews_corrcoef(labels, predicted))
    assert found["auroc"] == pytest.approx(metrics.roc_auc_score(labels, probabilities))
    assert found["auprc"] == pytest.approx(metrics.average_precision_score(labels, probabilities))
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(labels, probabilities))
    false_alarms, hits, _ = metrics.roc_curve(labels, probabilities, drop_intermediate=False)
    assert found["sensitivity_at_specificity"] == pytest.approx(hits[1 - false_alarms >= 0.8 - 1e-12].max())


@pytest.mark.parametrize(("bins", "scale"), [(10, 1.0), (7, 1.0), (10, 0.5)])  # the last leaves bins empty
def test_reliability_agrees_with_scikit_learn(bins, scale):
    generator = np.random.default_rng(2)
    labels, probabilities = generator.integers(0, 2, 300), scale * generator.random(300)
    found = classification.reliability(labels, probabilities, bins)
    observed, mean = calibration.calibration_curve(labels, probabilities, n_bins=bins)
    full = found.samples > 0
    np.testing.assert_allclose(found.observed[full], observed)
    np.testing.assert_allclose(found.probability[full], mean)
    assert np.isnan(found.observed[~full]).all()
    assert len(found.samples) == bins
    assert found.samples.sum() == 300


def test_expected_calibration_error_is_the_diagrams_mean_gap():
    generator = np.random.default_rng(3)
    labels, probabilities = generator.integers(0, 2, 50), generator.random(50).round(1)  # on the edges of bins
    mean, observed, samples = classification.reliability(labels, probabilities)
    wanted = np.nansum(np.abs(mean - observed) * samples) / 50
    assert classification.measures(labels, probabilities)["ece"] == pytest.approx(wanted)


@settings(max_examples=60, deadline=None)
@given(cohorts, st.randoms(use_true_random=False))
def test_the_order_of_patients_does_not_matter(cohort, random):
    labels, probabilities = cohort
    order = random.sample(range(len(labels)), len(labels))
    same(classification.measures(labels[order], probabilities[order]), classification.measures(labels, probabilities))


@settings(max_examples=60, deadline=None)
@given(cohorts)
def test_swapping_the_classes_swaps_their_accuracies(cohort):
    labels, probabilities = cohort
    found, swapped = (
        classification.measures(y, p) for y, p in ((labels, probabilities), (1 - labels, 1 - probabilities))
    )
    swapped["sensitivity"], swapped["specificity"] = swapped["specificity"], swapped["sensitivity"]
    for name in ("auprc", "sensitivity_at_specificity"):  # of the positive class by their definition
        del found[name], swapped[name]
    assert found == pytest.approx(swapped, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(cohorts, st.integers(0, 100))
def test_counts_are_repeated_samples(cohort, seed):
    labels, probabilities = cohort
    counts = np.random.default_rng(seed).integers(0, 4, (3, len(labels)))
    thresholds = np.random.default_rng(seed).random(len(labels))
    found = classification.weighted_measures(labels, probabilities, counts, threshold=thresholds)
    for i, row in enumerate(counts):
        wanted = classification.measures(*(np.repeat(x, row) for x in (labels, probabilities, thresholds)))
        same({name: values[i] for name, values in found.items()}, wanted)


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match=r"give finite ones in \[0, 1\]"):
        classification.measures(np.array([1, 0]), np.array([0.5, wrong]))


def test_the_same_answer_for_everyone_has_no_correlation():
    assert classification.measures(np.array([1, 0]), np.array([0.9, 0.9]))["mcc"] == 0.0


def test_the_papers_headline_is_a_fall_of_balanced_accuracy():
    # Table 3 on 362 positive (HGG) and 208 negative (LGG) slices: 0.569 and 0.384, against 0.95 and 0.05 before
    labels = np.repeat([1, 0], [362, 208])
    right = np.concatenate([np.arange(362) < 0.569 * 362, np.arange(208) < 0.384 * 208])
    found = classification.measures(labels, np.where(right, labels, 1 - labels).astype(float))
    assert found["balanced_accuracy"] == pytest.approx(0.4765, abs=2e-3)
    assert found["accuracy"] == pytest.approx(0.501, abs=2e-3)


def test_one_class_alone_leaves_measures_undefined():
    found = classification.measures(np.array([1, 1]), np.array([0.9, 0.1]))
    assert found["sensitivity"] == 0.5
    undefined = ("specificity", "balanced_accuracy", "mcc", "auroc", "sensitivity_at_specificity")
    assert all(np.isnan(found[name]) for name in undefined)
    assert (found["auprc"], found["brier"]) == (1.0, pytest.approx(0.41))
    assert np.isnan(classification.measures(np.array([0, 0]), np.array([0.9, 0.1]))["auprc"])


def test_nothing_leaves_everything_undefined():
    found = classification.measures(np.array([]), np.array([]))
    assert set(found) == set(classification.MEASURES)
    assert np.isnan(list(found.values())).all()


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
    assert classification.choose_threshold(np.array(labels), np.array(probabilities)) == pytest.approx(wanted)


@settings(max_examples=100, deadline=None)
@given(cohorts)
def test_no_candidate_beats_the_chosen_threshold(cohort):
    labels, probabilities = cohort
    found = classification.choose_threshold(labels, probabilities)
    scores = sorted(set(probabilities))
    candidates = [0.5, *((a + b) / 2 for a, b in zip(scores, scores[1:]))]
    assert found in candidates
    if 0 < labels.sum() < len(labels):

        def value(threshold):
            right = metrics.balanced_accuracy_score(labels, probabilities > threshold)
            return round(right, 12), -abs(threshold - 0.5)  # rounded, so that ties are ties

        best = max(map(value, candidates))
        assert value(found) == pytest.approx(best, abs=1e-9)


def test_patients_have_the_mean_log_odds_of_their_slices():
    odds = np.array([1.0, 9.0, 0.25])  # of patient b: log-odds' mean is log 3
    ids, labels, probabilities = classification.by_patient(
        np.array(["b", "b", "a"]), np.array([1, 1, 0]), odds / (1 + odds)
    )
    assert ids.tolist() == ["a", "b"]
    assert labels.tolist() == [0, 1]
    np.testing.assert_allclose(probabilities, [0.2, 0.75])


def test_certain_slices_do_not_make_infinite_patients():
    assert np.isfinite(classification.by_patient(["a", "a"], [1, 1], [1.0, 0.0])[2]).all()


def test_a_patients_log_loss_by_hand():
    # v0: mean log-odds of 0.8 and 0.5 is log 2, so 2/3; v1: 0.1; v2 (positive): 0.9
    found = classification.patient_log_loss(["v0", "v0", "v1", "v2"], [0, 0, 0, 1], [0.8, 0.5, 0.1, 0.9])
    negative = (-math.log(1 / 3) - math.log(0.9)) / 2
    assert found == pytest.approx((negative - math.log(0.9)) / 2)
    assert classification.patient_log_loss(["a"], [1], [0.25]) == pytest.approx(math.log(4))
