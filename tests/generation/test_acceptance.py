import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.generation.acceptance import Tally, accepted_features
from rembrandt_featgen.generation.gan import build_gan
from rembrandt_featgen.generation.gan_spec import GanSpec

SEED = 4


class Numbers:
    """Draws noise as features [1, 1, 1], with the label added ten times over."""

    def noise(self, count, seed):
        return tf.random.stateless_uniform([count, 1, 1, 1], seed)

    def draw(self, noise, labels, judge):
        features = noise + 10.0 * tf.cast(labels, tf.float32)[:, None, None, None]
        return features, judge(features, labels)


def bright(features, labels):
    """Accepts half of what is drawn."""
    return features[:, 0, 0, 0] - 10.0 * tf.cast(labels, tf.float32) > 0.5


def draw(judge, num_classes=2, **settings):
    tallies = [Tally() for _ in range(num_classes)]
    settings = {"wanted": 5, "tries": 100, "batch": 4, "seed": SEED, **settings}
    return list(accepted_features(Numbers(), judge, tallies, **settings)), tallies


@pytest.mark.parametrize("num_classes", [2, 3])
def test_classes_alternate_until_each_has_what_is_wanted(num_classes):
    found, tallies = draw(bright, num_classes)
    assert [(position, label) for position, label, _ in found] == [(i, k) for i in range(5) for k in range(num_classes)]
    for _, label, feature in found:
        assert feature.shape == (1, 1, 1)
        assert 10 * label + 0.5 < feature.item() < 10 * label + 1
    for tally in tallies:
        assert tally.kept == 5 <= tally.accepted < tally.generated
        assert tally.generated % 4 == 0
        assert tally.rate == tally.accepted / tally.generated


def test_features_are_functions_of_the_seed_and_of_the_class():
    first, again, other = (draw(bright, seed=seed)[0] for seed in (1, 1, 2))
    values = [[feature.item() for _, _, feature in found] for found in (first, again, other)]
    assert values[0] == values[1]
    assert not set(values[0]) & set(values[2])
    assert not {value % 10 for value in values[0][::2]} & {value % 10 for value in values[0][1::2]}


def test_one_try_draws_what_is_wanted_and_no_more():
    found, tallies = draw(bright, tries=1, wanted=7)
    assert [tally.generated for tally in tallies] == [7, 7]
    assert len(found) == sum(tally.kept for tally in tallies) == sum(tally.accepted for tally in tallies) < 14


def test_a_class_of_which_none_is_accepted_leaves_the_other():
    found, tallies = draw(lambda features, labels: labels == 1, tries=2)
    assert [label for _, label, _ in found] == [1] * 5
    assert [(tally.generated, tally.accepted, tally.kept) for tally in tallies] == [(10, 0, 0), (8, 8, 5)]
    assert tallies[0].rate == 0


def test_any_judge_can_take_the_place_of_the_discriminator():
    tf.keras.utils.set_random_seed(1)
    tiny = {"filters_generator": 4, "filters_discriminator": 4, "latent": 3}
    gan, tallies = build_gan(GanSpec("acgan", (2, 2, 3), 2, **tiny), np.ones(3)), [Tally(), Tally()]
    found = accepted_features(gan, lambda features, labels: labels < 5, tallies, wanted=3, tries=1, batch=2, seed=SEED)
    assert len(list(found)) == 6
