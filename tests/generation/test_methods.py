import dataclasses

import numpy as np
import pytest

from rembrandt_featgen.evaluation.arms import ARMS
from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.generation.resampling import GaussianNoise, RandomOversampling
from rembrandt_featgen.generation.sampling_method import Method
from tests.generation import conformance


@pytest.mark.parametrize("name", METHODS)
def test_method_conforms(name):
    conformance.check(conformance.QUICK[name])


def test_shuffled_labels_go_to_a_generator():
    assert METHODS[ARMS["shuffled"].other_method].kind == "generative"


def test_arms_of_the_same_name_are_of_the_same_kind():
    assert {name: METHODS[name].kind for name in METHODS if name in ARMS} == {
        name: ARMS[name].kind for name in METHODS if name in ARMS
    }


class Wrong(Method):
    """A method by its draw (real samples, rows of the class, count, random numbers) -> flat features."""

    def fit_flat(self, real):
        def draw(label, count, seed):
            rows = np.flatnonzero(real.labels == label)
            return self.wrong(real, rows, count, np.random.default_rng([seed, label]))

        return draw


class MixesClasses(Wrong):
    def wrong(self, real, rows, count, random):
        return real.flat[random.choice(len(real.flat), count)]


class IgnoresSeed(Wrong):
    def wrong(self, real, rows, count, random):
        return real.flat[np.resize(rows, count)]


class DependsOnMore(Wrong):
    def wrong(self, real, rows, count, random):
        return real.flat[np.random.choice(rows, count)]


class ChangesInput(Wrong):
    def wrong(self, real, rows, count, random):
        real.flat[rows] += 1e-2
        return real.flat[random.choice(rows, count)]


class DrawsInfinite(Wrong):
    def wrong(self, real, rows, count, random):
        return real.flat[random.choice(rows, count)] / np.float32(0)


class MovesConstants(Wrong):
    def wrong(self, real, rows, count, random):
        return real.flat[random.choice(rows, count)] + random.normal(size=(count, 1)).astype(np.float32)


class DrawsOneLess(Wrong):
    def wrong(self, real, rows, count, random):
        return real.flat[random.choice(rows, count - 1)]


class NeedsTwoSamples(Wrong):
    def wrong(self, real, rows, count, random):
        return real.flat[random.choice(rows[1:], count)]


class OfNoKind(RandomOversampling):
    kind = "other"


class SaysNested(GaussianNoise):
    nested = True


class NotFrozen(RandomOversampling):
    __hash__ = None


class DependsOnOthers(RandomOversampling):
    """A method that gives each of several cohorts what it fitted to the first."""

    def fit_each_flat(self, reals):
        return [self.fit_flat(reals[0])] * len(reals)


WRONG = {
    MixesClasses: "not of its class",
    IgnoresSeed: "another seed draws the same",
    DependsOnMore: "draws otherwise",
    ChangesInput: "the input was changed",
    DrawsInfinite: "not finite",
    MovesConstants: "a constant column varies",
    DrawsOneLess: "cannot reshape",
    NeedsTwoSamples: "a cannot be empty",
    OfNoKind: "an unknown kind",
    SaysNested: "not nested",
    NotFrozen: "unhashable",
    DependsOnOthers: "not as if alone|cannot reshape",
}


@pytest.mark.parametrize(("wrong", "words"), WRONG.items())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_wrong_method_does_not_conform(wrong, words):
    with pytest.raises((AssertionError, ValueError, TypeError), match=words):
        conformance.check(dataclasses.dataclass(frozen=True)(wrong)())
