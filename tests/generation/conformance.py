"""What every method of `methods.METHODS` must do; see test_methods.py, where methods that do not are seen."""

import dataclasses
import itertools

import numpy as np

from rembrandt_featgen.generation import sampling_method
from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.generation.network_method import NetworkMethod

# Networks take few steps here: what they must do, they do from the first to the last.
QUICK = {
    name: dataclasses.replace(method, steps=5) if isinstance(method, NetworkMethod) else method
    for name, method in METHODS.items()
}
APART = 1000.0  # between the means of classes, whose samples are about 1 apart
SIZES = {2: (9, 1), 3: (8, 5, 1)}  # of the classes
SHAPES = ((5,), (2, 2, 3))
KINDS = ("classical", "generative", "control")


def real_samples(num_classes, shape, signed):
    """Features, labels and patients: class 0 has patients of one and of two samples, class 1 has one patient.

    The last column never varies, and half of the values of an unsigned sample are 0.
    """
    labels = np.repeat(np.arange(num_classes), SIZES[num_classes])
    random = np.random.default_rng(0)
    features = random.normal(size=(len(labels), *shape)) + APART * (1 + labels.reshape(-1, *[1] * len(shape)))
    if signed:
        features *= random.permutation([-1, 1] * 20)[: features[0].size].reshape(shape)
    else:
        features[:, random.random(shape) < 0.5] = 0
        features[..., 0] += APART * (1 + labels.reshape(-1, *[1] * (len(shape) - 1)))
    features[..., -1] = -3.0 if signed else 0.0
    patients = np.resize(["b", "a", "a", "c", "d", "d", "e"], len(labels))
    return features.astype(np.float32), labels, np.where(labels == 0, patients, "p")


def check(method):
    """Fails with an AssertionError, or with the method's own, where it does not conform."""
    assert dataclasses.is_dataclass(method)
    assert dataclasses.replace(method) == method
    assert hash(method) == hash(dataclasses.replace(method))  # frozen
    assert method.kind in KINDS, "an unknown kind"
    for num_classes, shape, signed in itertools.product(SIZES, SHAPES, (True, False)):
        _check_draws(method, num_classes, shape, signed=signed)
    for dtype, expected in ((np.float16, np.float32), (np.float64, np.float64)):
        features, labels, patients = real_samples(2, SHAPES[0], True)
        fitted = method.fit(features.astype(dtype), labels, patients, num_classes=2, signed=True, seed=0)
        assert fitted.draw(0, 2, 0).dtype == fitted.draw(0, 0, 0).dtype == expected
    _check_unusual(method)
    _check_many(method)


def _check_draws(method, num_classes, shape, *, signed):
    features, labels, patients = real_samples(num_classes, shape, signed)
    before = features.copy(), labels.copy(), patients.copy()
    fitted, again = (
        method.fit(features, labels, patients, num_classes=num_classes, signed=signed, seed=0) for _ in range(2)
    )
    for label, count in itertools.product(range(num_classes), (0, 1, 40)):
        drawn = fitted.draw(label, count, 3)
        for array, old in zip((features, labels, patients), before):
            assert np.array_equal(array, old), "the input was changed"
        assert drawn.shape == (count, *shape)
        assert drawn.dtype == np.float32
        assert np.isfinite(drawn).all(), "a draw is not finite"
        assert signed or (drawn >= 0).all()
        of_class = features[labels == label]
        near = np.abs(drawn - of_class.mean(axis=0)) < APART / 10
        assert near.all(), "a draw is not of its class"
        assert (np.abs(drawn[..., -1] - of_class[0, ..., -1]) < 1e-5).all(), "a constant column varies"
        assert np.array_equal(drawn, fitted.draw(label, count, 3)), "the same seed draws otherwise"
        assert np.array_equal(drawn, again.draw(label, count, 3)), "the same fit draws otherwise"
        if method.nested and count:
            np.testing.assert_allclose(
                fitted.draw(label, count + 13, 3)[:count], drawn, rtol=1e-5, atol=1e-5, err_msg="not nested"
            )
    assert not np.array_equal(fitted.draw(0, 40, 3), fitted.draw(0, 40, 4)), "another seed draws the same"


def _check_unusual(method):
    """Few samples, one class, no patients, nothing that varies."""
    random = np.random.default_rng(1)
    two = random.normal(size=(2, 4)).astype(np.float32)
    one_each = method.fit(two, np.array([0, 1]), None, num_classes=2, signed=True, seed=0)
    assert np.isfinite(one_each.draw(1, 5, 0)).all()
    one_class = method.fit(two, np.array([1, 1]), np.array(["p", "p"]), num_classes=3, signed=True, seed=0)
    assert one_class.draw(1, 5, 0).shape == (5, 4)
    assert one_class.draw(0, 0, 0).shape == (0, 4)
    nothing_varies = method.fit(np.full((6, 3), 2.5), np.arange(6) % 2, None, num_classes=2, signed=True, seed=0)
    assert (nothing_varies.draw(0, 7, 0) == 2.5).all()
    wide = random.normal(size=(5, 300)).astype(np.float32)
    fitted = method.fit(wide, np.array([0, 0, 0, 1, 1]), None, num_classes=2, signed=True, seed=0)
    assert np.isfinite(fitted.draw(1, 9, 0)).all()


def _check_many(method):
    """What is fitted beside others, of other sizes and classes, draws as if it were alone."""
    cohorts = [(2, (5,), 0), (3, (5,), 1), (2, (5,), 2), (2, (2, 2, 3), 0)]
    settings = [{"num_classes": num_classes, "signed": True, "seed": seed} for num_classes, _, seed in cohorts]
    reals = [
        sampling_method.real_samples(*real_samples(num_classes, shape, True), **each)
        for (num_classes, shape, _), each in zip(cohorts, settings)
    ]
    for (num_classes, shape, _), each, fitted in zip(cohorts, settings, method.fit_many(reals)):
        alone = method.fit(*real_samples(num_classes, shape, True), **each)
        for label in range(num_classes):
            np.testing.assert_allclose(
                fitted.draw(label, 9, 1), alone.draw(label, 9, 1), rtol=1e-5, atol=1e-5, err_msg="not as if alone"
            )
