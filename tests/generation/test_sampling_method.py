import numpy as np
import pytest

from rembrandt_featgen.generation.resampling import RandomOversampling

FEATURES = np.arange(8, dtype=np.float32).reshape(4, 2)
LABELS = np.array([0, 0, 2, 2])


def fitted(**changes):
    settings = {"num_classes": 3, "signed": False, "seed": 0, "features": FEATURES, "labels": LABELS, "groups": None}
    return RandomOversampling().fit(**{**settings, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": LABELS[:3]}, r"received \(4, 2\), \(3,\) and \(4,\)"),
        ({"groups": np.array(["a"])}, r"and \(1,\)"),
        ({"features": FEATURES[:, 0]}, r"received \(4,\)"),
        ({"features": FEATURES[:0], "labels": LABELS[:0]}, "none of them empty"),
        ({"features": FEATURES[:, :0]}, r"received \(4, 0\)"),
        ({"num_classes": 2}, r"integers in \[0, 2\), received \[0 2\]"),
        ({"labels": LABELS - 1}, r"integers in \[0, 3\)"),
        ({"labels": LABELS.astype(float)}, "integers"),
        ({"features": np.where(FEATURES == 3, np.nan, FEATURES)}, "finite"),
        ({"features": np.where(FEATURES == 3, np.inf, FEATURES)}, "finite"),
        ({"features": FEATURES - 1}, "from 0 on, received -1.0"),
    ],
)
def test_what_cannot_be_fitted_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        fitted(**changes)


def test_signed_features_may_be_negative():
    assert fitted(features=FEATURES - 9, signed=True).draw(0, 30, 0).min() == -9


@pytest.mark.parametrize(
    ("label", "count", "seed", "words"),
    [
        (3, 1, 0, r"in \[0, 3\)"),
        (-1, 1, 0, "received -1, 1 and 0"),
        (0, -1, 0, "received 0, -1"),
        (0, 1, -1, "and -1"),
        (1, 5, 0, "no sample of label 1 was there to fit, from which 5"),
    ],
)
def test_what_cannot_be_drawn_is_refused(label, count, seed, words):
    with pytest.raises(ValueError, match=words):
        fitted().draw(label, count, seed)


def test_draws_of_all_classes_come_in_order_of_their_labels():
    samples = fitted().draw_all({2: 3, 0: 2}, seed=5)
    assert samples.labels.tolist() == [0, 0, 2, 2, 2]
    np.testing.assert_array_equal(samples.features[:2], fitted().draw(0, 2, 5))
    np.testing.assert_array_equal(samples.features[2:], fitted().draw(2, 3, 5))
    assert fitted().draw_all({}, 0).features.shape == (0, 2)
