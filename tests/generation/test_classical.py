import itertools

import numpy as np
import pytest

from rembrandt_featgen.generation import classical
from rembrandt_featgen.generation.training_set import Samples, TrainingSet

SHAPE = (2, 2, 3)
SYNTHESISERS = {
    "repeat": classical.repeat,
    "smote": classical.smote,
    "borderline_smote": classical.borderline_smote,
    "gaussian_noise": classical.gaussian_noise,
    "interpolate": classical.interpolate,
    "extrapolate": classical.extrapolate,
}
every_synthesiser = pytest.mark.parametrize("synthesise", SYNTHESISERS.values(), ids=SYNTHESISERS.keys())


def _training(labels, features=None, scale=(1.0, 10.0, 0.0), dtype=np.float32):
    """Sparse features, the last channel of which never fires; read-only, so that nobody changes them."""
    labels = np.array(labels)
    if features is None:
        random = np.random.default_rng(3)
        features = np.maximum(random.normal(0.3, 1.0, (len(labels), *SHAPE)), 0.0) * np.array(scale)
    features = np.array(features, dtype)
    scale = np.array(scale, np.float32)
    for array in (features, labels, scale):
        array.flags.writeable = False
    patients = np.array([f"p{i}" for i in range(len(labels))])
    return TrainingSet(features, labels, patients, scale=scale, num_classes=2)


def _row(*values):
    """A feature 1x1 of as many channels."""
    return np.array(values, np.float32).reshape(1, 1, -1)


def _on_segment(extra, a, b, tolerance=1e-4):
    """The t of extra = a + t (b - a), or None where there is none."""
    step = (b - a).ravel()
    t = np.dot((extra - a).ravel(), step) / np.dot(step, step)
    return t if np.abs(a + t * (b - a) - extra).max() < tolerance else None


@every_synthesiser
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_extra_samples_have_their_counts_and_classes(synthesise, dtype):
    # Far beyond balance; the classes fire in different channels, so that a sample of two classes would show.
    labels = np.array([0] * 5 + [1] * 9)
    features = np.random.default_rng(0).uniform(0.5, 9.0, (14, *SHAPE))
    features[labels == 0, ..., 1:], features[labels == 1, ..., 0], features[..., 2] = 0, 0, 0
    extra = synthesise(_training(labels, features, dtype=dtype), {0: 40, 1: 30}, seed=1)
    assert extra.labels.tolist() == [0] * 40 + [1] * 30
    assert extra.features.dtype == np.float32
    assert extra.features.shape == (70, *SHAPE)
    assert (extra.features >= 0).all()
    assert np.isfinite(extra.features).all()
    assert (extra.features[:40, ..., 0] > 0).any(axis=(1, 2)).all()
    assert (extra.features[40:, ..., 1] > 0).any(axis=(1, 2)).all()
    assert not extra.features[:40, ..., 1:].any()
    assert not extra.features[40:, ..., [0, 2]].any()


@every_synthesiser
def test_the_same_seed_draws_the_same(synthesise):
    training = _training([0] * 6 + [1] * 8)
    first, again, other = (synthesise(training, {0: 9, 1: 7}, seed).features for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0


@every_synthesiser
@pytest.mark.parametrize("lgg", [1, 2])
def test_a_tiny_class_lowers_the_neighbours(synthesise, lgg):
    extra = synthesise(_training([0] * lgg + [1] * 3), {0: 6, 1: 1}, seed=0)
    assert extra.labels.tolist() == [0] * 6 + [1]


@every_synthesiser
def test_nothing_wanted_is_nothing_made(synthesise):
    extra = synthesise(_training([0, 0, 1, 1]), {0: 0, 1: 0}, seed=0)
    assert extra.features.shape == (0, *SHAPE)
    assert len(extra.labels) == 0


def test_repeated_samples_are_samples_of_the_class():
    training = _training([0] * 4 + [1] * 6)
    extra = classical.repeat(training, {0: 50, 1: 50}, seed=0)
    for label in (0, 1):
        own = {feature.tobytes() for feature in training.features[training.labels == label]}
        assert {feature.tobytes() for feature in extra.features[extra.labels == label]} == own


@pytest.mark.parametrize("name", ["smote", "borderline_smote"])
def test_smote_lies_between_near_samples_of_one_class(name):
    labels = np.array([0] * 9 + [1] * 11)
    training = _training(labels)
    extra = SYNTHESISERS[name](training, {0: 25, 1: 12}, seed=2)
    ts = []
    for feature, label in zip(training.scaled(extra.features), extra.labels):
        real = training.scaled(training.features[labels == label])
        distance = np.linalg.norm(np.reshape(real[:, None] - real[None], (len(real), len(real), -1)), axis=-1)
        nearest = np.argsort(distance, axis=1)[:, 1:6]  # 0 is the sample itself
        found = [_on_segment(feature, real[i], real[j]) for i in range(len(real)) for j in nearest[i]]
        found = [t for t in found if t is not None and -1e-5 <= t <= 1 + 1e-5]
        assert found
        ts += found
    assert min(ts) < 0.25
    assert max(ts) > 0.75


def test_neighbours_are_near_by_scaled_features(monkeypatch):
    # Unscaled, the second channel alone would decide, and a's nearest would be c; scaled, it is b.
    a, b, c = _row(0, 0), _row(1, 300), _row(5, 0)
    lone = [_row(50, 50), _row(60, 60)]
    training = _training([0] * 3 + [1] * 2, np.stack([a, b, c, *lone]), scale=(1.0, 1000.0))
    monkeypatch.setattr(classical, "NEIGHBOURS", 1)
    extra = classical.interpolate(training, {0: 2}, seed=0).features
    # a and b are each other's nearest, c's is b; half way from a to b is one point, not two
    points = {tuple(feature.ravel()) for feature in extra}
    assert points == {(0.5, 150.0), (3.0, 150.0)}


def test_borderline_smote_starts_from_samples_in_danger():
    # LGG: twelve far from HGG, three among them. Danger: half or more, not all, of the 10 nearest are HGG.
    random = np.random.default_rng(0)
    near, far = random.uniform(9, 11, (12, 1, 1, 3)), random.uniform(0, 2, (12, 1, 1, 3))
    between = random.uniform(9, 11, (3, 1, 1, 3))
    training = _training([1] * 12 + [0] * 15, np.concatenate([near, far, between]), scale=(1.0, 1.0, 1.0))
    extra = classical.borderline_smote(training, {0: 30}, seed=0)
    plain = classical.smote(training, {0: 30}, seed=0)
    # all of them start among HGG, where plain SMOTE hardly goes
    assert (extra.features.min(axis=(1, 2, 3)) > 2.5).sum() > 20
    assert (plain.features.min(axis=(1, 2, 3)) > 2.5).sum() < 15
    for feature in extra.features:
        assert any(
            _on_segment(feature, a, b) is not None
            for a in training.features[24:]
            for b in training.features[12:]
            if np.any(a != b)
        )


def test_borderline_smote_of_classes_far_apart_is_smote():
    features = np.random.default_rng(0).uniform(0, 1, (30, *SHAPE))
    features[15:] += 100
    training = _training([0] * 15 + [1] * 15, features, scale=(1.0, 1.0, 1.0))
    found, plain = (make(training, {0: 7, 1: 3}, 0) for make in (classical.borderline_smote, classical.smote))
    np.testing.assert_array_equal(found.features, plain.features)


def test_interpolation_by_hand():
    training = _training([0, 0, 1], np.stack([_row(4, 0, 0), _row(0, 30, 0), _row(9, 9, 0)]))
    extra = classical.interpolate(training, {0: 3}, seed=0)
    np.testing.assert_allclose(extra.features, np.stack([_row(2, 15, 0)] * 3), rtol=1e-6)


def test_extrapolation_by_hand():
    # 1.5 a - 0.5 b and 1.5 b - 0.5 a; what falls below 0 is 0
    training = _training([0, 0, 1], np.stack([_row(4, 10, 0), _row(2, 40, 0), _row(9, 9, 0)]))
    extra = classical.extrapolate(training, {0: 2}, seed=0).features
    beyond = np.stack([_row(1, 55, 0), _row(5, 0, 0)])
    np.testing.assert_allclose(extra[np.argsort(extra[:, 0, 0, 0])], beyond, rtol=1e-5)


# As seen from both ends of the pair.
@pytest.mark.parametrize(("name", "expected"), [("interpolate", [0.5, 0.5]), ("extrapolate", [-0.5, 1.5])])
def test_interpolation_lies_inside_and_extrapolation_outside(name, expected):
    features = np.random.default_rng(0).uniform(5, 6, (16, *SHAPE))  # so far from 0 that nothing is cut off
    training = _training([0] * 8 + [1] * 8, features, scale=(1.0, 2.0, 3.0))
    extra = SYNTHESISERS[name](training, {0: 20, 1: 20}, seed=0)
    assert len(np.unique(extra.features, axis=0)) == 40  # no pair is taken twice before each was
    for feature, label in zip(extra.features, extra.labels):
        real = training.features[training.labels == label]
        found = [_on_segment(feature, a, b) for a, b in itertools.permutations(real, 2)]
        assert sorted(t for t in found if t is not None) == pytest.approx(expected, abs=1e-3)


def test_noise_is_a_fraction_of_the_channels_scale_and_leaves_silence_silent():
    features = np.full((400, *SHAPE), 100.0)
    features[:, 0, 0], features[..., 2] = 0, 0
    training = _training([0] * 200 + [1] * 200, features)
    extra = classical.gaussian_noise(training, {0: 400, 1: 400}, seed=0, sigma=0.3)
    assert not extra.features[:, 0, 0].any()
    fired = extra.features[:, 1]
    np.testing.assert_allclose(fired.std(axis=(0, 1)), [0.3, 3.0, 0.0], rtol=0.05)
    np.testing.assert_allclose(fired.mean(axis=(0, 1))[:2], 100.0, rtol=0.01)


def _pool(lgg, hgg):
    features = np.arange(1, lgg + hgg + 1, dtype=np.float32)[:, None, None, None] * np.ones(SHAPE, np.float32)
    return Samples(features, np.array([0] * lgg + [1] * hgg))


def test_a_pool_is_drawn_without_replacement():
    training = _training([0, 1])
    draw = classical.from_pool(_pool(6, 8))
    extra = draw(training, {0: 6, 1: 3}, 0)
    drawn = extra.features[:, 0, 0, 0]
    assert extra.labels.tolist() == [0] * 6 + [1] * 3
    assert sorted(drawn[:6]) == [1, 2, 3, 4, 5, 6]
    assert len(set(drawn[6:])) == 3
    assert set(drawn[6:]) <= set(range(7, 15))
    np.testing.assert_array_equal(draw(training, {0: 6, 1: 3}, 0).features, extra.features)
    assert draw(training, {0: 6}, 1).features[:, 0, 0, 0].tolist() != drawn[:6].tolist()
    # a greater amount holds what a smaller one did
    assert set(draw(training, {0: 2, 1: 2}, 0).features[:, 0, 0, 0]) <= set(drawn)


def test_a_pool_that_runs_out_gives_what_it_has():
    extra = classical.from_pool(_pool(2, 0))(_training([0, 1]), {0: 5, 1: 5}, 0)
    assert extra.labels.tolist() == [0, 0]
    assert sorted(extra.features[:, 0, 0, 0]) == [1, 2]


def test_a_pool_of_other_features_is_refused():
    pool = Samples(np.zeros((4, 3, 3, 3), np.float32), np.zeros(4, int))
    with pytest.raises(ValueError, match=r"\(2, 2, 3\) holds 4 labels and features \(4, 3, 3, 3\)"):
        classical.from_pool(pool)(_training([0, 1]), {0: 1}, 0)
