import numpy as np
import pytest

from rembrandt_featgen.evaluation import generator_measures, trials
from rembrandt_featgen.evaluation.arms import ARMS
from rembrandt_featgen.evaluation.loaded_features import LoadedFeatures
from rembrandt_featgen.generation.training_set import Samples
from tests.evaluation.separable import SMALL, features_of, training_set, validation_set


def measured(features, labels, real=True, tested=40):
    """Measures of a pool, the test patients being others, with two slices each."""
    training, validation, truth = training_set(), validation_set(), np.arange(tested) // 2 % 2
    test = LoadedFeatures(
        features=features_of(truth, 7),
        labels=truth,
        patients=np.array([f"z{i // 2}" for i in range(tested)]),
        positions=np.arange(tested),
    )
    network = trials.train(ARMS["none"], training, validation, amount=None, settings=SMALL, seed=0)
    return generator_measures.measure(
        Samples(features, labels),
        training=training,
        validation=validation,
        test=test,
        settings=SMALL,
        seed=0,
        real=network if real else None,
    )


def test_features_of_the_same_distribution_do_well():
    labels = np.arange(80) % 2
    found = measured(features_of(labels, 8), labels)
    assert found["class_accuracy_independent"] > 0.9
    assert found["train_synthetic_test_real"] > 0.9
    assert found["train_real_test_synthetic"] > 0.9
    assert found["coverage"] > 0.8
    assert not found["memorisation"]["memorised"]


def test_wrong_labels_are_seen_by_the_independent_classifier():
    labels = np.arange(80) % 2
    found = measured(features_of(labels, 8), 1 - labels)
    assert found["class_accuracy_independent"] < 0.1
    assert found["train_real_test_synthetic"] < 0.1


def test_copies_are_audited_and_a_missing_classifier_is_left_out():
    training = training_set()
    found = measured(np.tile(training.features, (3, 1, 1, 1)), np.tile(training.labels, 3), real=False)
    assert found["memorisation"]["memorised"]
    assert "train_real_test_synthetic" not in found


@pytest.mark.parametrize(("pool", "tested"), [(2, 40), (5, 40), (80, 4), (2, 2)])
def test_few_features_or_test_slices_leave_measures_undefined_and_do_not_stop(pool, tested):
    labels = np.arange(pool) % 2
    found = measured(features_of(labels, 8), labels, tested=tested)
    assert np.isnan([found[name] for name in ("precision", "recall", "density", "coverage")]).all()
    assert np.isfinite([found["kernel_distance"], found["frechet_distance"], found["class_accuracy_independent"]]).all()
    assert not found["memorisation"]["memorised"] or tested < 40
