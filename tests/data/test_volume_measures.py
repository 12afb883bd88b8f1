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
        cut=seed,
        mask_voxels=10 * seed,
        content_cut=0.25,
        fingerprint=random.normal(size=8),
        description=random.normal(size=(2, 6)).astype(np.float32),
        shape=(3 + seed, 40, 50),
        spacing=np.array([2.5, 1.0, 1.0]),
        file_spacing=np.array([0.5, 0.7, 5.0]),
        file_shape=(100, 80, 20),
        plane="coronal",
        unoriented="a.nii, its axes read as LAS" if seed else "",
        number=100,
        mean=random.normal(size=2),
        squares=random.uniform(size=2),
        moved="m.nii resampled, corners 3 mm away" if seed else "",
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


def test_stores_of_before(tmp_path):
    """They lack what was not measured then: axial slices at the spacing of the files."""
    write_measured(tmp_path, "all", {"b": _measured(1)})
    with np.load(tmp_path / "measured-all.npz") as file:
        kept = {name: file[name] for name in file.files}
    for name in ("mask_voxels", "content_cut", "file_spacing", "file_shape", "plane", "unoriented", "moved"):
        kept.pop(name)
    np.savez(tmp_path / "measured-all.npz", **kept)
    found = read_measured(tmp_path, "all")["b"]
    assert found.file_spacing.tolist() == [1.0, 1.0, 2.5]
    assert found.file_shape == (50, 40, 4)
    assert (found.plane, found.unoriented, found.moved) == ("axial", "", "")
    assert np.isnan(found.content_cut)
    assert np.isnan(found.tumour_cut)


def test_share_of_the_tumour():
    assert _measured(0).tumour_cut == 0
    assert _measured(1).tumour_cut == 0.1


def test_missing_and_damaged(tmp_path):
    with pytest.raises(InputError, match=r"measured-all\.npz is missing or damaged; delete .* done again"):
        read_measured(tmp_path, "all")
    (tmp_path / "measured-all.npz").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="missing or damaged"):
        read_measured(tmp_path, "all")
    write_measured(tmp_path, "all", {"a": _measured(0)})
    with np.load(tmp_path / "measured-all.npz") as file:
        arrays = {name: file[name] for name in file.files}
    for changes in ({"shape": np.ones(1)}, {"slices": np.ones(2)}, {"patients": np.array("a")}):
        np.savez(tmp_path / "measured-all.npz", **{**arrays, **changes})
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
