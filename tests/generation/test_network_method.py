"""What all generators that are networks do; that their draws are right is in test_generated_truth.py."""

import dataclasses

import numpy as np
import pytest

from rembrandt_featgen.generation.class_residuals import Residuals
from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.generation.network_method import NetworkMethod, choices
from rembrandt_featgen.generation.sampling_method import real_samples
from rembrandt_featgen.generation.whitening import whiten

NETWORKS = {name: method for name, method in METHODS.items() if isinstance(method, NetworkMethod)}


def cohort(patients, seed, size=6, samples=1):
    """Two classes of unlike covariance."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(patients) % 2, samples)
    features = random.normal(size=(len(labels), size)) * (1 + labels[:, None]) + 3 * labels[:, None]
    return real_samples(
        features, labels, np.repeat(np.arange(patients), samples), num_classes=2, signed=True, seed=seed
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_together_as_alone_and_each_by_its_seed(name):
    method = dataclasses.replace(NETWORKS[name], steps=30)
    reals = [cohort(30, 0), cohort(44, 1, samples=2), cohort(12, 3, size=40), cohort(30, 0)]
    together = [fitted.draw(1, 50, 5) for fitted in method.fit_many(reals)]
    for real, drawn in zip(reals[1:3], together[1:3]):
        alone = method.fit_many([real])[0].draw(1, 50, 5)
        np.testing.assert_allclose(drawn, alone, atol=2e-3)
    np.testing.assert_allclose(together[0], together[3], atol=2e-3)
    other_seed = method.fit_many([dataclasses.replace(reals[0], seed=9)])[0]
    assert np.abs(together[0] - other_seed.draw(1, 50, 5)).max() > 0.02


@pytest.mark.parametrize("name", NETWORKS)
def test_steps_move_every_weight_and_every_loss_is_finite(name):
    method, real = dataclasses.replace(NETWORKS[name], steps=20), cohort(30, 0)
    draw = method.fit_many([real])[0].flat_draw
    assert draw.losses.shape == (20, len(method.losses))
    assert np.isfinite(draw.losses).all()
    assert (np.ptp(draw.losses, axis=0) > 0).all()
    width = method.width(6) or 6
    initial = method.initial(width, 2, np.random.default_rng([real.seed, 0]))
    for network, weights in draw.weights.items():
        assert len(weights) == len(initial[network]) == 2 * method.layers[network]
        for before, after in zip(initial[network], weights):
            assert before.shape == after.shape
            if network == "critic" and before.size == 1:
                continue  # what is added to all scores has no part in their differences
            assert np.mean(after != before) > 0.95, network  # rectifiers leak, so that no unit is dead


@pytest.mark.parametrize("name", NETWORKS)
def test_losses_fall(name):
    draw = dataclasses.replace(NETWORKS[name], steps=150).fit_many([cohort(60, 0)])[0].flat_draw
    if name == "wgan":
        assert np.abs(draw.losses[-50:, 0]).mean() < 3  # no critic runs away
        assert draw.losses[-50:, 1].mean() < 0.2
    else:
        assert draw.losses[-30:].sum(axis=1).mean() < draw.losses[:30].sum(axis=1).mean()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_loss_that_is_not_finite_is_an_error(name):
    method = dataclasses.replace(NETWORKS[name], learning_rate=1e25, steps=20, decay=0.0)
    with pytest.raises(FloatingPointError, match="lower its learning rate"):
        method.fit_many([cohort(30, 0)])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_class_of_one_patient_has_the_deviations_of_others(name):
    random = np.random.default_rng(0)
    features, labels = random.normal(size=(41, 3)) * [1, 5, 0.2], np.repeat([0, 1], [40, 1])
    features[40] = 20
    method = dataclasses.replace(NETWORKS[name], steps=150)
    drawn = method.fit(features, labels, None, num_classes=2, signed=True, seed=0).draw(1, 500, 0)
    np.testing.assert_allclose(drawn.mean(axis=0), 20, atol=1.5)
    np.testing.assert_allclose(drawn.std(axis=0), features[:40].std(axis=0), rtol=0.45)


def test_what_is_shown():
    """Classes equally often, patients of a class equally often, and of all classes as many as are borrowed."""
    groups = np.repeat([0, 1, 2, 3, 4, 5], [1, 1, 6, 1, 1, 20])
    labels = np.repeat([0, 0, 1, 1, 1, 1], [1, 1, 6, 1, 1, 20])
    features = np.random.default_rng(0).normal(size=(30, 2))
    space = whiten(Residuals.of(real_samples(features, labels, groups, num_classes=2, signed=True, seed=0)), 32)
    for borrowed in (0.0, 6.0):
        method = dataclasses.replace(NETWORKS["diffusion"], borrowed=borrowed, steps=200, batch=100)
        rows, shown = choices(method, space, np.random.default_rng(0))
        assert abs(shown.mean() - 0.5) < 0.01
        for label, patients in ((0, 2), (1, 4)):
            of_class = rows[shown == label]
            own = patients / (patients + borrowed)
            expected = [own * (label == (k > 1)) / patients + (1 - own) / 6 for k in range(6)]
            np.testing.assert_allclose(np.bincount(groups[of_class], minlength=6) / len(of_class), expected, atol=0.02)


def test_settings_are_checked():
    for settings in ({"steps": 0}, {"learning_rate": 0.0}, {"blur": 1.0}, {"borrowed": -1.0}, {"decay": -1.0}):
        with pytest.raises(ValueError, match="received"):
            dataclasses.replace(NETWORKS["cvae"], **settings)
    for name, setting in (("wgan", {"critic_steps": 0}), ("diffusion", {"times": 1})):
        with pytest.raises(ValueError, match="received"):
            dataclasses.replace(NETWORKS[name], **setting)
