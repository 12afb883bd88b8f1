import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.classification.independent_judge import train_judge
from rembrandt_featgen.generation.acceptance import Tally, accepted_features
from rembrandt_featgen.generation.gan import build_gan
from rembrandt_featgen.generation.gan_spec import GanSpec

SEED = 4


class Numbers:
    """Draws noise as features [1, 1, 1], with the label added ten times over."""

    def noise(self, count, seed):
        return tf.random.stateless_uniform([count, 1, 1, 1], seed)

    def draw(self, noise, labels):
        features = noise + 10.0 * tf.cast(labels, tf.float32)[:, None, None, None]
        return features, tf.ones_like(labels, tf.bool)


def bright(features):
    """Accepts half of what is drawn: of the others it thinks that they are of the next class."""
    tens, rest = np.divmod(features[:, 0, 0, 0], 10.0)
    return np.eye(4)[np.where(rest > 0.5, tens, tens + 1).astype(int)] * 0.7 + 0.075


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
        assert tally.by_discriminator == tally.generated  # which here accepts all
        refused = tally.generated - tally.accepted
        assert tally.probability == pytest.approx(0.775 * tally.accepted + 0.075 * refused)


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
    found, tallies = draw(lambda features: np.eye(2)[[1] * len(features)], tries=2)
    assert [label for _, label, _ in found] == [1] * 5
    assert [(tally.generated, tally.accepted, tally.kept) for tally in tallies] == [(10, 0, 0), (8, 8, 5)]
    assert tallies[0].rate == 0


def test_without_a_judge_the_discriminator_accepts():
    tf.keras.utils.set_random_seed(1)
    tiny = {"filters_generator": 4, "filters_discriminator": 4, "latent": 3}
    gan, tallies = build_gan(GanSpec("acgan", (2, 2, 3), 2, **tiny), np.ones(3)), [Tally(), Tally()]
    gan.discriminator.get_layer("label").bias.assign([9.0, 0.0])
    found = list(accepted_features(gan, None, tallies, wanted=3, tries=1, batch=2, seed=SEED))
    assert [label for _, label, _ in found] == [0] * 3
    assert [(tally.accepted, tally.by_discriminator, tally.probability) for tally in tallies] == [(3, 3, 0), (0, 0, 0)]


class Colluding:
    """Draws the same of each class, with a mark in a channel that real features do not use; its own head reads it."""

    def noise(self, count, seed):
        return tf.random.stateless_normal([count, 4, 4, 3], seed)

    def draw(self, noise, labels):
        mark = 3.0 * tf.one_hot(tf.fill([tf.shape(labels)[0]], 2), 3) * (2.0 * tf.cast(labels, tf.float32)[:, None] - 1)
        features = noise * [1.0, 1.0, 0.0] + mark[:, None, None]
        return features, tf.equal(tf.cast(features[:, 0, 0, 2] > 0, tf.int32), labels)


def test_what_generator_and_discriminator_agreed_on_does_not_deceive_an_independent_judge():
    random, labels = np.random.default_rng(0), np.repeat([0, 1], 60)
    real = random.normal(size=(120, 4, 4, 3)) * [1.0, 1.0, 0.0] + labels[:, None, None, None] * [1.0, 0.0, 0.0]
    judge = train_judge(real.astype(np.float32), labels, np.arange(120) // 2, num_classes=2, seed=0)
    by_itself, judged = [Tally(), Tally()], [Tally(), Tally()]
    settings = {"wanted": 200, "tries": 1, "batch": 50, "seed": SEED}
    list(accepted_features(Colluding(), None, by_itself, **settings))
    list(accepted_features(Colluding(), judge, judged, **settings))
    assert [tally.rate for tally in by_itself] == [1.0, 1.0]
    assert [tally.by_discriminator for tally in judged] == [200, 200]
    # what is the same of each class is of one of them only: the rates add up to 1, whichever the judge prefers
    assert sum(tally.rate for tally in judged) == pytest.approx(1.0, abs=0.15)
    assert sum(tally.probability for tally in judged) / 400 == pytest.approx(0.5, abs=0.05)
