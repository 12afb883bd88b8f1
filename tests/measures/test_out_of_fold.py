import numpy as np
import pytest

from rembrandt_featgen.measures import bootstrap
from rembrandt_featgen.measures.out_of_fold import OutOfFold
from tests.measures.cohorts import of_positive


def test_correct_predictions_by_hand():
    arm = of_positive([[0.4, 0.6], [0.4, 0.6]], [[0.5, 0.5], [0.3, 0.7]])
    np.testing.assert_array_equal(arm.correct(np.array([1, 0]), "arm"), [[False, False], [True, True]])


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        (OutOfFold(np.full((1, 4), 0.5)), r"shape \(1, 4\); with 4 labels give \[runs, 4, classes\]"),
        (of_positive(np.full((2, 3), 0.5)), r"shape \(2, 3, 2\); with 4 labels"),
        (of_positive(np.full((0, 4), 0.5)), r"shape \(0, 4, 2\)"),
        (of_positive(np.full((4, 4), 0.5), np.full(4, 0.5)), r"thresholds of a have shape \(4, 2\)"),
        (of_positive(np.full((1, 4), np.nan)), "every run must predict every patient once"),
        (of_positive(np.full((1, 4), 0.5), np.nan), "every run must predict every patient once"),
    ],
)
def test_arms_that_do_not_fit_are_refused(arm, words):
    with pytest.raises(ValueError, match=words):
        bootstrap.bootstrap_arms(np.array([0, 0, 1, 1]), {"a": arm})
