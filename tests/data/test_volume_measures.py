"""What was measured of volumes comes back as it was."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.preparation import Preparation, describe
from rembrandt_featgen.data.volume_measures import (
    Measured,
    is_measured,
    normalised_description,
    read_measured,
    write_measured,
)


def _measured(seed):
    random = np.random.default_rng(seed)
    return Measured(
        slices=3 + seed,
        empty_slices=1,
        has_tumour=seed > 0,
        tumour=50 * seed,
        pixels=3000,
        cut=0,
        fingerprint=random.normal(size=8),
        description=random.normal(size=(2, 6)).astype(np.float32),
        shape=(3 + seed, 40, 50),
        spacing=np.array([2.5, 1.0, 1.0]),
        number=100,
        mean=random.normal(size=2),
        squares=random.uniform(size=2),
    )


def test_measures_come_back(tmp_path):
    wanted = {"ä": _measured(0), "b": _measured(1)}
    assert not is_measured(tmp_path, "all")
    write_measured(tmp_path, "all", wanted)
    assert is_measured(tmp_path, "all")
    found = read_measured(tmp_path, "all")
    assert list(found) == list(wanted)
    for patient, one in wanted.items():
        for field in dataclasses.fields(Measured):
            value, before = getattr(found[patient], field.name), getattr(one, field.name)
            assert type(value) is type(before)
            np.testing.assert_array_equal(value, before)
    assert found["b"].part.number == 100


def test_missing_and_damaged(tmp_path):
    with pytest.raises(InputError, match=r"measured-all\.npz is missing or damaged; delete .* done again"):
        read_measured(tmp_path, "all")
    (tmp_path / "measured-all.npz").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="missing or damaged"):
        read_measured(tmp_path, "all")


def test_description_is_normalised_afterwards():
    """To the last bit what `describe` says of the volume with that mean and deviation (1 instead of 0)."""
    volume = tf.constant(np.random.default_rng(0).gamma(2, 30, (4, 20, 20, 2)).astype(np.float32))
    preparation = Preparation("cohort", "none", "crop", size=32, slices_in=1, mean=(61.7, 3.3), deviation=(42.1, 0.0))
    raw = describe(volume, preparation.without_cohort).numpy()
    one = dataclasses.replace(_measured(0), description=raw)
    np.testing.assert_array_equal(
        normalised_description(one, preparation), describe(volume, preparation).numpy(), strict=True
    )
    assert not np.array_equal(raw, normalised_description(one, preparation))
