"""How often volumes are said to be unlike the training ones: rarely where nothing is wrong, mostly where much is."""

import re

import numpy as np
import pytest

from rembrandt_featgen.data.familiarity import familiarity, unlike

SHAPE, SPACING = (30, 240, 240), np.array([3.0, 1.0, 1.0])


def _descriptions(count, seed):
    generator = np.random.default_rng(seed)
    return [np.array([[0.4, -1.0, -0.5, -0.2, 0.5, 2.0]]) + generator.normal(0, 0.15, (1, 6)) for _ in range(count)]


def _kept(seed=0, count=40):
    return familiarity(_descriptions(count, seed), shapes=[SHAPE] * count, spacings=[SPACING] * count)


def test_false_alarms_are_rare_and_not_absent():
    warned = [
        bool(unlike(_kept(seed), description, shape=SHAPE, spacing=SPACING))
        for seed in range(20)
        for description in _descriptions(20, 1000 + seed)
    ]
    assert 0.01 < np.mean(warned) < 0.12


@pytest.mark.parametrize("count", [6, 10, 40])
def test_other_intensities_are_found(count):
    inverted = np.array([[0.4, -2.0, -0.5, 0.2, 0.5, 1.0]]) * [1, 1, 1, 1, 1, 1] + [[0, -1, 0.5, 1, 1.5, -1]]
    (reason,) = unlike(_kept(count=count), inverted, shape=SHAPE, spacing=SPACING)
    assert "intensities are distributed unlike" in reason


@pytest.mark.parametrize(
    ("shape", "spacing", "words"),
    [
        ((30, 512, 240), SPACING, "its height are? 512, those of the training volumes 240"),
        ((300, 240, 240), SPACING, "its slices are 300, those of the training volumes 30"),
        (SHAPE, np.array([3.0, 0.5, 1.0]), "pixel height is 0.5 mm, that of the training volumes 1 mm"),
        (SHAPE, np.array([6.0, 1.0, 1.0]), "spacing of slices is 6 mm"),
    ],
)
def test_other_sizes_and_spacings_are_found(shape, spacing, words):
    (reason,) = unlike(_kept(), np.array([[0.4, -1.0, -0.5, -0.2, 0.5, 2.0]]), shape=shape, spacing=spacing)
    assert re.search(words, reason)


def test_few_training_volumes_say_nothing_of_intensities():
    assert unlike(_kept(count=5), np.full((1, 6), 9.0), shape=SHAPE, spacing=SPACING) == []
