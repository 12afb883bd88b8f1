"""Worth in real patients, by hand."""

import numpy as np
import pytest
from sklearn.isotonic import isotonic_regression

from rembrandt_featgen.measures import learning_curve

PATIENTS = (2, 4, 8, 16)
CURVE = np.array([0.6, 0.7, 0.8, 0.9])  # 0.1 for each doubling


def _worth(gain, at=4, noise=0.0, rises=True):
    random = np.random.default_rng(0)
    curve = CURVE[:, None] + noise * random.normal(size=(4, 401)) * (np.arange(401) > 0)
    gains = gain + noise * random.normal(size=401) * (np.arange(401) > 0)
    return learning_curve.worth(PATIENTS, curve, gain=gains, at=at, rises=rises)


@pytest.mark.parametrize(
    ("gain", "at", "expected"),
    [(0.1, 4, 4.0), (0.05, 4, 4 * np.sqrt(2) - 4), (0.0, 4, 0.0), (-0.1, 8, -4.0), (0.15, 2, 2**2.5 - 2)],
)
def test_it_is_how_far_along_the_curve_the_gain_leads(gain, at, expected):
    assert _worth(gain, at).patients == pytest.approx(expected)


def test_beyond_the_ends_only_the_end_is_known():
    above, below = _worth(0.3), _worth(-0.2)
    assert above.text == "more than 12" and below.text == "less than -2"
    assert above.record["patients"] is None and above.record["curve_ends"] == [-2.0, 12.0]


def test_a_curve_that_does_not_rise_says_nothing():
    found = _worth(0.1, rises=False)
    assert not found.identifiable and found.text == "not identifiable" and found.record["ci95"] == [None, None]


def test_a_level_stretch_is_worth_nothing():
    flat = np.array([0.6, 0.7, 0.7, 0.9])[:, None]
    found = [learning_curve.worth(PATIENTS, flat, gain=np.array([gain]), at=4, rises=True) for gain in (0.0, 1e-9)]
    assert found[0].patients == 0.0 and found[1].patients == pytest.approx(4.0)


def test_the_interval_holds_the_value_and_widens_with_noise():
    narrow, wide = _worth(0.1, noise=0.005), _worth(0.1, noise=0.02)
    assert wide.low < narrow.low < 4.0 < narrow.high < wide.high
    assert narrow.text.startswith("+4.0 [+3.")


def test_isotonic_is_scikit_learns():
    values = np.random.default_rng(0).normal(size=(6, 20))
    expected = np.stack([isotonic_regression(column) for column in values.T], axis=1)
    np.testing.assert_allclose(learning_curve.isotonic(values), expected)
