import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from rembrandt_featgen.measures import classification, decisions

# Odd 64ths lie on no edge of a bin and not on 0.5, and 1 - p of them is exact.
cohorts = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 31)), min_size=1, max_size=30).map(
    lambda rows: (np.array([y for y, _ in rows]), np.array([(2 * i + 1) / 64 for _, i in rows]))
)


def of_two(labels, positive, threshold=0.5, **settings):
    return classification.measures(
        labels, decisions.two_columns(positive), decisions.two_columns(threshold), **settings
    )


def same(found, wanted):
    assert found.keys() == wanted.keys() == set(classification.MEASURES)
    for name in found:
        assert found[name] == pytest.approx(wanted[name], abs=1e-12, nan_ok=True), name


def test_golden_values():
    # positive: 3 of 4 right, negative: 1 of 2 right
    found = of_two(np.array([1, 1, 1, 1, 0, 0]), np.array([0.9, 0.8, 0.7, 0.2, 0.6, 0.1]))
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
    found = of_two(np.array([1, 1, 1, 1, 0, 0]), np.array([0.9, 0.8, 0.7, 0.2, 0.6, 0.1]), specificity=specificity)
    assert found["sensitivity_at_specificity"] == wanted


def test_specificity_four_of_five_is_point_eight():  # 1 - 1/5 < 0.8 in floating point for some ways to compute it
    labels, probabilities = np.array([0, 0, 0, 0, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.9, 0.5])
    assert of_two(labels, probabilities)["sensitivity_at_specificity"] == 1.0


def test_a_lone_highest_negative_leaves_no_sensitivity():
    assert of_two(np.array([0, 1]), np.array([0.9, 0.1]))["sensitivity_at_specificity"] == 0.0


def test_each_sample_may_have_a_threshold_of_its_own():
    labels, probabilities = np.array([1, 1, 0, 0]), np.array([0.3, 0.6, 0.3, 0.6])
    found = of_two(labels, probabilities, np.array([0.2, 0.7, 0.3, 0.5]))
    assert (found["sensitivity"], found["specificity"]) == (0.5, 0.5)  # right: first (0.3 > 0.2) and third
    assert of_two(labels, probabilities, 0.2)["sensitivity"] == 1.0
    assert found["auroc"] == of_two(labels, probabilities)["auroc"] == 0.5


@pytest.mark.parametrize("decimals", [1, 6])  # one decimal makes many ties
def test_agrees_with_scikit_learn(decimals):
    generator = np.random.default_rng(1)
    labels, probabilities = generator.integers(0, 2, 300), generator.random(300).round(decimals)
    found = of_two(labels, probabilities)
    predicted = probabilities > 0.5
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(labels, predicted))
    assert found["mcc"] == pytest.approx(metrics.matthews_corrcoef(labels, predicted))
    assert found["auroc"] == pytest.approx(metrics.roc_auc_score(labels, probabilities))
    assert found["auprc"] == pytest.approx(metrics.average_precision_score(labels, probabilities))
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(labels, probabilities))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(labels, probabilities))
    false_alarms, hits, _ = metrics.roc_curve(labels, probabilities, drop_intermediate=False)
    assert found["sensitivity_at_specificity"] == pytest.approx(hits[1 - false_alarms >= 0.8 - 1e-12].max())


@settings(max_examples=60, deadline=None)
@given(cohorts, st.randoms(use_true_random=False))
def test_the_order_of_patients_does_not_matter(cohort, random):
    labels, probabilities = cohort
    order = random.sample(range(len(labels)), len(labels))
    same(of_two(labels[order], probabilities[order]), of_two(labels, probabilities))


@settings(max_examples=60, deadline=None)
@given(cohorts)
def test_swapping_the_classes_swaps_their_accuracies(cohort):
    labels, probabilities = cohort
    found, swapped = (of_two(y, p) for y, p in ((labels, probabilities), (1 - labels, 1 - probabilities)))
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
    found = classification.weighted_measures(
        labels, decisions.two_columns(probabilities), counts, thresholds=decisions.two_columns(thresholds)
    )
    for i, row in enumerate(counts):
        wanted = of_two(*(np.repeat(x, row) for x in (labels, probabilities, thresholds)))
        same({name: values[i] for name, values in found.items()}, wanted)


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match=r"give finite ones in \[0, 1\] that sum to 1"):
        of_two(np.array([1, 0]), np.array([0.5, wrong]))


def test_the_same_answer_for_everyone_has_no_correlation():
    assert of_two(np.array([1, 0]), np.array([0.9, 0.9]))["mcc"] == 0.0


def test_the_papers_headline_is_a_fall_of_balanced_accuracy():
    # Table 3 on 362 positive (HGG) and 208 negative (LGG) slices: 0.569 and 0.384, against 0.95 and 0.05 before
    labels = np.repeat([1, 0], [362, 208])
    right = np.concatenate([np.arange(362) < 0.569 * 362, np.arange(208) < 0.384 * 208])
    found = of_two(labels, np.where(right, labels, 1 - labels).astype(float))
    assert found["balanced_accuracy"] == pytest.approx(0.4765, abs=2e-3)
    assert found["accuracy"] == pytest.approx(0.501, abs=2e-3)


def test_one_class_alone_leaves_measures_undefined():
    found = of_two(np.array([1, 1]), np.array([0.9, 0.1]))
    assert found["sensitivity"] == 0.5
    undefined = ("specificity", "balanced_accuracy", "mcc", "auroc", "sensitivity_at_specificity")
    assert all(np.isnan(found[name]) for name in undefined)
    assert (found["auprc"], found["brier"]) == (1.0, pytest.approx(0.41))
    assert np.isnan(of_two(np.array([0, 0]), np.array([0.9, 0.1]))["auprc"])


def test_nothing_leaves_everything_undefined():
    found = of_two(np.array([]), np.array([]))
    assert set(found) == set(classification.MEASURES)
    assert np.isnan(list(found.values())).all()


def test_patients_have_the_mean_log_odds_of_their_slices():
    odds = np.array([1.0, 9.0, 0.25])  # of patient b: log-odds' mean is log 3
    ids, labels, probabilities = classification.by_patient(
        np.array(["b", "b", "a"]), np.array([1, 1, 0]), decisions.two_columns(odds / (1 + odds))
    )
    assert ids.tolist() == ["a", "b"]
    assert labels.tolist() == [0, 1]
    np.testing.assert_allclose(probabilities, [[0.8, 0.2], [0.25, 0.75]])


def test_certain_slices_do_not_make_infinite_patients():
    assert np.isfinite(classification.by_patient(["a", "a"], [1, 1], [[0.0, 1.0], [1.0, 0.0]])[2]).all()


def test_a_patients_log_loss_by_hand():
    # v0: mean log-odds of 0.8 and 0.5 is log 2, so 2/3; v1: 0.1; v2 (positive): 0.9
    found = classification.patient_log_loss(
        ["v0", "v0", "v1", "v2"], [0, 0, 0, 1], decisions.two_columns([0.8, 0.5, 0.1, 0.9])
    )
    negative = (-math.log(1 / 3) - math.log(0.9)) / 2
    assert found == pytest.approx((negative - math.log(0.9)) / 2)
    assert classification.patient_log_loss(["a"], [1], [[0.75, 0.25]]) == pytest.approx(math.log(4))


def three(seed, n=90, decimals=None):
    """Labels and probabilities of three classes, better than chance."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, n)
    p = generator.dirichlet(np.ones(3), n) + 0.4 * np.eye(3)[labels]
    p = p / p.sum(axis=1, keepdims=True)
    if decimals is not None:
        p = np.round(p, decimals)
        p[:, 2] = np.clip(1.0 - p[:, 0] - p[:, 1], 0.0, 1.0).round(decimals)
    return labels, p


@pytest.mark.parametrize("decimals", [1, None])  # one decimal makes many ties
def test_measures_of_three_classes_agree_with_scikit_learn(decimals):
    labels, p = three(4, decimals=decimals)
    found, predicted = classification.measures(labels, p), p.argmax(axis=1)
    assert tuple(found) == classification.names(3)
    wanted = {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, predicted),
        "mcc": metrics.matthews_corrcoef(labels, predicted),
        "auroc": metrics.roc_auc_score(labels, p, multi_class="ovr"),
        "auprc": metrics.average_precision_score(np.eye(3)[labels], p, average="macro"),
        "brier": metrics.brier_score_loss(labels, p, scale_by_half=False),
        "log_loss": metrics.log_loss(labels, np.clip(p, np.finfo(float).eps, 1.0)),
    }
    for label, recall in enumerate(metrics.recall_score(labels, predicted, average=None)):
        wanted[f"recall_{label}"] = recall
        wanted[f"auroc_{label}"] = metrics.roc_auc_score(labels == label, p[:, label])
        wanted[f"auprc_{label}"] = metrics.average_precision_score(labels == label, p[:, label])
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value), name
    assert set(found) - set(wanted) == {"ece"}


def test_three_classes_by_hand():
    p = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    found = classification.measures(np.array([0, 1, 2, 2]), p)
    assert (found["recall_0"], found["recall_1"], found["recall_2"]) == (1.0, 1.0, 0.5)
    assert found["balanced_accuracy"] == pytest.approx(2.5 / 3)
    # n trace - sum t_k p_k = 4 x 3 - (1 x 2 + 1 x 1 + 2 x 1); n^2 - sum of squares is 10 for both
    assert found["mcc"] == pytest.approx((12 - 5) / 10)
    assert found["brier"] == pytest.approx((0.14 + 0.26 + 0.25 + 0.0625 + 0.5625 + 0.06) / 4)
    # the most probable class, each in a bin of its own: right, right, wrong, right
    assert found["ece"] == pytest.approx((0.3 + 0.4 + 0.5 + 0.2) / 4)


def test_the_prior_moves_decisions_of_three_classes_and_of_folds():
    labels, p = three(5)
    shares = np.array([0.6, 0.3, 0.1])
    found = classification.measures(labels, p, shares)
    assert found["balanced_accuracy"] == pytest.approx(
        metrics.balanced_accuracy_score(labels, (p / shares).argmax(axis=1))
    )
    assert found["balanced_accuracy"] != classification.measures(labels, p)["balanced_accuracy"]
    assert found["auroc"] == classification.measures(labels, p)["auroc"]
    of_folds = np.where(np.arange(90)[:, None] < 45, shares, decisions.even(3))
    parts = [decisions.decide(p[:45], shares), decisions.decide(p[45:])]
    wanted = metrics.accuracy_score(labels, np.concatenate(parts))
    assert classification.measures(labels, p, of_folds)["accuracy"] == pytest.approx(wanted)


def test_counts_are_repeated_samples_of_three_classes():
    labels, p = three(6, decimals=1)
    counts = np.random.default_rng(0).integers(0, 4, (5, len(labels)))
    found = classification.weighted_measures(labels, p, counts)
    for i, row in enumerate(counts):
        wanted = classification.measures(np.repeat(labels, row), np.repeat(p, row, axis=0))
        assert {name: values[i] for name, values in found.items()} == pytest.approx(wanted)


def test_two_classes_by_the_formulas_of_more():
    """A third class that nobody is of and nobody is called changes neither decisions nor correlation nor log loss."""
    generator = np.random.default_rng(7)
    labels, p = generator.integers(0, 2, 80), decisions.two_columns(generator.random(80))
    two, more = (classification.measures(labels, q) for q in (p, np.column_stack([p, np.zeros(80)])))
    assert more["brier"] == pytest.approx(2 * two["brier"])
    for name in ("accuracy", "mcc", "log_loss"):
        assert more[name] == pytest.approx(two[name]), name
    assert (more["auroc_0"], more["auroc_1"]) == pytest.approx((two["auroc"], two["auroc"]))
    assert np.isnan([more["auroc"], more["balanced_accuracy"], more["recall_2"]]).all()


@pytest.mark.parametrize(
    ("labels", "p", "words"),
    [
        ([0, 1], [0.2, 0.8], r"shape \(2,\); give \[2, classes\]"),
        ([0, 1], [[0.2, 0.7, 0.1]], "for 2 labels"),
        ([0, 1], [[0.2, 0.2], [0.5, 0.5]], "sum to 1"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "labels run from 0 to 2, with probabilities of 2 classes"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(labels, p, words):
    with pytest.raises(ValueError, match=words):
        classification.measures(np.array(labels), np.array(p))


def test_patients_of_three_classes_have_the_geometric_mean_of_their_slices():
    p = np.array([[0.5, 0.25, 0.25], [0.125, 0.5, 0.375], [0.2, 0.2, 0.6]])
    ids, labels, found = classification.by_patient(["a", "a", "b"], [1, 1, 2], p)
    roots = np.sqrt(p[0] * p[1])
    np.testing.assert_allclose(found, [roots / roots.sum(), p[2]])
    assert (ids.tolist(), labels.tolist()) == (["a", "b"], [1, 2])
    assert np.isfinite(classification.by_patient(["a", "a"], [0, 0], np.eye(3)[:2])[2]).all()


def test_log_odds_are_the_geometric_mean_of_two_classes():
    p = np.random.default_rng(8).random(6)
    two = classification.by_patient(["a"] * 6, [1] * 6, decisions.two_columns(p))[2]
    three_columns = np.column_stack([decisions.two_columns(p), np.full(6, 1e-9)])
    more = classification.by_patient(["a"] * 6, [1] * 6, three_columns)[2]
    np.testing.assert_allclose(two[0], more[0, :2], atol=1e-5)


def test_the_log_loss_of_patients_of_three_classes():
    found = classification.patient_log_loss(
        ["a", "b", "c"], [0, 0, 2], [[0.5, 0.3, 0.2], [0.25, 0.5, 0.25], [0.1, 0.1, 0.8]]
    )
    assert found == pytest.approx(((math.log(2) + math.log(4)) / 2 - math.log(0.8)) / 2)


def test_noise_has_no_auroc_below_chance_in_folds():
    """Models whose offset is that of their training classes: AUROC of all pairs is biased, that of a fold is not."""
    generator = np.random.default_rng(0)
    pooled, within = [], []
    for _ in range(200):
        labels = generator.permutation(np.repeat([0, 1], [16, 8]))
        folds = np.arange(24) % 4
        share = np.array([labels[folds != fold].mean() for fold in range(4)])[folds]
        p = decisions.two_columns(np.clip(share + 0.05 * generator.normal(size=24), 0, 1))
        pooled.append(classification.measures(labels, p)["auroc"])
        within.append(classification.measures(labels, p, folds=folds)["auroc"])
    assert np.mean(pooled) < 0.4
    assert np.nanmean(within) == pytest.approx(0.5, abs=0.03)
    alone = classification.measures(np.array([0, 1]), p[:2], folds=np.array([0, 1]))
    assert np.isnan(alone["auroc"])  # no pair of one fold


def test_folds_of_three_classes_by_hand():
    p = np.array([[0.6, 0.2, 0.2], [0.3, 0.5, 0.2], [0.2, 0.2, 0.6], [0.5, 0.3, 0.2], [0.4, 0.5, 0.1], [0.3, 0.3, 0.4]])
    found = classification.measures(np.array([0, 1, 2, 0, 1, 2]), p, folds=np.array([0, 0, 0, 1, 1, 1]))
    assert found["auroc_0"] == found["auroc_1"] == found["auroc_2"] == 1.0
    swapped = classification.measures(np.array([1, 0, 2, 0, 1, 2]), p, folds=np.array([0, 0, 0, 1, 1, 1]))
    assert swapped["auroc_0"] == (1 + 2) / 4  # of two pairs in each fold one, and two
