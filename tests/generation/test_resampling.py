import numpy as np
import pytest

from rembrandt_featgen.generation.resampling import Extrapolation, GaussianNoise, Interpolation, RandomOversampling


def drawn(method, features, label, count, *, labels=None, signed=True):
    features = np.array(features, np.float32)
    labels = np.zeros(len(features), int) if labels is None else np.array(labels)
    return method.fit(features, labels, None, num_classes=2, signed=signed, seed=0).draw(label, count, 0)


def test_repeated_samples_are_samples_of_the_class():
    extra = drawn(RandomOversampling(), np.arange(10)[:, None], 1, 200, labels=[0] * 4 + [1] * 6)
    values, counts = np.unique(extra, return_counts=True)
    assert values.tolist() == [4, 5, 6, 7, 8, 9]
    assert counts.min() > 15  # of 33


def test_interpolation_by_hand():
    np.testing.assert_allclose(drawn(Interpolation(), [[4, -30], [0, 30]], 0, 3), [[2, 0]] * 3)


def test_interpolation_of_another_step_goes_both_ways():
    extra = drawn(Interpolation(step=0.25), [[4, 0], [0, 8]], 0, 2)
    assert sorted(extra.tolist()) == [[1, 6], [3, 2]]


@pytest.mark.parametrize(("signed", "cut"), [(True, -5), (False, 0)])
def test_extrapolation_by_hand(signed, cut):
    """1.5 a - 0.5 b and 1.5 b - 0.5 a; what falls below 0 is 0 where it is not signed."""
    extra = drawn(Extrapolation(), [[4, 10], [2, 40]], 0, 2, signed=signed)
    np.testing.assert_allclose(extra[np.argsort(extra[:, 0])], [[1, 55], [5, cut]])


def test_neighbours_are_as_many_as_are_asked_for():
    """a and b are each other's nearest, c's is b; half way from a to b is one point, not two."""
    points = drawn(Interpolation(neighbours=1), [[0, 0], [1, 0.3], [5, 0]], 0, 2)
    np.testing.assert_allclose(points[np.argsort(points[:, 0])], [[0.5, 0.15], [3.0, 0.15]], rtol=1e-6)
    assert len(np.unique(drawn(Interpolation(neighbours=2), [[0, 0], [1, 0.3], [5, 0]], 0, 3), axis=0)) == 3


@pytest.mark.parametrize("method", [Interpolation(), Extrapolation()])
def test_no_pair_is_taken_twice_before_each_was(method):
    features = np.random.default_rng(0).normal(size=(5, 3))
    pairs = 10 if type(method) is Interpolation else 20
    extra = drawn(method, features, 0, 2 * pairs)
    assert len(np.unique(extra[:pairs], axis=0)) == len(np.unique(extra, axis=0)) == pairs


def test_noise_has_its_deviation_and_leaves_silence_silent():
    features = np.full((200, 3), 100.0)
    features[:, 0] = 0
    extra = drawn(GaussianNoise(noise=0.3), features, 0, 4000, signed=False)
    assert not extra[:, 0].any()
    np.testing.assert_allclose(extra[:, 1:].std(axis=0), 0.3, rtol=0.05)
    np.testing.assert_allclose(extra[:, 1:].mean(axis=0), 100.0, rtol=1e-3)


def test_signed_noise_is_added_wherever_something_varies():
    features = np.random.default_rng(0).normal(size=(200, 3)) * [1, 1, 0]
    features[:, 1] = -1
    features[0, 1] = 0
    extra = drawn(GaussianNoise(noise=0.3), features, 0, 4000)
    assert not extra[:, 2].any()
    assert extra[:, 1].std() == pytest.approx(0.3, rel=0.1)
    assert extra[:, 0].std() == pytest.approx(np.hypot(features[:, 0].std(), 0.3), rel=0.05)


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        (GaussianNoise, {"noise": 0.0}),
        (Interpolation, {"neighbours": 0}),
        (Interpolation, {"step": -0.5}),
        (Extrapolation, {"step": 0.0}),
    ],
)
def test_settings_out_of_range_are_refused(method, settings):
    with pytest.raises(ValueError, match="received"):
        method(**settings)
