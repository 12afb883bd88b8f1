"""AUROC over draws against all pairs one by one."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from rembrandt_featgen.measures import few_shot_auroc


def _by_pairs(scores, positive, weights):
    above = pairs = 0.0
    for of_draw in scores:
        for i in np.flatnonzero(positive & np.isfinite(of_draw)):
            for j in np.flatnonzero(~positive & np.isfinite(of_draw)):
                above += weights[i] * weights[j] * ((of_draw[i] > of_draw[j]) + 0.5 * (of_draw[i] == of_draw[j]))
                pairs += weights[i] * weights[j]
    return above / pairs


@pytest.fixture
def scores():
    random = np.random.default_rng(0)
    values = random.integers(0, 6, (5, 12, 3)).astype(float)  # with ties
    values[random.random((5, 12)) < 0.4] = np.nan
    return values


def test_it_is_the_share_of_all_pairs_and_the_mean_over_classes(scores):
    labels = np.arange(12) % 3
    drawn = few_shot_auroc.resamples(labels, draws=5, times=3, seed=1)
    parts = few_shot_auroc.auroc(scores, drawn)
    for row in range(4):
        expected = [_by_pairs(scores[:, :, k], labels == k, drawn.drawn[row]) for k in range(3)]
        np.testing.assert_allclose(parts.tested[row], np.mean(expected))


def test_one_draw_of_two_classes_is_scikit_learns():
    labels, values = np.arange(20) % 2, np.random.default_rng(0).normal(size=(1, 20))
    drawn = few_shot_auroc.resamples(labels, draws=1, times=2)
    parts = few_shot_auroc.auroc(np.stack([-values, values], axis=2), drawn)
    np.testing.assert_allclose(parts.tested[0], roc_auc_score(labels, values[0]))


def test_a_group_is_drawn_as_one():
    labels, groups = np.arange(12) % 2, np.repeat(np.arange(3), 4) * 2 + np.arange(12) % 2
    drawn = few_shot_auroc.resamples(labels, draws=4, groups=groups, times=50)
    assert drawn.drawn.shape == (51, 6) and drawn.counts == [3, 3]
    assert set(drawn.drawn[1:].sum(axis=1)) == {6.0} and set(drawn.draws[1:].sum(axis=1)) == {4.0}


def test_influence_is_the_derivative_by_the_weight_of_a_patient(scores):
    labels = np.arange(12) % 2
    drawn = few_shot_auroc.resamples(labels, draws=5, times=1)
    more = drawn._replace(drawn=np.concatenate([np.ones((1, 12)), np.ones((12, 12)) + 1e-6 * np.eye(12)]))
    parts = few_shot_auroc.auroc(scores[:, :, :2], more)
    np.testing.assert_allclose((parts.tested[1:] - parts.tested[0]) / 1e-6, parts.influence, atol=1e-5)


def test_the_effect_of_a_draw_is_not_that_of_whom_it_tests():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    ease = random.normal(0, 2, 60)  # some patients are easy in every draw
    values = np.where(random.random((40, 60)) < 0.4, ease + 1.0 * labels, np.nan)
    drawn = few_shot_auroc.resamples(labels, draws=40, times=1)
    parts = few_shot_auroc.auroc(np.stack([-values, values], axis=2), drawn)
    alone = [few_shot_auroc.auroc(np.stack([-one, one], axis=1)[None], drawn).tested[0] for one in values]
    assert parts.effects.std() < 0.5 * np.std(alone)


def test_classes_count_the_same_in_the_mean_loss():
    losses = np.array([[1.0, 2.0, np.nan, 10.0], [3.0, np.nan, 4.0, 20.0]])
    drawn = few_shot_auroc.resamples(np.array([0, 0, 0, 1]), draws=2, times=1)
    parts = few_shot_auroc.mean_loss(losses, drawn)
    np.testing.assert_allclose(parts.tested[0], (2.5 + 15.0) / 2)
