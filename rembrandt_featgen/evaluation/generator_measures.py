"""How good the samples of a generator are: fidelity, diversity, memorisation, and what classifiers make of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rembrandt_featgen.classification import classifier_kinds
from rembrandt_featgen.classification.classifier_kinds import CLASSIFIER_KINDS, ClassifierSettings, Model
from rembrandt_featgen.classification.training_problems import Problem
from rembrandt_featgen.generation.training_set import Samples
from rembrandt_featgen.measures import classification, decisions, fidelity, memorisation

# In units of prepared features, beyond which all counts as so far off: of vectors, standard deviations of the training
# samples from their mean; of maps, whose channels are divided by their root mean square and then averaged over
# positions, as many times that. Columns that are 0 but for a patient or two are common, and a test patient far off in
# one would be all that a distance says.
_FAR = 5.0
AMOUNT = 1.0  # of a generator's samples that is measured, see `training_set.counts`


class Real(NamedTuple):
    """Prepared features [n, *shape] of real samples, their labels [n] and patients [n]."""

    features: np.ndarray
    labels: np.ndarray
    patients: np.ndarray


class Judges(NamedTuple):
    """Classifiers of real training samples, at a middling strength of regularisation.

    Attributes:
      settings, strength, seed: with which `real` was trained, and others are.
      real: the study's classifier.
      independent: of another kind and seed: what a generator's own classifier learnt does not help it here.
      num_classes: of the run.
    """

    settings: ClassifierSettings
    strength: float
    seed: int
    real: Model
    independent: Model
    num_classes: int


def judges(
    training: Real, *, settings: ClassifierSettings, other: ClassifierSettings, num_classes: int, seed: int
) -> Judges:
    """Trains the classifiers that look at the samples of generators.

    Args:
      training: of the training patients.
      settings: of the study's classifier.
      other: of the independent one.
      num_classes: of the run.
      seed: of both.
    """
    trained = [
        classifier_kinds.train(
            [_problem(training, num_classes, its_seed)], its_settings, strength=[_middle(its_settings)]
        )
        for its_settings, its_seed in ((settings, seed), (other, seed + 1))
    ]
    return Judges(
        settings,
        _middle(settings),
        seed=seed,
        real=trained[0][0],
        independent=trained[1][0],
        num_classes=num_classes,
    )


def measure(drawn: Samples, training: Real, test: Real, *, judged_by: Judges) -> dict:
    """Measures samples of a generator against real ones of test patients.

    Args:
      drawn: of the generator, prepared as the real ones.
      training: of the training patients, from which those of the generator come.
      test: of the test patients.
      judged_by: of `judges`.

    Returns:
      Measures by name, as stage.json holds them; NaN where there are too few features or test samples for them.
    """
    near, far, synthetic = (_pooled(features) for features in (training.features, test.features, drawn.features))
    audit, of_classes = memorisation.audit_of_classes(
        memorisation.Labelled(near, training.labels, training.patients),
        memorisation.Labelled(far, test.labels, test.patients),
        memorisation.Labelled(synthetic, drawn.labels),
    )
    near, far, synthetic = (np.clip(features, -_FAR, _FAR) for features in (near, far, synthetic))
    measured = {
        **_distances(far, synthetic),
        **{f"{name}_real": value for name, value in _distances(far, near).items()},  # between real patients
        **_manifold(far, synthetic)._asdict(),
        "memorisation": {
            **audit._asdict(),
            "by_label": {str(label): one._asdict() for label, one in of_classes.items()},
        },
    }
    alone = Real(drawn.features, drawn.labels, np.zeros(len(drawn.labels)))
    (network,) = classifier_kinds.train(
        [_problem(alone, judged_by.num_classes, judged_by.seed)], judged_by.settings, strength=[judged_by.strength]
    )
    measured["train_synthetic_test_real"] = _balanced_accuracy(test.labels, network.probabilities(test.features))
    measured["train_real_test_synthetic"] = _balanced_accuracy(
        drawn.labels, judged_by.real.probabilities(drawn.features)
    )
    for name, samples in (("class_accuracy_independent", drawn), ("class_accuracy_independent_real", test)):
        correct = decisions.decide(judged_by.independent.probabilities(samples.features)) == samples.labels
        measured[name] = float(np.mean(correct))
    return measured


def _problem(samples: Real, num_classes: int, seed: int) -> Problem:
    return Problem(samples.features, samples.labels, num_classes, seed=seed)


def _middle(settings: ClassifierSettings) -> float:
    strengths = next(kind.strengths for kind in CLASSIFIER_KINDS.values() if isinstance(settings, kind.settings))
    return strengths[(len(strengths) - 1) // 2]


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


def _pooled(features: np.ndarray) -> np.ndarray:
    """[n, d]: vectors as they are; maps averaged over positions, a number for each channel."""
    return features.mean(axis=(1, 2)) if features.ndim == 4 else features


def _balanced_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return classification.measures(labels, probabilities)["balanced_accuracy"]
