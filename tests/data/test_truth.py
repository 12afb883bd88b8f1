import numpy as np
import pytest

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import truth


def _truths():
    generator = np.random.default_rng(0)
    for number, shape in enumerate([(3, 5, 7), (1, 4, 4), (2, 3, 11)]):
        mask = generator.random(shape) < 0.3
        areas = mask.sum((1, 2))
        yield truth.Truth(
            f"p{number}", mask, np.arange(4), np.arange(2), np.array([2.5, 1.0, 0.5]) * (number + 1), areas
        )


def test_masks_come_back(tmp_path):
    writer = truth.TruthWriter()
    for one in _truths():
        writer.add(one)
    writer.write(tmp_path, "train")
    for found, wanted in zip(truth.truths(tmp_path, "train"), _truths(), strict=True):
        assert found.patient == wanted.patient
        for name in ("mask", "box", "scaled", "spacing", "areas"):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    np.testing.assert_array_equal(truth.areas(tmp_path, "train"), np.concatenate([one.areas for one in _truths()]))
    assert truth.spacings(tmp_path, "train").shape == (3, 3)


def test_of_nobody(tmp_path):
    truth.TruthWriter().write(tmp_path, "test")
    assert list(truth.truths(tmp_path, "test")) == []
    assert truth.areas(tmp_path, "test").shape == (0,)


def test_missing_and_damaged(tmp_path):
    with pytest.raises(InputError, match="truth-train.npz is missing or damaged; delete .* done again"):
        truth.areas(tmp_path, "train")
    (tmp_path / "truth-train.npz").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="missing or damaged"):
        list(truth.truths(tmp_path, "train"))


def test_part_of_some_patients(tmp_path):
    writer = truth.TruthWriter()
    for one in _truths():
        writer.add(one)
    writer.write(tmp_path, "all")
    truth.write_part(tmp_path, "test", source=(tmp_path, "all"), patients=["p2", "p0"])
    by_name = {one.patient: one for one in _truths()}
    for found, name in zip(truth.truths(tmp_path, "test"), ("p2", "p0"), strict=True):
        for key, value in vars(by_name[name]).items():
            np.testing.assert_array_equal(getattr(found, key), value)
    truth.write_part(tmp_path, "none", source=(tmp_path, "all"), patients=[])
    assert list(truth.truths(tmp_path, "none")) == []
