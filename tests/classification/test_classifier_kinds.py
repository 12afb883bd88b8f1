import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from rembrandt_featgen.classification import classifier_kinds
from rembrandt_featgen.classification.classifier_kinds import CLASSIFIER_KINDS
from rembrandt_featgen.classification.perceptrons import PerceptronSettings
from rembrandt_featgen.classification.training_problems import Problem
from tests.classification import vectors

SETTINGS = {name: kind.settings() for name, kind in CLASSIFIER_KINDS.items()}
SETTINGS["mlp"] = PerceptronSettings(units=6, epochs=25, batch=16, learning_rate=5e-3)
OF_VECTORS = [name for name, kind in CLASSIFIER_KINDS.items() if not kind.of_maps]  # those of maps: test_map_fitting
every = pytest.mark.parametrize("name", OF_VECTORS)


def problems(classes, d=12):
    options = [{}, {"focusing": 2.0}, {"mixing": "input"}, {"mixing": "manifold"}]
    options.append({"weights": np.random.default_rng(0).uniform(0, 2, 44)})
    return [vectors.problem(40 + k, d, classes, seed=k, **one) for k, one in enumerate(options)]


@every
@pytest.mark.parametrize("classes", [2, 3])
def test_it_learns_and_each_result_depends_on_its_problem_alone(name, classes):
    all_of_them, strength = problems(classes), CLASSIFIER_KINDS[name].strengths[:5]
    test, labels = vectors.samples(60, 12, classes, seed=77)
    models = classifier_kinds.train(all_of_them, SETTINGS[name], strength=strength)
    together = [model.probabilities(test) for model in models]
    for number, found in enumerate(together):
        assert found.shape == (60, classes)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found.sum(1), 1.0)
        (alone,) = classifier_kinds.train([all_of_them[number]], SETTINGS[name], strength=[strength[number]])
        np.testing.assert_allclose(alone.probabilities(test), found, atol=1e-5)
    assert np.mean([roc_auc_score(labels == 1, found[:, 1]) for found in together]) > 0.6


@every
def test_padding_does_not_change_the_result(name):
    """Beside a problem of many more samples, and of the same number of batches."""
    first, larger = vectors.problem(33, 5, 2), vectors.problem(48, 5, 2, seed=1)
    strength = CLASSIFIER_KINDS[name].strengths[1]
    alone = classifier_kinds.train([first], SETTINGS[name], strength=[strength])[0]
    beside = classifier_kinds.train([larger, first], SETTINGS[name], strength=[strength] * 2)[1]
    np.testing.assert_allclose(alone.probabilities(larger.features), beside.probabilities(larger.features), atol=1e-5)


@every
def test_samples_of_no_weight_are_as_if_they_were_not_there(name):
    features, labels = vectors.samples(40, 5, 2)
    weights = np.where(np.arange(40) < 4, 0.0, 1.0)
    other = features + 5.0 * (weights == 0)[:, None].astype(np.float32)
    one, two = classifier_kinds.train(
        [Problem(values, labels, 2, weights=weights) for values in (features, other)],
        SETTINGS[name],
        strength=[1.0] * 2,
    )
    np.testing.assert_allclose(one.probabilities(features), two.probabilities(features), atol=1e-5)


def test_each_kind_tries_as_many_strengths_from_weak_to_strong():
    for kind in CLASSIFIER_KINDS.values():
        assert len(kind.strengths) == 6
        assert list(kind.strengths) == sorted(kind.strengths)


@every
def test_the_strongest_leaves_less_than_the_weakest(name):
    problem = vectors.problem(200, 60, 2)
    strengths = CLASSIFIER_KINDS[name].strengths
    weak, strong = classifier_kinds.train([problem] * 2, SETTINGS[name], strength=[strengths[0], strengths[-1]])
    test, _ = vectors.samples(50, 60, 2, seed=5)
    assert strong.probabilities(test).std() < weak.probabilities(test).std() / 1.5


@every
def test_nothing_is_trained_of_nothing(name):
    assert classifier_kinds.train([], SETTINGS[name], strength=[]) == []


def test_problems_of_one_call_are_alike():
    with pytest.raises(ValueError, match=r"share shape and classes .* \[\(4, 2\), \(5, 2\)\]"):
        classifier_kinds.train(
            [vectors.problem(20, 4, 2), vectors.problem(20, 5, 2)], SETTINGS["ridge"], strength=[1.0] * 2
        )
    with pytest.raises(ValueError, match="2 strengths for 1 problems"):
        classifier_kinds.train([vectors.problem(20, 4, 2)], SETTINGS["ridge"], strength=[1.0] * 2)


@pytest.mark.parametrize(("name", "shape"), [("cnn", (8, 5)), ("ridge", (8, 2, 2, 3))])
def test_maps_and_vectors_have_their_classifiers(name, shape):
    problem = Problem(np.ones(shape, np.float32), np.arange(8) % 2, 2)
    with pytest.raises(ValueError, match=f"{name} is of .*, received"):
        classifier_kinds.train([problem], SETTINGS[name], strength=[1.0])
