import numpy as np
import pytest

from rembrandt_featgen.cohort import spacing


def judged(steps, slices, choice="auto"):
    return spacing.judge([np.array(step) for step in steps], [(240, 240, count) for count in slices], choice)


@pytest.mark.parametrize(
    ("steps", "slices", "real"),
    [
        ([(1, 1, 1)] * 3, [20, 36, 88], False),  # written without knowing it
        ([(1, 1, 1)] * 3, [155] * 3, True),  # BraTS
        ([(1, 1, 1)] * 3, [155, 155, 90], True),
        ([(1, 1, 1)] * 2 + [(1, 1, 5)], [20, 20, 20], True),  # the writer knew it of one
        ([(0.98, 0.98, 7)] * 3, [5] * 3, True),
        ([(1.0001, 1, 0.9999)] * 3, [20] * 3, False),
        ([], [], False),
    ],
)
def test_auto(steps, slices, real):
    found = judged(steps, slices)
    assert found.real == real
    assert found.why


@pytest.mark.parametrize(("choice", "real"), [("yes", True), ("no", False)])
def test_the_flag_overrules_the_files(choice, real):
    assert judged([(1, 1, 1)], [20], choice) == (real, f"--trust_spacing={choice} says so")
    assert judged([(0.7, 0.7, 2)], [20], choice).real == real


def test_says_how_to_overrule_it():
    assert "--trust_spacing=yes" in judged([(1, 1, 1)], [20]).why


def test_spacing_of_a_turned_affine():
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn * [0.5, 0.75, 3.0]
    assert spacing.of_affine(affine) == pytest.approx([0.5, 0.75, 3.0])
