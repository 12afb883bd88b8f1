"""Every generative method where the truth is known; the figures are in the room's README."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from rembrandt_featgen.generation.methods import METHODS

GENERATIVE = [name for name, method in METHODS.items() if method.kind == "generative"]
SIZE = 6
MEANS = np.array([[0.0] * SIZE, [1.5, 0.0, 0.0, -1.0, 0.0, 0.0]])


def planted(patients, seed):
    """Two classes of means 1.8 apart, of whom one has a third of the patients; two samples of each patient."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(patients) % 3 == 0, 2).astype(int)
    groups = np.repeat(np.arange(patients), 2)
    effects = random.normal(size=(patients, SIZE)) @ np.diag([0.8, 0.8, 0.8, 0.4, 0.4, 0.4])
    features = MEANS[labels] + effects[groups] + 0.6 * random.normal(size=(len(labels), SIZE))
    return 10 + 4 * features, labels, groups


def planted_figures(name):
    """Largest error of a mean in standard deviations of patients, and AUROC of training on draws alone."""
    features, labels, groups = planted(90, 0)
    fitted = METHODS[name].fit(features, labels, groups, num_classes=2, signed=True, seed=0)
    drawn = [fitted.draw(label, 2000, 1) for label in (0, 1)]
    real = [features[labels == label] for label in (0, 1)]
    error = max(np.max(np.abs(a.mean(axis=0) - b.mean(axis=0)) / b.std(axis=0)) for a, b in zip(drawn, real))
    test, truth, _ = planted(2000, 1)
    classifier = LogisticRegression().fit(np.concatenate(drawn), np.repeat([0, 1], 2000))
    return error, roc_auc_score(truth, classifier.decision_function(test))


@pytest.mark.parametrize("name", GENERATIVE)
def test_means_are_kept_and_a_classifier_of_draws_alone_tells_real_patients_apart(name):
    error, auroc = planted_figures(name)
    print(f"{name}: mean {error:.3f}, AUROC {auroc:.3f}")
    assert error < 0.25
    assert auroc > 0.86  # of real samples of the same patients: 0.90


def bimodal(patients, seed):
    """Class 0 has two lumps along the first column, class 1 along the second."""
    random = np.random.default_rng(seed)
    labels = np.arange(patients) % 2
    features = random.normal(size=(patients, 4))
    features[np.arange(patients), labels] += 4 * random.choice([-1, 1], patients)
    return features, labels


def density_between(features, label):
    """Density of a class between its lumps, by that within them: of the truth 0.02, of one Gaussian above 2."""
    place = np.abs(features[:, label])
    return np.mean(place < 1.5) / np.mean((place > 2.5) & (place < 5.5)) * 2


@pytest.mark.parametrize("name", ["gaussian", "kde", "wgan", "cvae", "flow", "diffusion"])
def test_two_lumps_of_a_class_are_drawn_as_two(name):
    features, labels = bimodal(160, 0)
    fitted = METHODS[name].fit(features, labels, None, num_classes=2, signed=True, seed=0)
    drawn = [fitted.draw(label, 2000, 1) for label in (0, 1)]
    between = max(density_between(drawn[label], label) for label in (0, 1))
    sides = [np.mean(drawn[label][:, label] > 0) for label in (0, 1)]
    print(f"{name}: between {between:.2f}, on one side {sides}")
    assert (between > 1.5) if name == "gaussian" else (between < 1.4)
    assert 0.3 < min(sides) <= max(sides) < 0.7
