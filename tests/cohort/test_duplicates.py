import numpy as np
import pytest

from rembrandt_featgen.cohort import duplicates, phantom
from rembrandt_featgen.cohort.phantom_rendering import render


@pytest.fixture(scope="module")
def volumes():
    """Four phantoms [128, 128, 4] by name."""
    found = {}
    for index in range(4):
        generator = np.random.default_rng(index)
        drawn = {**phantom.draw_look(generator, index % 2, 0.5), **phantom.draw_anatomy(generator)}
        found[f"P{index}"] = render(generator, drawn, size=128, slices=4)[0]["flair"].astype(float)
    return found


def test_different_patients_are_not_duplicates(volumes):
    assert duplicates.find_duplicates({k: duplicates.fingerprint(v) for k, v in volumes.items()}) == []


@pytest.mark.parametrize(
    "disguise",
    [
        lambda v: v,
        lambda v: 1.7 * v + 30,
        lambda v: v + np.random.default_rng(9).normal(0, 0.05 * v.max(), v.shape),
        lambda v: np.rint(v / v.max() * 255),
    ],
    ids=["copy", "scaled", "noisy", "uint8"],
)
def test_disguised_copy_is_named(volumes, disguise):
    prints = {k: duplicates.fingerprint(v) for k, v in volumes.items()}
    prints["ALIAS"] = duplicates.fingerprint(disguise(volumes["P2"]))
    ((first, second, correlation),) = duplicates.find_duplicates(prints)
    assert (first, second) == ("ALIAS", "P2")
    assert correlation > duplicates.THRESHOLD


def test_fingerprint_is_standardised(volumes):
    found = duplicates.fingerprint(volumes["P0"])
    assert found.shape == (32 * 32 * 4,)
    assert found.mean() == pytest.approx(0, abs=1e-12)
    assert np.linalg.norm(found) == pytest.approx(1)
    assert not duplicates.fingerprint(np.full((40, 40, 3), 7.0)).any()
