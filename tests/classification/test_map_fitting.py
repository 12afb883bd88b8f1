import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from rembrandt_featgen.classification import map_fitter, map_fitting, map_networks
from rembrandt_featgen.classification.map_fitter import Mixing
from rembrandt_featgen.classification.map_fitting import CnnSettings, LinearSettings
from rembrandt_featgen.classification.map_networks import Architecture
from rembrandt_featgen.classification.training_problems import Problem
from rembrandt_featgen.core.errors import InputError

SHAPE = (6, 6, 3)
CNN = Architecture("cnn", SHAPE, filters=4, units=8)
LINEAR = Architecture("linear", SHAPE, filters=4, units=8)


class _Given:
    """Random numbers as the test wants them: samples in their order, one share, one place."""

    def __init__(self, share=1.0, place=map_fitter.NOWHERE, seed=1):
        self._share, self._place, self._seed = share, place, seed

    def permutation(self, n):
        return np.arange(n)

    def integers(self, high):
        return self._seed

    def beta(self, a, b, n):
        return np.full(n, self._share)

    def choice(self, values, n):
        return np.full(n, self._place)


def _samples(n=12, seed=0):
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(n) % 3 == 0).astype(np.float32)
    return tf.constant(random.uniform(0, 2, (n, *SHAPE)), tf.float32), tf.one_hot(labels.astype(int), 2)


def _loss(probabilities, targets, class_weights=(1.0, 1.0), focusing=0.0):
    """Written as in the papers, in float64: [batch, classes]."""
    p, t = np.asarray(probabilities, np.float64), np.asarray(targets, np.float64)
    return np.mean(np.sum(-np.asarray(class_weights) * t * (1 - p) ** focusing * np.log(p), axis=1))


def _probabilities(fitter, features):
    return special.softmax(fitter.logits(features), axis=1)


def _fitter(architecture, learning_rate=0.0, seed=0):
    fitter = map_fitter.fitter(architecture)
    fitter.reset(seed, learning_rate)
    return fitter


@pytest.mark.parametrize(
    ("probability", "target", "class_weights", "focusing", "expected"),
    [
        (0.9, 1, (1.0, 1.0), 0.0, -math.log(0.9)),
        (0.9, 0, (1.0, 1.0), 0.0, -math.log(0.1)),
        (0.9, 1, (1.0, 1.0), 2.0, -0.01 * math.log(0.9)),  # (1 - 0.9)^2: an easy sample hardly counts
        (0.9, 0, (1.0, 1.0), 2.0, -0.81 * math.log(0.1)),
        (0.5, 1, (1.0, 1.0), 2.0, 0.25 * math.log(2.0)),
        (0.8, 1, (0.5, 3.0), 0.0, -3.0 * math.log(0.8)),
        (0.8, 0, (0.5, 3.0), 1.0, -0.5 * 0.8 * math.log(0.2)),
        (0.8, 0.3, (1.0, 1.0), 0.0, -0.3 * math.log(0.8) - 0.7 * math.log(0.2)),  # mixed
    ],
)
def test_weighted_focal_loss(probability, target, class_weights, focusing, expected):
    logit = math.log(probability / (1 - probability))
    found = map_fitter.weighted_focal_loss(
        tf.constant([[logit]]),
        tf.constant([[1.0 - target, float(target)]]) * tf.constant(class_weights),
        focusing,
    )
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("focusing", [0.0, 2.0])
def test_certain_and_wrong_keeps_its_gradient(focusing):
    logits = tf.constant([[-200.0], [200.0], [200.0], [0.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = map_fitter.weighted_focal_loss(logits, tf.one_hot([1, 0, 1, 1], 2), focusing)
    gradient = tape.gradient(loss, logits).numpy()
    assert float(loss) == pytest.approx((200 + 200 + 0 + math.log(2) / (4 if focusing else 1)) / 4)
    np.testing.assert_allclose(gradient[:3, 0], [-0.25, 0.25, 0.0], atol=1e-6)


@pytest.mark.parametrize("focusing", [0.0, 2.0])
def test_loss_of_three_classes(focusing):
    random = np.random.default_rng(0)
    logits, targets = random.normal(0, 2, (8, 3)), random.dirichlet(np.ones(3), 8)  # mixed samples
    found = map_fitter.weighted_focal_loss(
        tf.constant(logits, tf.float32),
        tf.constant(targets * [0.5, 1.0, 3.0], tf.float32),
        focusing,
    )
    wanted = _loss(special.softmax(logits, axis=1), targets, class_weights=(0.5, 1.0, 3.0), focusing=focusing)
    assert float(found) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("focusing", [0.0, 2.0])
def test_two_logits_and_one_give_the_same_loss(focusing):
    random = np.random.default_rng(1)
    logit, targets = tf.constant(random.normal(0, 3, (9, 1)), tf.float32), tf.one_hot(random.integers(0, 2, 9), 2)
    one, two = (
        map_fitter.weighted_focal_loss(x, targets * tf.constant([0.7, 1.6]), focusing)
        for x in (logit, tf.concat([tf.zeros_like(logit), logit], axis=1))
    )
    assert float(one) == pytest.approx(float(two), rel=1e-5)


@pytest.mark.parametrize("focusing", [0.0, 2.0])
def test_certain_and_wrong_of_three_keeps_its_gradient(focusing):
    logits = tf.constant([[200.0, 0.0, 0.0], [0.0, 0.0, 200.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = map_fitter.weighted_focal_loss(logits, tf.one_hot([1, 2], 3), focusing)
    gradient = tape.gradient(loss, logits).numpy()
    assert float(loss) == pytest.approx(100.0)
    np.testing.assert_allclose(gradient, [[0.5, -0.5, 0.0], [0.0, 0.0, 0.0]], atol=1e-6)


def test_mix_takes_the_sample_before():
    x = tf.constant([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    np.testing.assert_allclose(map_fitter.mix(x, 0.75), [[1.75, 17.5], [1.75, 17.5], [3.5, 35.0]])


@pytest.mark.parametrize("batch", [12, 4, 5])  # 5: three batches of four
@pytest.mark.parametrize(("class_weights", "focusing"), [((1.0, 1.0), 0.0), ((0.75, 1.5), 0.0), ((1.0, 1.0), 2.0)])
def test_an_epoch_sees_every_sample_once(batch, class_weights, focusing):
    features, labels = _samples()
    fitter = _fitter(LINEAR)
    found = fitter.epoch(
        features,
        labels * tf.constant(class_weights),
        batch=batch,
        focusing=focusing,
        mixing=Mixing(),
        random=np.random.default_rng(0),
    )
    expected = _loss(_probabilities(fitter, features), labels, class_weights=class_weights, focusing=focusing)
    assert found == pytest.approx(expected, rel=1e-5)


def test_input_mixing_mixes_features_and_labels():
    features, labels = _samples()
    fitter = _fitter(LINEAR)
    found = fitter.epoch(features, labels, batch=12, focusing=0.0, mixing=Mixing((0,), 0.2), random=_Given(0.3, 0))
    x, y = features.numpy(), labels.numpy()
    mixed = 0.3 * x + 0.7 * np.roll(x, 1, axis=0)
    targets = 0.3 * y + 0.7 * np.roll(y, 1, axis=0)
    assert found == pytest.approx(_loss(_probabilities(fitter, tf.constant(mixed)), targets), rel=1e-5)


def test_mixing_happens_at_the_drawn_block():
    features, labels = _samples()
    fitter = _fitter(CNN)
    assert fitter.places == (0, 1, 2)

    def loss(share, place):
        fitter.reset(0, 0.0)
        return fitter.epoch(
            features,
            labels,
            batch=12,
            focusing=0.0,
            mixing=Mixing(fitter.places, 2.0),
            random=_Given(share, place),
        )

    nowhere = loss(1.0, map_fitter.NOWHERE)
    assert [loss(1.0, place) for place in fitter.places] == pytest.approx([nowhere] * 3)
    assert len({round(loss(0.3, place), 5) for place in (map_fitter.NOWHERE, 0, 1, 2)}) == 4


def test_mixing_is_drawn_from_its_beta_and_its_places(monkeypatch):
    fitter = _fitter(CNN)
    seen = []
    monkeypatch.setattr(fitter, "_epoch", lambda *args: seen.append((args[3].numpy(), args[4].numpy())) or 0.0)
    features, labels = _samples(400)
    fitter.epoch(features, labels, batch=1, focusing=0.0, mixing=Mixing((0, 2), 0.2), random=np.random.default_rng(0))
    fitter.epoch(features, labels, batch=1, focusing=0.0, mixing=Mixing(), random=np.random.default_rng(0))
    (shares, places), (no_shares, nowhere) = seen
    # of Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1))
    assert shares.mean() == pytest.approx(0.5, abs=0.06)
    assert shares.var() == pytest.approx(1 / (4 * 1.4), abs=0.02)
    assert set(places) == {0, 2}
    assert (no_shares == 1.0).all()
    assert (nowhere == map_fitter.NOWHERE).all()


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_step_moves_every_weight(precision):
    architecture = Architecture("cnn", SHAPE, filters=4, units=8, precision=precision)
    features, labels = _samples()
    fitter = _fitter(architecture, 1e-2)
    before = fitter.get_weights()
    loss = fitter.epoch(features, labels, batch=12, focusing=0.0, mixing=Mixing(), random=np.random.default_rng(0))
    after = fitter.get_weights()
    assert math.isfinite(loss)
    assert len(after) == 14  # two convolutions, four of each batch norm, two dense layers with bias
    for old, new in zip(before, after):  # moving statistics among them: batch norm trains
        assert np.abs(new - old).max() > 1e-4


def test_a_training_leaves_nothing_behind():
    features, labels = _samples()

    def run(seed):
        fitter = _fitter(CNN, 1e-2, seed)
        random = np.random.default_rng(seed)
        losses = [
            fitter.epoch(features, labels, batch=5, focusing=0.0, mixing=Mixing(fitter.places, 1.0), random=random)
            for _ in range(3)
        ]
        return losses, fitter.get_weights()

    losses, weights = run(0)
    other_losses, _ = run(1)
    again_losses, again_weights = run(0)
    assert losses == again_losses
    assert losses != other_losses
    for first, second in zip(weights, again_weights):
        np.testing.assert_array_equal(first, second)


def test_adams_first_step_is_the_learning_rate():
    features, labels = _samples()
    for _ in range(2):  # the second time after a training, whose moments must be gone
        fitter = _fitter(LINEAR, 1e-3)
        before = fitter.get_weights()
        fitter.epoch(features, labels, batch=12, focusing=0.0, mixing=Mixing(), random=np.random.default_rng(0))
        for old, new in zip(before, fitter.get_weights()):
            np.testing.assert_allclose(np.abs(new - old), 1e-3, rtol=1e-2)
        fitter.epoch(features, labels, batch=2, focusing=0.0, mixing=Mixing(), random=np.random.default_rng(0))


def test_dropout_draws_anew_in_each_epoch_and_only_in_training():
    features, labels = _samples()
    losses = set()
    for seed in (1, 2):
        fitter = _fitter(CNN)
        losses.add(fitter.epoch(features, labels, batch=12, focusing=0.0, mixing=Mixing(), random=_Given(seed=seed)))
    assert len(losses) == 2
    np.testing.assert_array_equal(_probabilities(fitter, features), _probabilities(fitter, features))


def test_initial_weights_are_glorots():
    weights = _fitter(Architecture("cnn", SHAPE, filters=32, units=64)).initial_weights(7)
    kernel = weights[0]  # [3, 3, 3, 32]: uniform below sqrt(6 / (fan in + fan out)), fans 9 * 3 and 9 * 32
    limit = math.sqrt(6 / (9 * 3 + 9 * 32))
    assert np.abs(kernel).max() == pytest.approx(limit, rel=0.02)
    assert kernel.std() == pytest.approx(limit / math.sqrt(3), rel=0.05)
    np.testing.assert_array_equal(np.stack(weights[1:5]), [[1] * 32, [0] * 32, [0] * 32, [1] * 32])
    assert np.abs(weights[5].std() - kernel.std()) > 1e-3


def test_more_features_than_a_chunk_are_predicted_alike():
    features, _ = _samples(150)
    fitter = _fitter(CNN)
    whole = _probabilities(fitter, features)
    assert whole.shape == (150, 2)
    np.testing.assert_allclose(whole[130:], _probabilities(fitter, features[130:]), rtol=1e-5)
    assert _probabilities(fitter, features[:0]).shape == (0, 2)


@pytest.mark.parametrize("kind", ["cnn", "linear"])
def test_three_classes_are_learnt_and_their_network_is_the_keras_model(kind):
    random = np.random.default_rng(3)
    labels = np.arange(48) % 3
    features = (random.uniform(0, 1, (48, *SHAPE)) + 2 * np.eye(3)[labels][:, None, None]).astype(np.float32)
    architecture = Architecture(kind, SHAPE, filters=4, units=8, num_classes=3)
    fitter = _fitter(architecture, 1e-2)
    before = fitter.get_weights()
    losses = [
        fitter.epoch(
            tf.constant(features),
            tf.one_hot(labels, 3),
            batch=12,
            focusing=0.0,
            mixing=Mixing(fitter.places, 0.2),
            random=random,
        )
        for _ in range(20)
    ]
    found = _probabilities(fitter, tf.constant(features))
    assert found.shape == (48, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert losses[-1] < 0.8 * losses[0]
    assert np.mean(found.argmax(axis=1) == labels) > 0.9
    assert all(np.abs(old - new).max() > 1e-4 for old, new in zip(before, fitter.get_weights()))
    network = map_networks.build_classifier(architecture, np.ones(3, np.float32))
    network.set_weights(fitter.get_weights())
    np.testing.assert_allclose(network(features), found, atol=1e-5)


def _problem(seed=0, classes=2, n=24, **options):
    random = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    features = random.uniform(0, 1, (n, *SHAPE)).astype(np.float32)
    features[..., 0] += 1.5 * labels[:, None, None]
    return Problem(features, labels, classes, **options)


@pytest.mark.parametrize(
    "settings",
    [CnnSettings(4, 8, epochs=40, batch=8, learning_rate=1e-2), LinearSettings(epochs=60, batch=8, learning_rate=3e-2)],
)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_network_learns_and_is_what_the_keras_model_of_its_weights_says(settings, classes):
    problem, unseen = _problem(classes=classes), _problem(seed=1, classes=classes)
    (arrays,) = map_fitting.fit([problem], settings, [1.0])
    logits = map_fitting.logits(arrays, unseen.features)
    assert np.mean(logits.argmax(1) == unseen.labels) > 0.9
    network = map_networks.build_classifier(map_fitting.architecture_of(arrays), np.ones(3, np.float32))
    network.set_weights(map_fitting.weights_of(arrays))
    np.testing.assert_allclose(special.softmax(logits, 1), network.predict(unseen.features, verbose=0), atol=1e-6)


def test_strengths_of_one_problem_are_stops_of_one_training():
    settings = CnnSettings(2, 4, epochs=6, batch=8, learning_rate=1e-2)
    problem = _problem(mixing="manifold", weights=np.linspace(0.5, 1.5, 24))
    together = map_fitting.fit([problem] * 3, settings, [1.0, 2.0, 12.0])  # 6, 3 and 1 epochs
    for arrays, epochs in zip(together, (6, 3, 1)):
        (alone,) = map_fitting.fit([problem], dataclasses.replace(settings, epochs=epochs), [1.0])
        for first, second in zip(map_fitting.weights_of(arrays), map_fitting.weights_of(alone)):
            np.testing.assert_array_equal(first, second)


def test_a_loss_that_is_not_finite_is_said():
    with pytest.raises(InputError, match="training of the linear stopped in epoch 1: its loss is nan"):
        map_fitting.fit([_problem()], LinearSettings(epochs=2, learning_rate=float("nan")), [1.0])
