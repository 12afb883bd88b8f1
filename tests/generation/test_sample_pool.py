import numpy as np
import pytest

from rembrandt_featgen.generation.sample_pool import SamplePool


def test_a_pool_is_drawn_without_replacement():
    pool = SamplePool(np.arange(1.0, 15.0)[:, None, None, None] * np.ones((2, 2, 3)), np.repeat([0, 1], [6, 8]))
    drawn = pool.draw(0, 6, 0)
    assert drawn.dtype == np.float32
    assert sorted(drawn[:, 0, 0, 0]) == [1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(pool.draw(0, 2, 0), drawn[:2])  # a greater count begins with a smaller one
    assert pool.draw(0, 6, 1)[:, 0, 0, 0].tolist() != drawn[:, 0, 0, 0].tolist()
    assert set(pool.draw(1, 3, 0)[:, 0, 0, 0]) <= set(range(7, 15))
    assert pool.draw(1, 9, 0).shape == (8, 2, 2, 3)  # all that there are
    assert pool.draw(2, 9, 0).shape == (0, 2, 2, 3)


def test_a_pool_needs_a_label_for_each_feature():
    with pytest.raises(ValueError, match="4 features has 3 labels"):
        SamplePool(np.zeros((4, 2)), np.zeros(3, int))


def test_copies_of_other_patients_are_left_out():
    pool = SamplePool(np.arange(6.0)[:, None], np.array([0, 1] * 3), np.array(list("aabbcc")))
    part = pool.of_groups(np.array(["a", "c", "z"]))
    assert part.features[:, 0].tolist() == [0.0, 1.0, 4.0, 5.0]
    assert sorted(part.draw(0, 9, 0)[:, 0]) == [0.0, 4.0]
    of_nobody = SamplePool(pool.features, pool.labels)
    assert of_nobody.of_groups(np.array(["a"])) is of_nobody
