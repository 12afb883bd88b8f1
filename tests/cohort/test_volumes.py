import gzip
import itertools

import nibabel as nib
import numpy as np
import pytest

from rembrandt_featgen.cohort import volumes
from tests.cohort.refusals import refused

SHAPE = (4, 5, 3)
CODES = ["RAS", "LPS", "LAS", "PIR", "SRA", "IPL", "ASL"]


def _world(code, zooms=(1.0, 2.0, 3.0), kind=nib.Nifti1Image):
    """A RAS array of distinct values, and the same image stored with axes that run as `code` says."""
    canonical = np.arange(1, 61, dtype=np.int16).reshape(SHAPE)
    image = kind(canonical, nib.affines.from_matvec(np.diag(zooms), (-10, 20, 5)))
    image.header.set_xyzt_units("mm", "sec")
    ornts = [nib.orientations.axcodes2ornt(axes) for axes in ("RAS", code)]
    stored = image.as_reoriented(nib.orientations.ornt_transform(*ornts))
    assert nib.aff2axcodes(stored.affine) == tuple(code)
    return canonical, stored


def _save(path, array, affine=None, dtype=None):
    nib.save(nib.Nifti1Image(np.asarray(array), np.eye(4) if affine is None else affine, dtype=dtype), path)
    return path


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("code", CODES)
def test_read_volume_is_canonical(tmp_path, code, ending):
    canonical, image = _world(code)
    nib.save(image, tmp_path / f"a{ending}")
    volume = volumes.read_volume(tmp_path / f"a{ending}")
    assert volume.voxels.dtype == np.float32
    np.testing.assert_array_equal(volume.voxels, canonical)
    np.testing.assert_allclose(volume.affine, nib.as_closest_canonical(image).affine)


@pytest.mark.parametrize(("code", "ending"), itertools.product(CODES, [".nii", ".nii.gz"]))
def test_write_like_goes_back_the_way_it_came(tmp_path, code, ending):
    canonical, image = _world(code)
    nib.save(image, tmp_path / "source.nii")
    volume = volumes.read_volume(tmp_path / "source.nii")
    volumes.write_like(tmp_path / f"out{ending}", (canonical > 30).astype(np.uint8), volume)
    written = nib.load(tmp_path / f"out{ending}")
    assert written.get_data_dtype() == np.uint8
    assert nib.aff2axcodes(written.affine) == tuple(code)
    np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(image.dataobj) > 30)
    np.testing.assert_allclose(written.affine, image.affine)
    assert written.header.get_zooms() == image.header.get_zooms()
    assert written.header.get_xyzt_units() == ("mm", "sec")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({"source.nii", f"out{ending}"})


def test_write_like_keeps_oblique_affine_codes_and_trailing_axis(tmp_path):
    turn = nib.eulerangles.euler2mat(0.2, -0.1, 0.3) @ np.diag([-1.0, 2.0, 4.0])
    image = nib.Nifti1Image(np.arange(60.0).reshape(*SHAPE, 1), nib.affines.from_matvec(turn, (3, 1, 4)))
    image.set_sform(image.affine, "mni")
    image.set_qform(image.affine, "scanner")
    nib.save(image, tmp_path / "a.nii.gz")
    volume = volumes.read_volume(tmp_path / "a.nii.gz")
    assert volume.voxels.shape == SHAPE
    volumes.write_like(tmp_path / "b.nii.gz", volume.voxels, volume)
    written = nib.load(tmp_path / "b.nii.gz")
    assert written.shape == (*SHAPE, 1)
    np.testing.assert_array_equal(written.get_fdata(), image.get_fdata())
    np.testing.assert_allclose(written.affine, image.affine, atol=1e-5)
    assert int(written.header["sform_code"]) == 4
    assert int(written.header["qform_code"]) == 1


def test_write_like_rejects_another_shape(tmp_path):
    volume = volumes.read_volume(_save(tmp_path / "a.nii", np.arange(60.0).reshape(SHAPE)))
    with pytest.raises(ValueError, match="shape"):
        volumes.write_like(tmp_path / "b.nii", np.zeros((5, 4, 3), np.uint8), volume)


def test_nifti2_and_bool(tmp_path):
    canonical, image = _world("LPS", kind=nib.Nifti2Image)
    nib.save(image, tmp_path / "a.nii.gz")
    volume = volumes.read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(volume.voxels, canonical)
    volumes.write_like(tmp_path / "b.nii.gz", canonical > 30, volume)
    np.testing.assert_array_equal(volumes.read_mask(tmp_path / "b.nii.gz", SHAPE), canonical > 30)


def test_scaled_voxels_are_read_with_their_scale(tmp_path):
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(SHAPE), np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    nib.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(
        volumes.read_volume(tmp_path / "a.nii").voxels, np.asarray(nib.load(tmp_path / "a.nii").dataobj)
    )


def test_write_new_is_reproducible(tmp_path):
    voxels = np.arange(60, dtype=np.int16).reshape(SHAPE)
    affine = np.diag([2.0, 2.0, 6.0, 1.0])
    volumes.write_new(tmp_path / "a.nii.gz", voxels, affine)
    volumes.write_new(tmp_path / "b.nii.gz", voxels, affine)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    written = nib.load(tmp_path / "a.nii.gz")
    assert written.get_data_dtype() == np.int16
    np.testing.assert_array_equal(written.affine, affine)
    assert written.header.get_xyzt_units()[0] == "mm"


def _truncated(path):
    _save(path, np.random.default_rng(0).normal(size=(20, 20, 20)))
    path.write_bytes(path.read_bytes()[:-2000])


def _corrupt_stream(path):
    _save(path, np.random.default_rng(0).normal(size=(20, 20, 20)))
    data = bytearray(path.read_bytes())
    data[5000:5050] = b"\xff" * 50
    path.write_bytes(data)


def _wrong_checksum(path):
    data = bytearray(gzip.compress(nib.Nifti1Image(np.arange(60.0).reshape(SHAPE), np.eye(4)).to_bytes()))
    data[-8] ^= 1
    path.write_bytes(data)


def _holed(value):
    def make(path):
        array = np.arange(60.0).reshape(SHAPE)
        array[1, 1, 1] = value
        _save(path, array)

    return make


def _rgb(path):
    _save(path, np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")]))


def _no_orientation(value):
    def make(path):
        data = bytearray(nib.Nifti1Image(np.arange(60.0).reshape(SHAPE), np.eye(4)).to_bytes())
        data[280:328] = np.full(12, value, "<f4").tobytes()  # srow_x, srow_y, srow_z
        path.write_bytes(data)

    return make


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("a.nii.gz", lambda path: None, ["no such file", "add it"]),
        ("a.nii.gz", _truncated, ["truncated", "again"]),
        ("a.nii", _truncated, ["truncated", "again"]),
        ("a.nii.gz", _corrupt_stream, ["not a readable NIfTI", "again"]),
        ("a.nii.gz", _wrong_checksum, ["CRC", "again"]),
        ("a.nii.gz", lambda path: path.write_bytes(b""), ["an empty file", "again"]),
        ("a.nii.gz", lambda path: path.write_text("hello\nworld\n" * 99), ["a text that begins with 'hello'"]),
        ("a.nii", lambda path: _save(path, np.ones((4, 5, 3, 2))), ["(4, 5, 3, 2)", "one volume a file"]),
        ("a.nii", lambda path: _save(path, np.arange(20.0).reshape(4, 5)), ["(4, 5)", "not 3-D"]),
        ("a.nii", _holed(np.nan), ["1 voxels are NaN", "replace"]),
        ("a.nii", _holed(np.inf), ["1 voxels are NaN or infinite", "replace"]),
        ("a.nii", _holed(1e300), ["infinite", "replace"]),  # does not fit into float32
        ("a.nii", lambda path: _save(path, np.full(SHAPE, 7.0)), ["all voxels are 7", "export"]),
        ("a.nii", lambda path: _save(path, np.zeros((4, 0, 3))), ["empty", "export"]),
        ("a.nii", _rgb, ["not plain numbers", "convert"]),
        ("a.nii", lambda path: _save(path, np.ones(SHAPE, np.complex64)), ["not plain numbers", "convert"]),
        ("a.nii", _no_orientation(np.nan), ["orientation", "sform"]),
        ("a.nii", _no_orientation(0), ["orientation", "sform"]),
    ],
)
def test_read_volume_refuses(tmp_path, name, make, words):
    make(tmp_path / name)
    refused(lambda: volumes.read_volume(tmp_path / name), tmp_path / name, "--cohort", *words)
    refused(lambda: volumes.read_volume(tmp_path / name, "--input"), "--input")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("code", ["RAS", "PIR"])
def test_read_mask_is_the_whole_tumour(tmp_path, code, dtype):
    canonical, image = _world(code)
    labels = (np.asarray(image.dataobj) % 5).astype(dtype)
    _save(tmp_path / "m.nii.gz", labels, image.affine)
    mask = volumes.read_mask(tmp_path / "m.nii.gz", SHAPE)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, canonical % 5 > 0)


def test_an_empty_mask_is_legal(tmp_path):
    assert volumes.read_mask(_save(tmp_path / "m.nii", np.zeros(SHAPE, np.uint8)), SHAPE).sum() == 0


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.5, ["0.5", "integer", "nearest neighbour"]),
        (-1, ["-1", "integers from 0"]),
        (np.nan, ["NaN", "replace"]),
        (np.inf, ["infinite", "replace"]),
    ],
)
def test_read_mask_refuses_labels(tmp_path, value, words):
    _holed(value)(tmp_path / "m.nii.gz")
    refused(lambda: volumes.read_mask(tmp_path / "m.nii.gz", SHAPE), tmp_path / "m.nii.gz", "--cohort", *words)


def test_read_mask_refuses_labels_that_are_not_numbers(tmp_path):
    _rgb(tmp_path / "m.nii")
    refused(lambda: volumes.read_mask(tmp_path / "m.nii", SHAPE), tmp_path / "m.nii", "--cohort", "not plain numbers")


def test_read_mask_refuses_another_shape(tmp_path):
    path = _save(tmp_path / "m.nii", np.zeros((5, 4, 3), np.uint8))
    refused(lambda: volumes.read_mask(path, SHAPE), path, "--cohort", "(5, 4, 3)", "(4, 5, 3)", "resample")


def test_volumes_of_a_patient_have_one_shape(tmp_path):
    one, two = (_save(tmp_path / f"{name}.nii", np.arange(60.0).reshape(SHAPE)) for name in "ab")
    other = _save(tmp_path / "c.nii", np.arange(60.0).reshape(5, 4, 3))
    assert [volume.path for volume in volumes.read_volumes([one, two])] == [one, two]
    refused(lambda: volumes.read_volumes([one, two, other], "--image"), "--image", other, one, "(5, 4, 3)", "resample")


@pytest.mark.parametrize(("shift", "warned"), [(0.0, False), (0.01, False), (3.0, True)])
def test_read_mask_warns_of_another_affine(tmp_path, monkeypatch, shift, warned):
    said = []
    monkeypatch.setattr(volumes.logging, "warning", lambda text, *values: said.append(text % values))
    image = volumes.read_volume(_save(tmp_path / "a.nii", np.arange(60.0).reshape(SHAPE)))
    path = _save(tmp_path / "m.nii", np.ones(SHAPE, np.uint8), nib.affines.from_matvec(np.eye(3), [shift, 0, 0]))
    volumes.read_mask(path, SHAPE, image)
    assert bool(said) == warned
    for text in said:
        assert str(path) in text
        assert str(image.path) in text


def test_read_mask_is_silent_where_only_the_axis_order_differs(tmp_path, monkeypatch):
    monkeypatch.setattr(volumes.logging, "warning", lambda *values: pytest.fail(str(values)))
    nib.save(_world("RAS")[1], tmp_path / "a.nii")
    whole = _world("PIR")[1]
    nib.save(nib.Nifti1Image(np.asarray(whole.dataobj) % 3, whole.affine), tmp_path / "m.nii")
    volumes.read_mask(tmp_path / "m.nii", SHAPE, volumes.read_volume(tmp_path / "a.nii"))
