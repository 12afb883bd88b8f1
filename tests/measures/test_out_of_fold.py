import numpy as np
import pytest

from rembrandt_featgen.measures import bootstrap
from rembrandt_featgen.measures.out_of_fold import OutOfFold


def test_correct_predictions_by_hand():
    arm = OutOfFold(np.array([[0.4, 0.6], [0.4, 0.6]]), np.array([[0.5, 0.5], [0.3, 0.7]]))
    np.testing.assert_array_equal(arm.correct(np.array([1, 0]), "arm"), [[False, False], [True, True]])


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        (OutOfFold(np.full(4, 0.5)), r"shape \(4,\); with 4 labels give \[runs, 4\]"),
        (OutOfFold(np.full((2, 3), 0.5)), r"shape \(2, 3\); with 4 labels"),
        (OutOfFold(np.full((0, 4), 0.5)), r"shape \(0, 4\)"),
        (OutOfFold(np.full((4, 4), 0.5), np.full(4, 0.5)), r"threshold of a has shape \(4,\)"),
        (OutOfFold(np.full((1, 4), np.nan)), "every run must predict every patient once"),
        (OutOfFold(np.full((1, 4), 0.5), np.nan), "every run must predict every patient once"),
    ],
)
def test_arms_that_do_not_fit_are_refused(arm, words):
    with pytest.raises(ValueError, match=words):
        bootstrap.bootstrap_arms(np.array([0, 0, 1, 1]), {"a": arm})
