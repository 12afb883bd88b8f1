import numpy as np
import pytest
from scipy import special

from rembrandt_featgen.classification import neighbours
from rembrandt_featgen.classification.training_problems import Problem

LINE = np.array([[0.0], [1.0], [2.0], [10.0]], np.float32)
SETTINGS = neighbours.NeighbourSettings()


def shares(problem, count, at):
    (arrays,) = neighbours.fit([problem], SETTINGS, [count])
    return special.softmax(neighbours.logits(arrays, np.array(at, float)), 1)


def test_votes_by_hand():
    problem = Problem(LINE, np.array([0, 0, 1, 2]), 3)
    np.testing.assert_allclose(shares(problem, 1, [[9.0]]), [[1 / 4, 1 / 4, 2 / 4]])
    np.testing.assert_allclose(shares(problem, 3, [[0.4], [9.0]]), [[3 / 6, 2 / 6, 1 / 6], [2 / 6, 2 / 6, 2 / 6]])
    np.testing.assert_allclose(shares(problem, 63, [[0.0]]), [[3 / 7, 2 / 7, 2 / 7]])  # there are four


def test_weights_are_votes():
    problem = Problem(LINE, np.array([0, 0, 1, 1]), 2, weights=np.array([1.0, 1.0, 3.0, 3.0]))
    np.testing.assert_allclose(shares(problem, 2, [[1.4]]), [[1.5 / 4, 2.5 / 4]])


def test_mixtures_vote_as_many_as_samples_do():
    problem = Problem(LINE, np.array([0, 0, 1, 1]), 2, mixing="input")
    (arrays,) = neighbours.fit([problem], SETTINGS, [2])
    assert arrays["votes"].sum() == pytest.approx(4)
    assert arrays["count"] == len(arrays["votes"]) / 2


def test_many_rows_are_done_in_parts(monkeypatch):
    problem, at = Problem(LINE, np.array([0, 0, 1, 2]), 3), np.linspace(-1, 12, 7)[:, None]
    before = shares(problem, 2, at)
    monkeypatch.setattr(neighbours, "_CHUNK_BYTES", 130)
    np.testing.assert_array_equal(shares(problem, 2, at), before)


def test_half_a_neighbour_is_refused():
    with pytest.raises(ValueError, match="whole number from 1"):
        neighbours.fit([Problem(LINE, np.array([0, 0, 1, 1]), 2)], SETTINGS, [1.5])
