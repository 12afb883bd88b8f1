import numpy as np
import pytest

from rembrandt_featgen.generation import classical
from rembrandt_featgen.generation.training_set import Samples, TrainingSet

# Of the methods before they had an interface of their own: draws of {0: 2, 1: 3} with seed 3.
GOLDEN = {
    "repeat": [[2, 50], [1, 20], [4, 40], [4, 40], [4, 40]],
    "smote": [[2.3360, 6.6396], [1.8212, 44.6369], [5.1232, 23.1523], [6.2765, 12.7653], [3.9120, 39.7799]],
    "borderline_smote": [[2.3360, 6.6396], [1.8212, 44.6369], [5.1232, 23.1523], [6.2765, 12.7653], [3.9120, 39.7799]],
    "gaussian_noise": [[1.7437, 49.5164], [3.0924, 0], [3.7845, 30.2259], [5.6889, 11.2356], [0, 35.2626]],
    "interpolate": [[2.5, 25], [1.5, 35], [2, 35], [5.5, 30], [5, 25]],
    "extrapolate": [[4, 0], [1.5, 75], [3, 55], [7, 0], [10.5, 15]],
}
every_synthesiser = pytest.mark.parametrize("name", GOLDEN)


def _training(dtype=np.float32, scale=(1.0, 10.0)):
    """Read-only, so that nobody changes it."""
    features = [[1, 20], [3, 0], [2, 50], [4, 40], [6, 10], [0, 30], [7, 20]]
    features = np.array(features, dtype).reshape(7, 1, 1, 2)
    labels, scale = np.repeat([0, 1], [3, 4]), np.array(scale, np.float32)
    for array in (features, labels, scale):
        array.flags.writeable = False
    return TrainingSet(features, labels, np.arange(7).astype(str), scale=scale, num_classes=2)


@every_synthesiser
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_draws_are_those_of_before(name, dtype):
    extra = getattr(classical, name)(_training(dtype), {0: 2, 1: 3}, 3)
    assert extra.features.dtype == np.float32
    assert extra.labels.dtype == np.int64
    assert extra.labels.tolist() == [0, 0, 1, 1, 1]
    np.testing.assert_allclose(extra.features, np.reshape(GOLDEN[name], (5, 1, 1, 2)), atol=2e-3)


@every_synthesiser
def test_nothing_wanted_is_nothing_made(name):
    extra = getattr(classical, name)(_training(), {0: 0}, seed=0)
    assert extra.features.shape == (0, 1, 1, 2)
    assert len(extra.labels) == 0


@every_synthesiser
def test_a_channel_that_never_fires_stays_silent(name):
    training = _training(scale=(1.0, 0.0))
    features = np.where([True, False], training.features, 0).astype(np.float32)
    training = TrainingSet(features, training.labels, training.patients, scale=training.scale, num_classes=2)
    extra = getattr(classical, name)(training, {0: 5, 1: 5}, seed=0).features
    assert not extra[..., 1].any()
    assert extra[..., 0].any()


def _pool(lgg, hgg):
    features = np.arange(1, lgg + hgg + 1, dtype=np.float32)[:, None, None, None] * np.ones((1, 1, 2), np.float32)
    return Samples(features, np.array([0] * lgg + [1] * hgg))


def test_a_pool_is_drawn_as_before():
    training = _training()
    pool = Samples(training.features, training.labels)
    extra = classical.from_pool(pool)(training, {0: 2, 1: 3}, 3)
    assert extra.features[:, 0, 0].tolist() == [[2, 50], [3, 0], [0, 30], [4, 40], [7, 20]]
    assert extra.labels.tolist() == [0, 0, 1, 1, 1]


def test_a_pool_that_runs_out_gives_what_it_has():
    extra = classical.from_pool(_pool(2, 0))(_training(), {0: 5, 1: 5}, 0)
    assert extra.labels.tolist() == [0, 0]
    assert sorted(extra.features[:, 0, 0, 0]) == [1, 2]


def test_a_pool_of_other_features_is_refused():
    pool = Samples(np.zeros((4, 3, 3, 3), np.float32), np.zeros(4, int))
    with pytest.raises(ValueError, match=r"\(1, 1, 2\) holds 4 labels and features \(4, 3, 3, 3\)"):
        classical.from_pool(pool)(_training(), {0: 1}, 0)
