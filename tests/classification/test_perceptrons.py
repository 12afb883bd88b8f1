import dataclasses
import functools
import warnings

import numpy as np
import pytest
from scipy import special
from sklearn.neural_network import MLPClassifier

from rembrandt_featgen.classification import perceptrons
from rembrandt_featgen.classification.perceptrons import PerceptronSettings
from rembrandt_featgen.classification.training_problems import Problem
from tests.classification import vectors

SMALL = PerceptronSettings(units=5, epochs=6, batch=8, learning_rate=0.02)


def probabilities(arrays, features):
    return special.softmax(perceptrons.logits(arrays, features), 1)


@pytest.mark.parametrize("classes", [2, 3])
def test_as_scikit_learn_from_the_same_weights(classes):
    problem = vectors.problem(30, 7, classes)
    settings = PerceptronSettings(units=6, epochs=40, batch=64, learning_rate=0.02)  # one batch: its order is the same
    (arrays,) = perceptrons.fit([problem], settings, [0.0])
    reference = MLPClassifier((6,), alpha=0, learning_rate_init=0.02)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference.partial_fit(problem.features, problem.labels, classes=range(classes))  # makes its arrays
        kernels, biases = reference.coefs_, reference.intercepts_
        ours = perceptrons.initial_weights(problem, 6)
        for theirs, value in zip((kernels[0], biases[0], kernels[1], biases[1]), ours):
            theirs[...] = value.reshape(theirs.shape)
        del reference._optimizer
        for _ in range(settings.epochs):
            reference.partial_fit(problem.features, problem.labels)
    test, _ = vectors.samples(25, 7, classes, seed=9)
    np.testing.assert_allclose(probabilities(arrays, test), reference.predict_proba(test), atol=1e-4)


def batch_loss(weights, *, x, targets, share, focusing):
    """Of one batch, mixed at the input and at the hidden layer."""
    hidden = mix(np.maximum(mix(x, share[0]) @ weights[0] + weights[1], 0), share[1])
    log_p = special.log_softmax(hidden @ weights[2] + weights[3], 1)
    return -(mix(targets, share.prod()) * (1 - np.exp(log_p)) ** focusing * log_p).sum() / len(x)


def mix(values, share):
    return share * values + (1 - share) * np.roll(values, 1, 0)


def by_hand(problem, settings, strength):
    """One training in float64 with gradients by differences, written as the definitions are."""
    weights = [value.astype(float) for value in perceptrons.initial_weights(problem, settings.units)]
    orders, shares = perceptrons.sample_orders(problem, settings), perceptrons.mixing_shares(problem, settings)
    targets, steps = problem.targets(), -(-problem.seen // settings.batch)
    means, squares = ([np.zeros_like(value) for value in weights] for _ in range(2))
    for number in range(settings.epochs * steps):
        start = number % steps * settings.batch
        rows = orders[number // steps, start : start + settings.batch]
        x, t = problem.features[rows].astype(float), targets[rows]
        loss = functools.partial(batch_loss, x=x, targets=t, share=shares[number], focusing=problem.focusing)
        gradients = []
        for value in weights:
            gradient = np.zeros_like(value)
            for index in np.ndindex(value.shape):
                before = value[index]
                value[index] = before + 1e-6
                upper = loss(weights)
                value[index] = before - 1e-6
                gradient[index] = (upper - loss(weights)) / 2e-6
                value[index] = before
            gradients.append(gradient)
        rate = settings.learning_rate * np.sqrt(1 - 0.999 ** (number + 1)) / (1 - 0.9 ** (number + 1))
        for place, gradient in enumerate(gradients):
            means[place] = 0.9 * means[place] + 0.1 * gradient
            squares[place] = 0.999 * squares[place] + 0.001 * gradient**2
            if place % 2 == 0:
                weights[place] *= 1 - settings.learning_rate * strength
            weights[place] -= rate * means[place] / (np.sqrt(squares[place]) + 1e-8)
    return weights


@pytest.mark.parametrize(
    ("mixing", "epoch"), [(None, None), ("input", None), ("manifold", None), (None, 10), (None, 43), ("input", 43)]
)
def test_steps_as_defined(mixing, epoch):
    weights = np.random.default_rng(3).uniform(0.5, 2.0, 19)
    problem = vectors.problem(19, 4, 3, weights=weights, focusing=1.5, mixing=mixing)  # a last batch of three
    problem = dataclasses.replace(problem, epoch=epoch)
    assert perceptrons.sample_orders(problem, SMALL).shape == (SMALL.epochs, epoch or 19)
    (arrays,) = perceptrons.fit([problem], SMALL, [2.0])
    expected = by_hand(problem, SMALL, 2.0)
    for value, wanted in zip(arrays.values(), expected):
        np.testing.assert_allclose(value, wanted.reshape(value.shape), atol=2e-4)


def test_the_last_bias_starts_at_the_shares_of_the_classes():
    labels = np.array([0] * 29 + [1] * 9)  # with one more of each, a quarter
    problem = Problem(np.zeros((38, 3), np.float32), labels, 2)
    assert perceptrons.initial_weights(problem, 4)[3] == pytest.approx(np.log(1 / 3))


def test_the_same_seed_gives_the_same_start_and_order_and_another_one_another():
    one, same, other = (vectors.problem(19, 4, 3, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(perceptrons.sample_orders(one, SMALL), perceptrons.sample_orders(same, SMALL))
    assert (perceptrons.sample_orders(one, SMALL) != perceptrons.sample_orders(other, SMALL)).any()
    kernels = [perceptrons.initial_weights(problem, 5)[0] for problem in (one, same, other)]
    assert (kernels[0] == kernels[1]).all()
    assert (kernels[0] != kernels[2]).all()


def test_more_chunks_give_the_same(monkeypatch):
    problems = [vectors.problem(17 + k, 4, 3, seed=k) for k in range(5)]
    together = perceptrons.fit(problems, SMALL, [0.1] * 5)
    monkeypatch.setattr(perceptrons, "_CHUNK_BYTES", {"CPU": 1, "GPU": 1})
    for one, other in zip(together, perceptrons.fit(problems, SMALL, [0.1] * 5)):
        np.testing.assert_allclose(one["hidden_kernel"], other["hidden_kernel"], atol=1e-6)


def test_a_decay_that_would_turn_weights_round_is_refused():
    with pytest.raises(ValueError, match="from 0 to below 50"):
        perceptrons.fit([vectors.problem(17, 4, 3)], SMALL, [50.0])
