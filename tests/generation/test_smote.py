import numpy as np
import pytest
from imblearn import over_sampling

from rembrandt_featgen.generation.smote import BorderlineSmote, Smote


def fitted(method, features, labels, *, signed=True, num_classes=2):
    return method.fit(
        np.asarray(features, np.float32), np.asarray(labels), None, num_classes=num_classes, signed=signed, seed=0
    )


def _on_segment(extra, a, b, tolerance=1e-4):
    """The t of extra = a + t (b - a), or None where there is none."""
    step = b - a
    t = np.dot(extra - a, step) / np.dot(step, step)
    return t if np.abs(a + t * step - extra).max() < tolerance else None


@pytest.mark.parametrize("method", [Smote(), BorderlineSmote()])
def test_it_lies_between_near_samples_of_one_class(method):
    labels = np.array([0] * 9 + [1] * 11)
    features = np.random.default_rng(3).normal(size=(20, 6)).astype(np.float32)
    ts = []
    for label, count in ((0, 25), (1, 12)):
        real = features[labels == label]
        nearest = np.argsort(np.linalg.norm(real[:, None] - real[None], axis=-1), axis=1)[:, 1:6]  # 0 is itself
        for feature in fitted(method, features, labels).draw(label, count, 2):
            found = [_on_segment(feature, real[i], real[j]) for i in range(len(real)) for j in nearest[i]]
            found = [t for t in found if t is not None and -1e-5 <= t <= 1 + 1e-5]
            assert found
            ts += found
    assert min(ts) < 0.25
    assert max(ts) > 0.75


@pytest.mark.parametrize(
    ("method", "theirs"), [(Smote(), over_sampling.SMOTE), (BorderlineSmote(), over_sampling.BorderlineSMOTE)]
)
def test_it_is_imbalanced_learns_for_three_signed_classes(method, theirs):
    """Class 2 of three and seed 4: random state 3 * 4 + 2."""
    labels = np.repeat([0, 1, 2], [30, 20, 10])
    features = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    expected, _ = theirs(sampling_strategy={2: 25}, random_state=14).fit_resample(features, labels)
    extra = fitted(method, features, labels, num_classes=3).draw(2, 15, 4)
    np.testing.assert_array_equal(extra, expected[60:])
    assert extra.min() < 0
    assert (fitted(method, np.abs(features), labels, num_classes=3, signed=False).draw(2, 15, 4) >= 0).all()


def test_borderline_smote_starts_from_samples_in_danger():
    """Class 0: twelve far from class 1, three among it. Danger: half or more, not all, of the 10 nearest are of 1."""
    random = np.random.default_rng(0)
    near, far = random.uniform(9, 11, (12, 3)), random.uniform(0, 2, (12, 3))
    features, labels = np.concatenate([near, far, random.uniform(9, 11, (3, 3))]), [1] * 12 + [0] * 15
    extra, plain = (fitted(method, features, labels).draw(0, 30, 0) for method in (BorderlineSmote(), Smote()))
    # all of them start among class 1, where plain SMOTE hardly goes
    assert (extra.min(axis=1) > 2.5).sum() > 20
    assert (plain.min(axis=1) > 2.5).sum() < 15
    for feature in extra:
        pairs = ((a, b) for a in features[24:] for b in features[12:] if np.any(a != b))
        assert any(_on_segment(feature, a, b) is not None for a, b in pairs)


def test_borderline_smote_of_classes_far_apart_is_smote():
    features = np.random.default_rng(0).uniform(0, 1, (30, 4))
    features[15:] += 100
    found, plain = (fitted(m, features, [0] * 15 + [1] * 15).draw(0, 7, 0) for m in (BorderlineSmote(), Smote()))
    np.testing.assert_array_equal(found, plain)


def test_a_class_larger_than_the_largest_is_no_reason_to_warn(recwarn):
    fitted(Smote(), np.random.default_rng(0).normal(size=(9, 2)), [0] * 4 + [1] * 5).draw(0, 40, 0)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("method", "settings"),
    [(Smote, {"neighbours": 0}), (BorderlineSmote, {"neighbours": 0}), (BorderlineSmote, {"danger_neighbours": 0})],
)
def test_settings_out_of_range_are_refused(method, settings):
    with pytest.raises(ValueError, match="received 0"):
        method(**settings)
