import numpy as np
import pytest

from rembrandt_featgen.classification import training_problems
from rembrandt_featgen.classification.training_problems import Problem

FEATURES = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 9.0]], np.float32)
LABELS = np.array([0, 2, 2])


@pytest.mark.parametrize("seen", [1, 5, 7, 8, 20])
def test_an_epoch_sees_samples_equally_often(seen):
    order = training_problems.epoch_order(7, seen, np.random.default_rng(0))
    counts = np.bincount(order, minlength=7)
    assert len(order) == seen and counts.max() - counts.min() <= 1
    assert list(order[:7]) != sorted(order[:7]) or seen < 7


def test_targets_and_shares_by_hand():
    targets = Problem(FEATURES, LABELS, 3, weights=np.array([1.0, 2.0, 3.0])).targets()
    np.testing.assert_allclose(targets, [[0.5, 0, 0], [0, 0, 1], [0, 0, 1.5]])
    np.testing.assert_allclose(Problem(FEATURES, LABELS, 3).shares(), [2 / 6, 1 / 6, 3 / 6])


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_basis_of_classes_spans_all_logits_but_a_constant(classes):
    basis = training_problems.class_basis(classes)
    logits = np.random.default_rng(0).normal(size=classes)
    logits -= logits[0] if classes == 2 else logits.mean()
    np.testing.assert_allclose(basis @ np.linalg.lstsq(basis, logits, rcond=None)[0], logits, atol=1e-12)
    if classes > 2:
        np.testing.assert_allclose(basis.T @ basis, np.eye(classes - 1), atol=1e-12)


def test_nothing_is_mixed_unless_it_is_asked_for():
    rows, targets = training_problems.all_mixed(Problem(FEATURES, LABELS, 3), FEATURES)
    np.testing.assert_array_equal(rows, FEATURES)
    np.testing.assert_array_equal(targets, np.eye(3)[LABELS])


@pytest.mark.parametrize("mixing", ["input", "manifold"])
def test_mixtures_lie_between_two_samples_as_their_targets_say(mixing):
    problem = Problem(FEATURES, LABELS, 3, mixing=mixing, seed=4)
    names = np.eye(3)  # each row says of which samples it is a mixture
    rows, targets = training_problems.all_mixed(problem, names)
    assert len(rows) == 3 * training_problems.MIXED_COPIES
    np.testing.assert_allclose(rows.sum(1), 1.0)
    assert ((rows > 0).sum(1) <= 2).all()
    np.testing.assert_allclose(targets * training_problems.MIXED_COPIES, rows @ np.eye(3)[LABELS])
    np.testing.assert_allclose(targets.sum(), 3.0)


def test_a_single_sample_is_mixed_with_itself():
    rows, _ = training_problems.all_mixed(Problem(FEATURES[:1], LABELS[:1], 3, mixing="input"), FEATURES[:1])
    np.testing.assert_allclose(rows, np.tile(FEATURES[:1], (training_problems.MIXED_COPIES, 1)))


def test_chunks_keep_to_the_limit_as_padded_to_their_largest():
    assert list(training_problems.chunks([2, 0, 1, 3], [3, 3, 2, 99], 6)) == [[2, 0], [1], [3]]
    assert list(training_problems.chunks([], [], 6)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": FEATURES[:, 0]}, "features must be"),
        ({"features": np.full((3, 2), np.nan)}, "NaN among them"),
        ({"labels": np.array([0, 1, 3])}, "labels must be .3. from 0 to 2"),
        ({"labels": LABELS[:2]}, "labels must be"),
        ({"weights": np.zeros(3)}, "not all 0"),
        ({"weights": np.array([1.0, -1.0, 1.0])}, "weights must be"),
        ({"mixing": "output"}, "mixing of input, manifold or None"),
        ({"focusing": -1.0}, "focusing from 0"),
    ],
)
def test_what_cannot_be_trained_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Problem(**({"features": FEATURES, "labels": LABELS, "classes": 3} | change))
