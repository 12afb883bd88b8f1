import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from rembrandt_featgen.measures import permutation
from rembrandt_featgen.measures.out_of_fold import OutOfFold
from tests.measures.cohorts import balanced_accuracy, cohort, of_positive, with_thresholds


def test_exact_permutation_agrees_with_scipy():
    generator = np.random.default_rng(4)
    labels, before = cohort(generator, patients=9)
    before, after = with_thresholds(before, 1), with_thresholds(cohort(generator, patients=9, effect=2.0)[1], 2)

    def difference(first, second):  # of indices into both arms' columns
        columns = [np.concatenate(pair, axis=1) for pair in zip(before[:2], after[:2])]
        arms = [OutOfFold(*(x[:, rows] for x in columns)) for rows in (first, second)]
        return balanced_accuracy(labels, arms[1]) - balanced_accuracy(labels, arms[0])

    # 'samples' swaps within pairs; 2^9 swaps are all enumerated
    wanted = stats.permutation_test(
        (np.arange(9), np.arange(9, 18)), difference, permutation_type="samples", n_resamples=np.inf, vectorized=False
    )
    found = permutation.paired_permutation(labels, before, after)
    assert found.difference == pytest.approx(wanted.statistic)
    assert 0.05 < wanted.pvalue < 0.95
    assert found.p_value == pytest.approx(wanted.pvalue)


@pytest.mark.parametrize("n", [2, 7, 12])
def test_exact_sign_flip_agrees_with_scipy(n):
    parts = np.random.default_rng(n).integers(-2, 5, n) / 3.0  # ties, and zeros
    wanted = stats.permutation_test(
        (parts,), lambda x, axis: x.sum(axis), permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert permutation.sign_flip(parts) == pytest.approx(wanted)


def test_random_sign_flip_comes_near_the_exact_one():
    parts = np.random.default_rng(5).normal(0.25, 1, 15)
    signs = 2 * (np.arange(2**15)[:, None] >> np.arange(15) & 1) - 1
    wanted = np.mean(np.abs(signs @ parts) >= abs(parts.sum()) - 1e-12)
    assert 0.01 < wanted < 0.5
    assert permutation.sign_flip(parts) == pytest.approx(wanted, abs=0.015)
    assert permutation.sign_flip(parts) == permutation.sign_flip(parts, seed=0) != permutation.sign_flip(parts, seed=1)


def test_a_p_value_is_never_zero():
    assert permutation.sign_flip(np.ones(200), permutations=99) == 1 / 100
    assert permutation.sign_flip(np.ones(12)) == 2 / 2**12
    assert permutation.sign_flip(np.zeros(5)) == 1.0


def test_permutation_test_keeps_its_level_and_has_power():
    generator = np.random.default_rng(6)
    p = {effect: [] for effect in (0.5, 1.5)}
    for _ in range(300):
        labels, before = cohort(generator)
        for effect, found in p.items():
            after = cohort(generator, effect=effect)[1]
            found.append(permutation.paired_permutation(labels, before, after, permutations=199).p_value)
    assert np.mean(np.array(p[0.5]) <= 0.05) < 0.05 + 3 * 0.0126  # standard error of 300 tests
    assert np.mean(np.array(p[1.5]) <= 0.05) > 0.5


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_neither_order_nor_names_matter(seed):
    generator = np.random.default_rng(seed)
    labels, before = cohort(generator, patients=10, runs=2)
    after = cohort(generator, patients=10, runs=2)[1]
    found = permutation.paired_permutation(labels, before, after)
    order = generator.permutation(10)
    shuffled = [OutOfFold(arm.probabilities[:, order]) for arm in (before, after)]
    assert permutation.paired_permutation(labels[order], *shuffled) == pytest.approx(found)
    assert permutation.paired_permutation(labels, after, before) == pytest.approx((-found.difference, found.p_value))
    swapped = [OutOfFold(1 - arm.probabilities) for arm in (before, after)]
    assert permutation.paired_permutation(1 - labels, *swapped) == pytest.approx(found)


def test_one_class_alone_has_no_test():
    arm = of_positive([[0.2, 0.7]])
    assert np.isnan(permutation.paired_permutation(np.array([1, 1]), arm, arm)).all()


@pytest.mark.parametrize(
    ("p", "wanted"),
    [
        # sorted 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 x 1 raised to 0.06
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02, 0.02, 0.02], [0.06, 0.06, 0.06]),
        ([0.01, np.nan, 0.04], [0.02, np.nan, 0.04]),
        ([], []),
    ],
)
def test_holm(p, wanted):
    np.testing.assert_allclose(permutation.holm(p), wanted)


def test_arms_of_unlike_numbers_of_runs_are_refused():
    labels, arm = cohort(np.random.default_rng(0), patients=8)
    with pytest.raises(ValueError, match="3 runs before, 2 after"):
        permutation.paired_permutation(labels, arm, OutOfFold(arm.probabilities[:2]))


def test_the_difference_of_three_classes_is_that_of_balanced_accuracies():
    generator = np.random.default_rng(9)
    labels = np.repeat([0, 1, 2], [12, 8, 4])
    before, after = (
        OutOfFold((p := generator.dirichlet(np.ones(3), (2, 24)) + gain * np.eye(3)[labels]) / p.sum(-1, keepdims=True))
        for gain in (0.1, 2.0)
    )
    found = permutation.paired_permutation(labels, before, after)
    levels = [
        np.mean([metrics.balanced_accuracy_score(labels, p.argmax(axis=1)) for p in arm.probabilities])
        for arm in (before, after)
    ]
    assert found.difference == pytest.approx(levels[1] - levels[0])
    assert found.p_value < 0.01


def test_permuted_labels_of_three_classes():
    generator = np.random.default_rng(10)
    labels = np.repeat([0, 1, 2], [14, 8, 6])
    right = np.where(generator.random((2, 28)) < 0.7, labels, generator.integers(0, 3, (2, 28)))
    assert permutation.label_permutation(labels, right, permutations=999) <= 0.002
    assert permutation.label_permutation(labels, (right + 1) % 3, permutations=999) < 0.05  # beyond chance, downwards
    assert permutation.label_permutation(labels, np.zeros((1, 28), int), permutations=99) == 1.0
    p = [
        permutation.label_permutation(labels, generator.integers(0, 3, (2, 28)), permutations=199, seed=seed)
        for seed in range(200)
    ]
    assert np.mean(np.array(p) <= 0.1) < 0.1 + 3 * 0.021  # standard error of 200 tests
    assert np.mean(p) == pytest.approx(0.5, abs=0.08)


def test_p_of_permuted_labels_is_the_share_of_all_orders():
    labels, decided = np.array([0, 0, 1, 2, 2]), np.array([[0, 0, 1, 2, 1]])
    orders = [np.array(order) for order in set(itertools.permutations(labels.tolist()))]
    levels = [metrics.balanced_accuracy_score(order, decided[0]) for order in orders]
    level = metrics.balanced_accuracy_score(labels, decided[0])
    middle = np.mean(levels)
    wanted = np.mean(np.abs(levels - middle) >= abs(level - middle) - 1e-9)
    assert permutation.label_permutation(labels, decided, permutations=4000) == pytest.approx(wanted, abs=0.02)
