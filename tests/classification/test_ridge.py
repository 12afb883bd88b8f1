import dataclasses

import numpy as np
import pytest
from scipy import optimize, special
from sklearn.linear_model import LogisticRegression

from rembrandt_featgen.classification import perceptrons, ridge, training_problems
from rembrandt_featgen.classification.training_problems import Problem
from tests.classification import vectors

SETTINGS = ridge.RidgeSettings()
STRENGTHS = (1e-3, 0.1, 10.0)


def probabilities(arrays, features):
    return special.softmax(ridge.logits(arrays, features), 1)


@pytest.mark.parametrize("d", [8, 60])  # of about forty samples: more than there are numbers, and fewer
@pytest.mark.parametrize("classes", [2, 3])
def test_as_scikit_learn(classes, d):
    weights = np.random.default_rng(1).uniform(0.2, 2.0, 50)
    problems = [vectors.problem(n, d, classes, seed=n, weights=weights[:n]) for n in (30, 41, 50)]
    test, _ = vectors.samples(25, d, classes, seed=9)
    for problem, strength, arrays in zip(problems, STRENGTHS, ridge.fit(problems, SETTINGS, STRENGTHS)):
        n = len(problem.labels)
        reference = LogisticRegression(C=1 / (strength * n), tol=1e-10, max_iter=100_000)
        reference.fit(problem.features.astype(float), problem.labels, problem.targets().sum(1))
        np.testing.assert_allclose(probabilities(arrays, test), reference.predict_proba(test), atol=1e-5)


@pytest.mark.parametrize("options", [{"focusing": 2.0}, {"mixing": "input", "focusing": 2.0}, {"mixing": "manifold"}])
def test_focal_and_mixed_losses_are_at_a_minimum(options):
    problem = vectors.problem(20, 4, 3, **options)
    (arrays,) = ridge.fit([problem], SETTINGS, [0.05])
    rows, targets = training_problems.all_mixed(problem, problem.features.astype(float))

    def loss(values):
        kernel, bias = values[:-3].reshape(4, 3), values[-3:]
        log_p = special.log_softmax(rows @ kernel + bias, 1)
        focal = (1 - np.exp(log_p)) ** problem.focusing
        return -(targets * focal * log_p).sum() / targets.sum() + 0.025 * (kernel**2).sum()

    solved = np.concatenate([arrays["kernel"].ravel(), arrays["bias"]])
    lower = optimize.minimize(loss, solved, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10}).fun
    assert loss(solved) == pytest.approx(lower, abs=1e-10)
    assert loss(solved) < loss(np.zeros(15)) - 0.01


def test_strong_penalty_leaves_the_shares_of_the_classes():
    features, labels = vectors.samples(40, 5, 2)
    labels = np.where(np.arange(40) < 10, 1, 0)
    (arrays,) = ridge.fit([Problem(features, labels, 2)], SETTINGS, [1e6])
    np.testing.assert_allclose(probabilities(arrays, features), np.tile([0.75, 0.25], (40, 1)), atol=1e-5)


def test_a_class_without_samples_gets_no_probability():
    problem = Problem(*vectors.samples(30, 5, 2), 3)
    (arrays,) = ridge.fit([problem], SETTINGS, [0.1])
    assert probabilities(arrays, problem.features)[:, 2].max() < 1e-6


def test_more_chunks_give_the_same(monkeypatch):
    problems = [vectors.problem(20 + k, 6, 3, seed=k) for k in range(4)]
    together = ridge.fit(problems, SETTINGS, [0.1] * 4)
    monkeypatch.setattr(ridge, "_CHUNK_BYTES", 1)
    for one, other in zip(together, ridge.fit(problems, SETTINGS, [0.1] * 4)):
        np.testing.assert_allclose(one["kernel"], other["kernel"], atol=1e-8)


@pytest.mark.parametrize("kind", [ridge, perceptrons])
def test_the_order_of_problems_does_not_depend_on_where_they_are_in_memory(kind, monkeypatch):
    """Last bits depend on the place of a problem in its chunk."""
    orders = []

    def noted(numbers, *rest):
        orders.append(list(numbers))
        return iter(())

    monkeypatch.setattr(training_problems, "chunks", noted)
    one, other = vectors.problem(30, 4, 2, seed=1), vectors.problem(30, 4, 2, seed=2)
    places = sorted((np.empty((30, 4), np.float32) for _ in range(4)), key=id)
    for first, second in (places[:2], places[3:1:-1]):  # the second pair of arrays stands in the opposite order
        pair = [dataclasses.replace(one, features=first), dataclasses.replace(other, features=second)]
        problems = [pair[0], pair[1], pair[0], pair[1]]
        settings = SETTINGS if kind is ridge else perceptrons.PerceptronSettings()
        kind.fit(problems, settings, [0.1] * 4)
    assert orders[0] == orders[1] == [0, 2, 1, 3]


def test_no_penalty_is_refused():
    with pytest.raises(ValueError, match="strengths above 0"):
        ridge.fit([vectors.problem(20, 4, 2)], SETTINGS, [0.0])
