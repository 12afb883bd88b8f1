import numpy as np
import pytest
from sklearn import metrics

from rembrandt_featgen.metrics import classification


def test_golden_values():
    # HGG: 3 of 4 right, LGG: 1 of 2 right
    found = classification.measures(np.array([1, 1, 1, 1, 0, 0]), np.array([0.9, 0.8, 0.7, 0.2, 0.6, 0.1]))
    assert found["accuracy_HGG"] == 0.75
    assert found["accuracy_LGG"] == 0.5
    assert found["accuracy_total"] == pytest.approx(4 / 6)
    assert found["balanced_accuracy"] == 0.625
    # pairs (HGG, LGG) in the right order: 2 + 2 + 2 + 1 of 8
    assert found["auroc"] == pytest.approx(7 / 8)
    # (TP TN - FP FN) / sqrt((TP+FP)(TP+FN)(TN+FP)(TN+FN)), with TP 3, TN 1, FP 1, FN 1
    assert found["mcc"] == pytest.approx((3 - 1) / np.sqrt(4 * 4 * 2 * 2))


@pytest.mark.parametrize("decimals", [1, 6])  # one decimal makes many ties
def test_agrees_with_scikit_learn(decimals):
    generator = np.random.default_rng(1)
    labels, probabilities = generator.integers(0, 2, 300), generator.random(300).round(decimals)
    found = classification.measures(labels, probabilities)
    predicted = probabilities > 0.5
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(labels, predicted))
    assert found["mcc"] == pytest.approx(metrics.matthews_corrcoef(labels, predicted))
    assert found["auroc"] == pytest.approx(metrics.roc_auc_score(labels, probabilities))


def test_the_same_answer_for_everyone_has_no_correlation():
    assert classification.measures(np.array([1, 0]), np.array([0.9, 0.9]))["mcc"] == 0.0


def test_the_papers_headline_is_a_fall_of_balanced_accuracy():
    # Table 3 on 362 HGG and 208 LGG slices: 0.569 and 0.384, against 0.95 and 0.05 before
    labels = np.repeat([1, 0], [362, 208])
    right = np.concatenate([np.arange(362) < 0.569 * 362, np.arange(208) < 0.384 * 208])
    found = classification.measures(labels, np.where(right, labels, 1 - labels).astype(float))
    assert found["balanced_accuracy"] == pytest.approx(0.4765, abs=2e-3)
    assert found["accuracy_total"] == pytest.approx(0.501, abs=2e-3)


def test_one_class_alone_leaves_measures_undefined():
    found = classification.measures(np.array([1, 1]), np.array([0.9, 0.1]))
    assert found["accuracy_HGG"] == 0.5
    assert all(np.isnan(found[name]) for name in ("accuracy_LGG", "balanced_accuracy", "mcc", "auroc"))


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
