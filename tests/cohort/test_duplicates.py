from pathlib import Path

import numpy as np
import pytest

from rembrandt_featgen.cohort import duplicates, phantom
from rembrandt_featgen.cohort.patients import Patient
from rembrandt_featgen.cohort.phantom_rendering import render
from tests.cohort.refusals import refused


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


def patients(groups):
    return [Patient(name, "HGG", {}, mask=Path(), group=group) for name, group in groups.items()]


def test_look_alikes_of_two_groups_are_refused_unless_allowed(volumes, caplog):
    prints = {
        k: duplicates.fingerprint(v) for k, v in {"A": volumes["P0"], "B": volumes["P0"], "C": volumes["P1"]}.items()
    }
    alone, split = patients({"A": "", "B": "", "C": ""}), {"A": "train", "B": "test", "C": "train"}
    words = ["--cohort: A (train) and B (test) hold the same volume", "1.0000", "one group", "--look_alikes=allow"]
    refused(lambda: duplicates.check(prints, alone, split), *words)
    duplicates.check(prints, patients({"A": "g", "B": "g", "C": ""}), split)  # visits, which no split divides
    caplog.clear()
    duplicates.check(prints, alone, split, allowed=True)
    assert "A (train) and B (test) hold the same volume" in caplog.text


@pytest.mark.parametrize(
    "change",
    [lambda v: np.roll(v, 4, axis=0), lambda v: v[::-1], lambda v: v[:, :, 1:]],
    ids=["shifted", "mirrored", "fewer"],
)
def test_what_is_not_found(volumes, change):
    """As README says: a copy that was moved, mirrored, or lacks a slice of four."""
    prints = {"A": duplicates.fingerprint(volumes["P2"]), "B": duplicates.fingerprint(change(volumes["P2"]))}
    assert duplicates.find_duplicates(prints) == []
