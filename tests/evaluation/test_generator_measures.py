import numpy as np
import pytest

from rembrandt_featgen.classification.map_fitting import CnnSettings, LinearSettings
from rembrandt_featgen.classification.neighbours import NeighbourSettings
from rembrandt_featgen.classification.ridge import RidgeSettings
from rembrandt_featgen.evaluation import generator_measures
from rembrandt_featgen.evaluation.generator_measures import Real
from rembrandt_featgen.generation.training_set import Samples

TRAINED = np.array([0] * 8 + [1] * 16)
NETWORK = {"epochs": 30, "batch": 8, "learning_rate": 1e-2}


def features_of(labels, seed):
    """Separable by the first two channels."""
    features = np.maximum(np.random.default_rng(seed).normal(0.5, 0.3, (len(labels), 6, 6, 3)), 0.0)
    features[..., 0] += 1.5 * (labels == 1)[:, None, None]
    features[..., 1] += 1.5 * (labels == 0)[:, None, None]
    return features.astype(np.float32)


def real(labels, seed, name):
    """Two slices a patient."""
    return Real(features_of(labels, seed), labels, np.array([f"{name}{i // 2}" for i in range(len(labels))]))


@pytest.fixture(scope="module")
def judged_by():
    settings = {"settings": CnnSettings(4, 8, **NETWORK), "other": LinearSettings(**NETWORK)}
    return generator_measures.judges(real(TRAINED, 0, "t"), **settings, num_classes=2, seed=0)


def measured(judged_by, features, labels, tested=40):
    """Measures of samples, the test patients being others."""
    test = real(np.arange(tested) // 2 % 2, 7, "z")
    return generator_measures.measure(Samples(features, labels), real(TRAINED, 0, "t"), test, judged_by=judged_by)


def test_features_of_the_same_distribution_do_well(judged_by):
    labels = np.arange(80) % 2
    found = measured(judged_by, features_of(labels, 8), labels)
    assert found["class_accuracy_independent"] > 0.9
    assert found["train_synthetic_test_real"] > 0.9
    assert found["train_real_test_synthetic"] > 0.9
    assert found["coverage"] > 0.8
    assert not found["memorisation"]["memorised"]


def test_wrong_labels_are_seen_by_the_independent_classifier(judged_by):
    labels = np.arange(80) % 2
    found = measured(judged_by, features_of(labels, 8), 1 - labels)
    assert found["class_accuracy_independent"] < 0.1
    assert found["train_real_test_synthetic"] < 0.1


def test_copies_are_audited(judged_by):
    found = measured(judged_by, np.tile(features_of(TRAINED, 0), (3, 1, 1, 1)), np.tile(TRAINED, 3))
    assert found["memorisation"]["memorised"]


def test_the_independent_classifier_is_tried_on_real_features_too(judged_by):
    labels = np.arange(80) % 2
    assert measured(judged_by, features_of(labels, 8), 1 - labels)["class_accuracy_independent_real"] > 0.9


def test_a_patient_far_off_in_a_column_of_zeros_is_not_all_that_distances_are_of():
    def vectors(seed, count=40):
        labels = np.arange(count) % 2
        features = np.random.default_rng(seed).normal(size=(count, 6)).astype(np.float32)
        features[:, 0] += labels
        return Real(features, labels, np.array([f"{seed}p{number}" for number in range(count)]))

    training, test, drawn = map(vectors, range(3))
    judged_by = generator_measures.judges(
        training, settings=RidgeSettings(), other=NeighbourSettings(), num_classes=2, seed=0
    )
    names = ("kernel_distance", "frechet_distance", "kernel_distance_real", "precision")
    plain, moved = [], []
    for found, value in ((plain, 0.0), (moved, 3000.0)):
        test.features[:2, 5] = value
        measured = generator_measures.measure(
            Samples(drawn.features, drawn.labels), training, test, judged_by=judged_by
        )
        found += [measured[name] for name in names]
    np.testing.assert_allclose(moved, plain, atol=1.5)


@pytest.mark.parametrize(("pool", "tested"), [(2, 40), (5, 40), (80, 4), (2, 2)])
def test_few_features_or_test_slices_leave_measures_undefined_and_do_not_stop(judged_by, pool, tested):
    labels = np.arange(pool) % 2
    found = measured(judged_by, features_of(labels, 8), labels, tested=tested)
    assert np.isnan([found[name] for name in ("precision", "recall", "density", "coverage")]).all()
    assert np.isfinite([found["kernel_distance"], found["frechet_distance"], found["class_accuracy_independent"]]).all()
    assert not found["memorisation"]["memorised"] or tested < 40
