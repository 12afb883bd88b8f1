import numpy as np
import pytest

from rembrandt_featgen.classification import classifier_kinds, ridge, tuning
from rembrandt_featgen.classification.training_problems import Problem
from tests.classification import vectors

SETTINGS = ridge.RidgeSettings()
STRENGTHS = classifier_kinds.CLASSIFIER_KINDS["ridge"].strengths


def test_folds_keep_groups_whole_and_have_like_numbers_of_each_class():
    groups = np.repeat(np.arange(23), 3)
    labels = np.repeat(np.arange(23) % 3 == 0, 3).astype(int)  # 15 groups of class 0, 8 of class 1
    parts = tuning.inner_folds(labels, groups, 5, seed=3)
    assert sorted(np.concatenate([validation for _, validation in parts])) == list(range(69))
    for training, validation in parts:
        assert sorted([*training, *validation]) == list(range(69))
        assert not set(groups[training]) & set(groups[validation])
        by_class = [len(set(groups[validation][labels[validation] == label])) for label in (0, 1)]
        assert by_class[0] == 3
        assert by_class[1] in (1, 2)
    again, other = (tuning.inner_folds(labels, groups, 5, seed=seed) for seed in (3, 4))
    assert all((one[1] == two[1]).all() for one, two in zip(parts, again))
    assert any((one[1] != two[1]).any() for one, two in zip(parts, other) if len(one[1]) == len(two[1]))


def test_a_class_of_few_groups_makes_few_folds():
    labels = np.array([0] * 10 + [1] * 3)
    assert len(tuning.inner_folds(labels, np.arange(13), 5, seed=0)) == 3


def test_the_only_group_of_a_class_is_always_trained():
    labels, groups = np.array([0] * 6 + [1] * 6 + [2] * 4), np.array([*range(12), 99, 99, 99, 99])
    parts = tuning.inner_folds(labels, groups, 3, seed=0)
    assert len(parts) == 3
    assert all(set(training) >= {12, 13, 14, 15} for training, _ in parts)


def test_no_folds_where_one_class_alone_can_be_validated():
    assert tuning.inner_folds(np.array([0, 0, 0, 1]), np.arange(4), 3, seed=0) == []
    assert tuning.inner_folds(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), 3, seed=0) == []


def test_a_group_of_several_classes_counts_as_the_rarest_of_these():
    labels = np.array([0, 0, 1, 0, 1, 0, 0, 0, 0, 1])
    groups = np.array([0, 0, 0, 1, 1, 2, 3, 5, 6, 4])  # of classes 1, 1, 0, 0, 0, 0, 1
    parts = tuning.inner_folds(labels, groups, 3, seed=0)
    assert all(len({0, 1, 4} & set(groups[validation])) == 1 for _, validation in parts)


def test_losses_by_hand():
    labels, groups = np.array([0, 0, 0, 1]), np.array(["a", "a", "b", "c"])
    p = np.array([0.5, 0.25, 0.1, 0.2])
    probabilities = np.stack([p, 1 - p], 1)
    of_first = (np.mean([-np.log(0.5), -np.log(0.25)]) - np.log(0.1)) / 2
    assert tuning.group_log_loss(labels, groups, probabilities) == pytest.approx((of_first - np.log(0.8)) / 2)
    assert np.isfinite(tuning.group_log_loss(labels, groups, np.tile([0.0, 1.0], (4, 1))))


def test_what_knows_nothing_but_frequencies_is_balanced_to_equal_probabilities():
    problem = Problem(np.zeros((8, 2), np.float32), np.array([0] * 7 + [1]), 2)
    np.testing.assert_allclose(tuning.balanced(np.array([[0.8, 0.2]]), problem), [[0.5, 0.5]])
    weighted = Problem(problem.features, problem.labels, 2, weights=np.array([1.0] * 7 + [7.0]))
    np.testing.assert_allclose(tuning.balanced(np.array([[0.8, 0.2]]), weighted), [[0.8, 0.2]])


def test_of_equal_losses_the_strongest_is_chosen():
    assert tuning.choose(np.array([[3.0, 1.0], [1.0, 1.0], [0.5, 1.5], [2.0, 2.0]])) == 2
    assert tuning.choose(np.array([[1.0], [np.nan], [1.5]])) == 0
    assert tuning.choose(np.zeros((4, 0))) == 3


def tasks(signal, count=6, seen=None):
    """Tasks of 80 patients with two samples each and 60 numbers, the first of which has all the signal there is."""
    made = []
    for seed in range(count):
        random = np.random.default_rng(seed)
        labels, groups = np.repeat(random.permutation(np.arange(80) % 2), 2), np.repeat(np.arange(80), 2)
        features = random.normal(size=(160, 60)).astype(np.float32)
        features[:, 0] += signal * labels

        def make(training, validation, features=features, labels=labels, seed=seed):
            if seen is not None:
                seen.append((set(training), set(validation)))
            return Problem(features[training], labels[training], 2, seed=seed), features[validation]

        made.append(tuning.Task(labels, groups, make, seed))
    return made


def test_a_strong_penalty_is_chosen_in_noise_and_a_weaker_one_of_signal():
    noise, signal = (tuning.tune(tasks(size), SETTINGS) for size in (0.0, 4.0))
    assert np.median([choice.strength for choice in noise]) == max(STRENGTHS)
    assert np.median([choice.strength for choice in signal]) <= 0.1
    assert all(choice.losses.shape == (6, 5) and choice.strengths == STRENGTHS for choice in noise)
    # what is chosen in noise is next to saying that nothing is known
    assert np.mean([choice.losses[-1].mean() for choice in noise]) == pytest.approx(np.log(2), abs=0.02)


def test_each_inner_part_is_made_once_and_of_its_training_rows_alone(monkeypatch):
    seen = []
    together = tuning.tune(tasks(1.0, count=3, seen=seen), SETTINGS, folds=4)
    assert len(seen) == 3 * 4
    assert all(not training & validation and len(training | validation) == 160 for training, validation in seen)
    monkeypatch.setattr(tuning, "_AT_ONCE", 1)
    for one, other in zip(together, tuning.tune(tasks(1.0, count=3), SETTINGS, folds=4)):
        np.testing.assert_allclose(one.losses, other.losses, atol=1e-6)


def test_parts_of_unlike_numbers_of_columns_are_tuned_as_each_is_alone():
    made = []
    for task in tasks(1.0, count=2):

        def make(training, validation, task=task):
            problem, judged = task.make(training, validation)
            columns = 3 + validation.sum() % 3  # as of training samples that span fewer components
            return Problem(problem.features[:, :columns], problem.labels, 2), judged[:, :columns]

        made.append(tuning.Task(task.labels, task.groups, make, task.seed))
    together, widths = tuning.tune(made, SETTINGS, strengths=(0.01, 1.0), folds=4), set()
    for task, choice in zip(made, together):
        for fold, (rows, rest) in enumerate(tuning.inner_folds(task.labels, task.groups, 4, seed=task.seed)):
            problem, judged = task.make(rows, rest)
            widths.add(judged.shape[1])
            (model,) = classifier_kinds.train([problem], SETTINGS, strength=[0.01])
            p = tuning.balanced(model.probabilities(judged), problem)
            loss = tuning.group_log_loss(task.labels[rest], task.groups[rest], p)
            assert choice.losses[0, fold] == pytest.approx(loss, abs=1e-6)
    assert widths == {4, 5}


def test_without_folds_the_strongest_is_taken():
    features, labels = vectors.samples(6, 3, 2)
    task = tuning.Task(labels, labels, lambda *_: pytest.fail("there is no inner part"))
    (choice,) = tuning.tune([task], SETTINGS, strengths=(0.1, 1.0))
    assert choice.strength == 1.0
    assert choice.losses.shape == (2, 0)
