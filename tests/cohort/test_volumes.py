import functools
import gzip
import itertools

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from rembrandt_featgen.cohort import geometry, volumes
from rembrandt_featgen.cohort.geometry import Grid
from rembrandt_featgen.cohort.reading_choice import Reading
from rembrandt_featgen.cohort.volumes import read_placed_mask
from rembrandt_featgen.core.errors import InputError
from tests import markers
from tests.cohort import image_examples
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


def _image(folder):
    return volumes.read_volume(_save(folder / "image.nii", np.arange(60.0).reshape(SHAPE)))


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


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".img", ".mha", ".nrrd", ".mgz"])
def test_of_a_header_the_place_alone_is_written(tmp_path, ending):
    source = nib.Nifti1Image(image_examples.voxels(), image_examples.OBLIQUE)
    path = tmp_path / "in" / f"a{ending}"
    path.parent.mkdir()
    if ending in (".mha", ".nrrd"):
        image = image_examples.itk_image(image_examples.voxels())
        image.SetMetaData("PatientName", markers.HEADER["descrip"])
        SimpleITK.WriteImage(image, str(path))
    elif ending == ".mgz":
        image = nib.MGHImage(image_examples.voxels(), source.affine).to_bytes()
        path.write_bytes(gzip.compress(image + b"Quillfeather"))  # where FreeSurfer's tags are
    else:
        nib.save(source, tmp_path / "bare.nii")
        markers.plant_nifti(tmp_path / "bare.nii", path)
    assert markers.found(path.parent, ["Quillfeather"])
    volume = volumes.read_volume(path)
    (tmp_path / "out").mkdir()
    volumes.write_like(tmp_path / "out" / "b.nii", volume.voxels > 30, volume)
    written = nib.load(tmp_path / "out" / "b.nii")
    assert not markers.found(tmp_path / "out", markers.WORDS)
    assert not written.header["cal_max"] and not written.header["toffset"] and not written.header.extensions
    np.testing.assert_allclose(written.affine, image_examples.OBLIQUE, atol=1e-4)


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
    np.testing.assert_array_equal(read_placed_mask(tmp_path / "b.nii.gz", volume).voxels, canonical > 30)


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
def test_mask_is_the_whole_tumour(tmp_path, code, dtype):
    canonical, image = _world(code)
    labels = (np.maximum(np.asarray(image.dataobj), 40) % 5).astype(dtype)
    _save(tmp_path / "m.nii.gz", labels, image.affine)
    nib.save(image, tmp_path / "a.nii")
    mask = read_placed_mask(tmp_path / "m.nii.gz", volumes.read_volume(tmp_path / "a.nii")).voxels
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, np.maximum(canonical, 40) % 5 > 0)


def test_an_empty_mask_is_legal(tmp_path):
    assert read_placed_mask(_save(tmp_path / "m.nii", np.zeros(SHAPE, np.uint8)), _image(tmp_path)).voxels.sum() == 0


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.5, ["0.5", "integer", "nearest neighbour"]),
        (-1, ["-1", "integers from 0"]),
        (np.nan, ["NaN", "replace"]),
        (np.inf, ["infinite", "replace"]),
    ],
)
def test_mask_refuses_labels(tmp_path, value, words):
    _holed(value)(tmp_path / "m.nii.gz")
    refused(
        lambda: read_placed_mask(tmp_path / "m.nii.gz", _image(tmp_path)), tmp_path / "m.nii.gz", "--cohort", *words
    )


def test_mask_refuses_labels_that_are_not_numbers(tmp_path):
    _rgb(tmp_path / "m.nii")
    read = _image(tmp_path)
    refused(lambda: read_placed_mask(tmp_path / "m.nii", read), tmp_path / "m.nii", "--cohort", "not plain numbers")


def test_mask_refuses_another_shape(tmp_path):
    path = _save(tmp_path / "m.nii", np.zeros((5, 4, 3), np.uint8))
    image = _image(tmp_path)
    refused(lambda: read_placed_mask(path, image), path, "--cohort", "(5, 4, 3)", "(4, 5, 3)", "--geometry=resample")
    by_voxels = Reading("voxels")
    words = (path, image.path, "(5, 4, 3)", "(4, 5, 3)")
    refused(lambda: read_placed_mask(path, image, reading=by_voxels), *words)


def test_volumes_of_a_patient_have_one_shape(tmp_path):
    one, two = (_save(tmp_path / f"{name}.nii", np.arange(60.0).reshape(SHAPE)) for name in "ab")
    other = _save(tmp_path / "c.nii", np.arange(60.0).reshape(5, 4, 3))
    assert [volume.path for volume in volumes.read_volumes([one, two])] == [one, two]
    refused(lambda: volumes.read_volumes([one, two, other], "--image"), "--image", other, one, "(5, 4, 3)", "resample")


@pytest.mark.parametrize("spacing", [(), (2.0, 2.0, 2.0)])
@pytest.mark.parametrize("labels", [(0, 1), (0, 4)])
def test_a_mask_is_no_copy_of_an_image(tmp_path, labels, spacing):
    """Neither of the first nor of another, of its labels nor of where they are; but an image may be dark elsewhere."""
    tumour = np.arange(480).reshape(8, 10, 6) % 7 == 0
    mask = _save(tmp_path / "m.nii", np.where(tumour, labels[1], labels[0]), dtype=np.uint8)
    image = _save(tmp_path / "a.nii", np.arange(480.0).reshape(8, 10, 6))
    reading = Reading(spacing=spacing)
    for copied in (np.where(tumour, labels[1], labels[0]), tumour):
        copy = _save(tmp_path / "b.nii", copied.astype(np.float32))
        refused(functools.partial(_voxels_of_mask, mask, [copy, image], reading), mask, copy, "--cohort", "was copied")
        refused(functools.partial(_voxels_of_mask, mask, [image, copy], reading), mask, copy, "--cohort", "was copied")
    lit = _save(tmp_path / "c.nii", np.where(tumour, np.arange(480).reshape(8, 10, 6) % 3 + 1.0, 0.0))
    assert _voxels_of_mask(mask, [image, lit], reading).any()


def _voxels_of_mask(mask, images, reading):
    read = volumes.read_volumes(images, reading=reading)
    return read_placed_mask(mask, read[0], reading=reading, others=read[1:]).voxels


@pytest.mark.parametrize(("voxels", "refuses"), [(30, False), (31, True)])
def test_a_mask_covers_at_most_half_of_the_volume(tmp_path, voxels, refuses):
    """The mask of the background, of a head or a brain is no tumour."""
    labels = (np.arange(60) < voxels).reshape(SHAPE).astype(np.uint8)
    path, image = _save(tmp_path / "m.nii", labels), _image(tmp_path)
    if refuses:
        refused(lambda: read_placed_mask(path, image), path, "covers 52% of the volume", "0 elsewhere", "--cohort")
    else:
        assert read_placed_mask(path, image).voxels.sum() == voxels


# A head of 32 x 32 x 16 mm, lying left, posterior, superior in its file, and what befell other files of the patient.
SIZE = (32, 32, 16)
PLACE = nib.affines.from_matvec(np.diag([-1.0, -1.0, 1.0]), (20, 12, -5))
SLOPE = np.array([1.0, -2.0, 3.0])


def _about_centre(matrix):
    """The place after a linear map of space that leaves its centre where it is."""
    centre = nib.affines.apply_affine(PLACE, (np.array(SIZE) - 1) / 2)
    return nib.affines.from_matvec(matrix, centre - matrix @ centre) @ PLACE


MOVED = {
    "flipped": (np.eye(4), 22.5),  # an affine that was lost: left is right, and front is back
    "shifted": (nib.affines.from_matvec(np.eye(3), (30, 0, 0)) @ PLACE, 30),
    "shifted a little": (nib.affines.from_matvec(np.eye(3), (0, 0, 0.6)) @ PLACE, 0.6),
    "rotated": (_about_centre(nib.eulerangles.euler2mat(np.deg2rad(2), 0, 0)), 0.79),
    "scaled": (_about_centre(np.diag([1.05, 1.05, 1.05])), 1.2),
}


def _mm(shape, affine):
    return nib.affines.apply_affine(affine, np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1))


def _ball(shape, affine):
    """A tumour of 6 mm, some mm from the centre of the head."""
    return np.linalg.norm(_mm(shape, affine) - (8, 0, 2), axis=-1) < 6


@pytest.fixture
def head(tmp_path):
    """The first image, intensities linear in space, as it is stored and as it is read."""
    stored = _mm(SIZE, PLACE) @ SLOPE
    path = _save(tmp_path / "first.nii.gz", stored.astype(np.float32), PLACE)
    return stored, volumes.read_volume(path)


@pytest.mark.parametrize("how", MOVED)
def test_files_that_lie_apart_are_refused(how, head, tmp_path):
    affine, apart = MOVED[how]
    image = _save(tmp_path / "second.nii.gz", head[0].astype(np.float32), affine)
    mask = _save(tmp_path / "mask.nii.gz", _ball(SIZE, PLACE).astype(np.uint8), affine)
    first = head[1].path
    for call in (
        lambda: volumes.read_volumes([first, image], "--image"),
        lambda: read_placed_mask(mask, head[1], "--image"),
    ):
        refused(call, first, "--image", "(0.5 mm pass)", "--geometry=resample", "--geometry=voxels")
        with pytest.raises(InputError) as caught:
            call()
        said = float(str(caught.value).partition("up to ")[2].partition(" mm")[0])
        assert said == pytest.approx(apart, rel=0.02)


@pytest.mark.parametrize("how", MOVED)
def test_files_that_lie_apart_are_resampled(how, head, tmp_path):
    """What was true of places in mm still is, on the grid of the first image."""
    affine, apart = MOVED[how]
    reading = Reading("resample")
    image = _save(tmp_path / "second.nii.gz", (_mm(SIZE, affine) @ SLOPE).astype(np.float32), affine)
    mask = _save(tmp_path / "mask.nii.gz", _ball(SIZE, affine).astype(np.uint8), affine)
    first, second = volumes.read_volumes([head[1].path, image], reading=reading)
    np.testing.assert_array_equal(first.voxels, head[1].voxels)
    assert first.moved == ""
    assert second.moved.startswith("second.nii.gz resampled, corners ")
    assert float(second.moved.split()[-3]) == pytest.approx(apart, rel=0.02)
    wanted = _mm(SIZE, first.affine) @ SLOPE
    np.testing.assert_allclose(first.voxels, wanted, atol=1e-4)
    places = nib.affines.apply_affine(np.linalg.inv(affine), _mm(SIZE, first.affine))
    inside = ((places >= 0) & (places <= np.array(SIZE) - 1)).all(-1)
    assert inside.any()
    np.testing.assert_allclose(second.voxels[inside], wanted[inside], atol=1e-3)
    if _ball(SIZE, affine).any():
        found, ball = (
            read_placed_mask(mask, first, reading=reading).voxels.astype(bool),
            _ball(SIZE, first.affine) & inside,
        )
        assert found.dtype == bool
        assert (found[inside] != ball[inside]).sum() < 0.15 * ball.sum()
        assert not found[~inside].any()
    else:  # shifted away from the ball
        assert how in ("shifted", "flipped")


@pytest.mark.parametrize("how", MOVED)
def test_files_whose_headers_are_wrong_are_taken_by_their_voxels(how, head, tmp_path):
    affine, _ = MOVED[how]
    reading = Reading("voxels")
    image = _save(tmp_path / "second.nii.gz", (head[0] * 2).astype(np.float32), affine)
    mask = _save(tmp_path / "mask.nii.gz", _ball(SIZE, PLACE).astype(np.uint8), affine)
    first, second = volumes.read_volumes([head[1].path, image], reading=reading)
    np.testing.assert_array_equal(second.voxels, 2 * first.voxels)
    found = volumes.read_placed_mask(mask, first, reading=reading)
    np.testing.assert_array_equal(found.voxels, _ball(SIZE, first.affine))
    assert found.moved.startswith("mask.nii.gz taken by its voxels, by its header corners ")


def test_files_that_lie_half_a_voxel_apart_are_the_same(head, tmp_path):
    """And are not blurred by resampling, either."""
    affine = nib.affines.from_matvec(np.eye(3), (0.3, 0.2, 0.1)) @ PLACE
    image = _save(tmp_path / "second.nii.gz", head[0].astype(np.float32), affine)
    for name in ("refuse", "resample", "voxels"):
        second = volumes.read_volumes([head[1].path, image], reading=Reading(name))[1]
        np.testing.assert_array_equal(second.voxels, head[1].voxels)
        np.testing.assert_array_equal(second.affine, head[1].affine)


@pytest.mark.parametrize("code", CODES)
def test_the_order_of_axes_in_a_file_is_no_difference(code, tmp_path):
    canonical, image = _world(code)
    nib.save(_world("RAS")[1], tmp_path / "a.nii")
    nib.save(image, tmp_path / "b.nii")
    np.testing.assert_array_equal(volumes.read_volumes([tmp_path / "a.nii", tmp_path / "b.nii"])[1].voxels, canonical)


def test_another_grid_of_the_same_place_is_resampled(head, tmp_path):
    """A mask and an image of half the spacing, and of other axes."""
    fine = Grid((64, 64, 32), PLACE @ np.diag([0.5, 0.5, 0.5, 1]))
    mask = _save(tmp_path / "mask.nii.gz", _ball(fine.shape, fine.affine).astype(np.uint8), fine.affine)
    image = _save(tmp_path / "second.nii", (_mm(fine.shape, fine.affine) @ SLOPE).astype(np.float32), fine.affine)
    refused(lambda: read_placed_mask(mask, head[1]), "(64, 64, 32)", "(32, 32, 16)", "--geometry=resample")
    reading = Reading("resample")
    found = read_placed_mask(mask, head[1], reading=reading).voxels
    assert (found != _ball(SIZE, head[1].affine)).mean() < 0.01
    second = volumes.read_volumes([head[1].path, image], reading=reading)[1]
    np.testing.assert_allclose(second.voxels[2:-2, 2:-2, 2:-2], head[1].voxels[2:-2, 2:-2, 2:-2], atol=0.1)


def test_what_lies_wholly_elsewhere_is_refused_where_it_is_resampled(head, tmp_path):
    affine = nib.affines.from_matvec(np.eye(3), (500, 0, 0)) @ PLACE
    image = _save(tmp_path / "second.nii.gz", head[0].astype(np.float32), affine)
    mask = _save(tmp_path / "mask.nii.gz", _ball(SIZE, PLACE).astype(np.uint8), affine)
    reading = Reading("resample")
    refused(lambda: volumes.read_volumes([head[1].path, image], reading=reading), image, "nothing of it lies where")
    refused(lambda: read_placed_mask(mask, head[1], reading=reading), mask, "nothing of its tumour", "outside")


def _without_orientation(path, array, affine):
    image = nib.Nifti1Image(array, affine)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nib.save(image, path)
    return path


def test_a_header_without_orientation_is_named(head, tmp_path):
    mask = _without_orientation(tmp_path / "mask.nii", _ball(SIZE, PLACE).astype(np.uint8), PLACE)
    refused(
        lambda: read_placed_mask(mask, head[1]), f"the header of {mask} does not say how it lies", "--geometry=voxels"
    )
    found = read_placed_mask(mask, head[1], reading=Reading("voxels")).voxels
    np.testing.assert_array_equal(found, _ball(SIZE, head[1].affine))
    image = volumes.read_volume(_without_orientation(tmp_path / "a.nii", head[0].astype(np.float32), PLACE))
    assert (head[1].oriented, image.oriented) == (True, False)
    assert (head[1].file_axes, image.file_axes) == ("LPS", "LAS")  # nibabel's guess


@pytest.mark.parametrize("name", ["refuse", "resample"])
@pytest.mark.parametrize("silent", ["mask", "image"])
def test_a_header_without_orientation_in_the_box_of_the_other(silent, name, tmp_path):
    """Where an image lies about the origin, nibabel's guess for a silent header is the very same box, mirrored."""
    place = nib.affines.from_matvec(np.eye(3), -(np.array(SIZE) - 1) / 2)
    stored, ball = (_mm(SIZE, place) @ SLOPE).astype(np.float32), _ball(SIZE, place).astype(np.uint8)
    paths = [tmp_path / f"{what}.nii" for what in ("image", "mask", "second")]
    for path, array in zip(paths, (stored, ball, 2 * stored)):
        write = _without_orientation if (path.stem == "image") == (silent == "image") else _save
        write(path, array, place)
    reading, (image, mask, second) = Reading(name), paths
    read = volumes.read_volume(image, reading=reading)
    words = ["may be turned", "LAS", "RAS", "does not say how it lies", "a header that says so", "--geometry=voxels"]
    refused(lambda: read_placed_mask(mask, read, reading=reading), *words)
    refused(lambda: volumes.read_volumes([image, second], reading=reading), *words)
    by_voxels = Reading("voxels")
    found = read_placed_mask(mask, read, reading=by_voxels).voxels
    np.testing.assert_array_equal(found, ball[::-1] if silent == "image" else ball)


def test_a_guessed_place_is_not_resampled(head, tmp_path):
    mask = _without_orientation(tmp_path / "mask.nii", _ball(SIZE, PLACE).astype(np.uint8), PLACE)
    reading = Reading("resample")
    refused(lambda: read_placed_mask(mask, head[1], reading=reading), "is not in the place of", "mask.nii a header")


@pytest.mark.parametrize(("shift", "refuses"), [(2, False), (8, False), (12, True), (16, True)])
def test_a_tumour_that_is_cut_off_by_resampling(head, tmp_path, shift, refuses):
    """A ball of 12 mm, whose centre lies 12.5 mm from the right end of the image, which is at 20.5 mm."""
    ball = _ball(SIZE, PLACE)
    share = (_mm(SIZE, PLACE)[ball][:, 0] + shift > 20.5).mean()
    affine = nib.affines.from_matvec(np.eye(3), (shift, 0, 0)) @ PLACE
    mask = _save(tmp_path / "mask.nii.gz", ball.astype(np.uint8), affine)
    reading = Reading("resample")
    if refuses:
        words = (mask, f"{share:.0%} of its tumour lies outside of {head[1].path}", "first modality")
        refused(lambda: read_placed_mask(mask, head[1], reading=reading), *words)
    else:
        left = read_placed_mask(mask, head[1], reading=reading).voxels.sum()
        assert left == round((1 - share) * ball.sum())


PLANES = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}  # of RAS axes


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("code", ["RAS", "LPS", "PIR"])
def test_slices_of_any_plane(code, plane, tmp_path):
    """And what is written of them lies in the file as the file does."""
    canonical, stored = _world(code)
    nib.save(stored, tmp_path / "a.nii")
    volume = volumes.read_volume(tmp_path / "a.nii", reading=Reading(slice_axis=plane))
    np.testing.assert_array_equal(volume.voxels, canonical.transpose(PLANES[plane]))
    ras = nib.as_closest_canonical(stored).affine
    np.testing.assert_allclose(volume.affine, ras[:, [*PLANES[plane], 3]])
    written = volumes.write_like(tmp_path / "b.nii", volume.voxels > 30, volume)
    np.testing.assert_array_equal(written, np.asarray(stored.dataobj) > 30)
    np.testing.assert_array_equal(nib.load(tmp_path / "b.nii").dataobj, written)
    np.testing.assert_allclose(nib.load(tmp_path / "b.nii").affine, stored.affine)


@pytest.mark.parametrize(
    ("zooms", "plane"), [((5, 1, 1), "sagittal"), ((1, 5, 1), "coronal"), ((1, 1, 5), "axial"), ((1, 1, 1), "axial")]
)
def test_slices_of_the_plane_that_was_acquired(zooms, plane, tmp_path):
    canonical, stored = _world("LPS", zooms)
    nib.save(stored, tmp_path / "a.nii")
    mask = nib.Nifti1Image((np.asarray(stored.dataobj) > 30).astype(np.uint8), stored.affine)
    nib.save(mask, tmp_path / "m.nii")
    reading = Reading(slice_axis="auto")
    volume = volumes.read_volume(tmp_path / "a.nii", reading=reading)
    assert volume.axes == geometry.AXES[plane]
    np.testing.assert_array_equal(volume.voxels, canonical.transpose(PLANES[plane]))
    found = read_placed_mask(tmp_path / "m.nii", volume, reading=reading).voxels
    np.testing.assert_array_equal(found, canonical.transpose(PLANES[plane]) > 30)


def test_another_spacing_and_back(tmp_path):
    """An image and a mask at another spacing are where they were, and so is what is predicted there."""
    place = PLACE @ np.diag([0.5, 0.5, 2.0, 1.0])
    shape = (64, 64, 8)
    image = _save(tmp_path / "a.nii.gz", (_mm(shape, place) @ SLOPE).astype(np.float32), place)
    path = _save(tmp_path / "m.nii.gz", _ball(shape, place).astype(np.uint8), place)
    reading = Reading(spacing=(0.8, 0.8, 1.0))
    volume = volumes.read_volume(image, reading=reading)
    assert volume.voxels.shape == (40, 40, 16)
    assert volume.file.shape == shape
    wanted = _mm(volume.voxels.shape, volume.affine) @ SLOPE
    np.testing.assert_allclose(volume.voxels[1:-1, 1:-1, 1:-1], wanted[1:-1, 1:-1, 1:-1], atol=0.3)
    mask = read_placed_mask(path, volume, reading=reading).voxels
    ball = _ball(volume.voxels.shape, volume.affine)
    assert mask.shape == ball.shape
    assert 2 * (mask & ball).sum() / (mask.sum() + ball.sum()) > 0.9
    volumes.write_like(tmp_path / "p.nii.gz", ball, volume)
    predicted, stored = nib.load(tmp_path / "p.nii.gz"), nib.load(path)
    assert predicted.shape == stored.shape
    np.testing.assert_allclose(predicted.affine, stored.affine)
    one, other = np.asarray(predicted.dataobj), np.asarray(stored.dataobj)
    assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.9
    straight = volumes.read_volume(image, reading=Reading(spacing=(0.5, 0.5, 2.0)))  # which it has: nothing is done
    np.testing.assert_array_equal(straight.voxels, volumes.read_volume(image).voxels)


def test_a_spacing_that_is_too_fine_or_too_coarse(head, tmp_path):
    fine = Reading(spacing=(0.05, 0.05, 0.005))
    words = ("--spacing=0.05,0.05,0.005", "coarser")
    refused(lambda: volumes.read_volume(head[1].path, reading=fine), head[1].path, *words)
    coarse = Reading(spacing=(8.0, 8.0, 8.0))
    small = np.zeros(SIZE, np.uint8)
    small[0, 0, 0] = 1
    path = _save(tmp_path / "m.nii", small, PLACE)
    volume = volumes.read_volume(head[1].path, reading=coarse)
    refused(lambda: read_placed_mask(path, volume, reading=coarse), path, "(1 voxels)", "finer spacing")


@pytest.mark.parametrize("which", ["mask", "image"])
def test_a_header_that_was_lost_in_the_very_same_box(which, tmp_path):
    """Of 8 patients of tcga_lgg in a trial all were turned by 180 degrees: no corner tells it, but the origin does."""
    canonical = np.arange(60, dtype=np.float32).reshape(SHAPE)
    turned, lost = nib.affines.from_matvec(np.diag([-1.0, -1, 1]), (3, 4, 0)), np.eye(4)
    one, other = (turned, lost) if which == "mask" else (lost, turned)
    image = volumes.read_volume(_save(tmp_path / "a.nii", canonical, one))
    mask = _save(tmp_path / "m.nii", (canonical > 40).astype(np.uint8), other)
    named = {"mask": mask, "image": image.path}[which]
    words = (
        "may be turned against",
        f"the header of {named} has no origin",
        "--geometry=voxels",
        "--geometry=resample",
    )
    refused(lambda: read_placed_mask(mask, image), mask, *words)
    found = read_placed_mask(mask, image, reading=Reading("voxels")).voxels
    np.testing.assert_array_equal(found, image.voxels > 40)
    found = read_placed_mask(mask, image, reading=Reading("resample")).voxels  # both headers are believed
    np.testing.assert_array_equal(found, (image.voxels > 40)[::-1, ::-1])
    origin = nib.affines.from_matvec(np.eye(3), (0.1, 0, 0))  # a place: somebody meant it
    if which == "mask":
        _save(mask, (canonical > 40).astype(np.uint8), origin)
        np.testing.assert_array_equal(read_placed_mask(mask, image).voxels, found)
