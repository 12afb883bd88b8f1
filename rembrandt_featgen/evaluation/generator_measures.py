"""How good the features of a pool are: fidelity, diversity, memorisation, and what classifiers make of them."""

from __future__ import annotations

import dataclasses

import numpy as np

from rembrandt_featgen.evaluation import trials
from rembrandt_featgen.evaluation.arms import ARMS
from rembrandt_featgen.evaluation.loaded_features import LoadedFeatures
from rembrandt_featgen.generation import classical, training_set
from rembrandt_featgen.generation.training_set import Samples, TrainingSet
from rembrandt_featgen.measures import classification, decisions, fidelity, memorisation

AMOUNT = 1.0  # of a pool's features that is measured


def measure(
    pool: Samples,
    *,
    training: TrainingSet,
    validation: trials.Validation,
    test: LoadedFeatures,
    settings: trials.Settings,
    seed: int,
    real: trials.Trained | None,
) -> dict:
    """Measures the features of a pool against real ones of test patients.

    Args:
      pool: features of each class.
      training: features of the training patients, from which those of the pool come.
      validation: by whom the epochs of the classifiers are chosen.
      test: features of the test patients.
      settings, seed: of the classifiers.
      real: the classifier trained on real features alone, if there is one.

    Returns:
      Measures by name, as stage.json holds them; NaN where there are too few features or test samples for them.
    """
    wanted = training_set.counts(training.labels, AMOUNT, training.num_classes)
    available = {label: min(count, int(np.sum(pool.labels == label))) for label, count in wanted.items()}
    drawn = classical.from_pool(pool)(training, available, seed)
    near, far, synthetic = (
        _pooled(features, training) for features in (training.features, test.features, drawn.features)
    )
    audit, of_classes = memorisation.audit_of_classes(
        memorisation.Labelled(near, training.labels, training.patients),
        memorisation.Labelled(far, test.labels, test.patients),
        memorisation.Labelled(synthetic, drawn.labels),
    )
    measured = {
        **_distances(far, synthetic),
        **{f"{name}_real": value for name, value in _distances(far, near).items()},  # between real patients
        **_manifold(far, synthetic)._asdict(),
        "memorisation": {
            **audit._asdict(),
            "by_label": {str(label): one._asdict() for label, one in of_classes.items()},
        },
    }
    names = np.array([f"synthetic_{i}" for i in range(len(drawn.labels))])
    alone = dataclasses.replace(training, features=drawn.features, labels=drawn.labels, patients=names)
    network = trials.train(ARMS["none"], alone, validation, amount=None, settings=settings, seed=seed)
    measured["train_synthetic_test_real"] = _balanced_accuracy(test.labels, network.probabilities(test.features))
    if real is not None:
        measured["train_real_test_synthetic"] = _balanced_accuracy(drawn.labels, real.probabilities(drawn.features))
    # Independent of the generator: another architecture, trained on real features alone.
    linear = dataclasses.replace(settings, kind="linear")
    judge = trials.train(ARMS["none"], training, validation, amount=None, settings=linear, seed=seed + 1)
    correct = decisions.decide(judge.probabilities(drawn.features)) == drawn.labels
    measured["class_accuracy_independent"] = float(np.mean(correct))
    return measured


def _distances(real: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Distances of distributions; NaN where there are too few samples, which must not end a fold."""
    if min(len(real), len(other)) < 2:
        return {"kernel_distance": np.nan, "frechet_distance": np.nan}
    return {
        "kernel_distance": fidelity.kernel_distance(real, other),
        "frechet_distance": fidelity.frechet_distance(real, other),
    }


def _manifold(real: np.ndarray, synthetic: np.ndarray) -> fidelity.Manifold:
    """Fidelity and diversity; NaN where there are too few samples for them."""
    if min(len(real), len(synthetic)) <= fidelity.NEIGHBOURS:
        return fidelity.Manifold(precision=np.nan, recall=np.nan, density=np.nan, coverage=np.nan)
    return fidelity.precision_recall_density_coverage(real, synthetic)


def _pooled(features: np.ndarray, training: TrainingSet) -> np.ndarray:
    """[n, channels]: scaled features, averaged over positions."""
    return training.scaled(features).mean(axis=(1, 2))


def _balanced_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return classification.measures(labels, probabilities)["balanced_accuracy"]
