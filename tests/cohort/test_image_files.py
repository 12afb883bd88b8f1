"""Each format gives the array and the place that were written into it, and says what cannot be read."""

import functools
import gzip
import zipfile

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from rembrandt_featgen.cohort import image_files, image_paths, volumes
from tests.cohort import image_examples
from tests.cohort.image_examples import OBLIQUE, voxels
from tests.cohort.refusals import refused

ARRAY = voxels()


def _nibabel(kind):
    return lambda path: nib.save(kind(ARRAY.astype(np.int32) if kind is nib.MGHImage else ARRAY, OBLIQUE), path)


def _pair(path):
    nib.save(nib.Nifti1Pair(ARRAY, OBLIQUE), path)


WRITERS = {
    "a.nii": _nibabel(nib.Nifti1Image),
    "A.NII.GZ": _nibabel(nib.Nifti1Image),
    "two.nii.gz": _nibabel(nib.Nifti2Image),
    "pair.hdr": _pair,
    "pair.img": _pair,
    "a.mgz": _nibabel(nib.MGHImage),
    "a.mgh": _nibabel(nib.MGHImage),
    **dict.fromkeys(("a.mha", "a.mhd", "a.nrrd", "a.nhdr"), lambda path: image_examples.write_itk(path, ARRAY)),
    "series": lambda path: image_examples.write_series(path, ARRAY),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_array_and_place(name, tmp_path):
    path = tmp_path / name
    WRITERS[name](path)
    stored = image_files.load(path)
    np.testing.assert_array_equal(stored.array, ARRAY)
    np.testing.assert_allclose(stored.affine, OBLIQUE, atol=1e-4)
    assert stored.oriented
    assert stored.file_shape == ARRAY.shape
    np.testing.assert_allclose(stored.header.get_best_affine(), OBLIQUE, atol=1e-4)
    assert image_paths.exists(path)


@pytest.mark.parametrize("name", WRITERS)
def test_a_mask_goes_back_to_where_its_image_lies(name, tmp_path):
    path = tmp_path / name
    WRITERS[name](path)
    nib.save(nib.Nifti1Image(ARRAY, OBLIQUE), tmp_path / "same.nii.gz")
    image, same = volumes.read_volume(path), volumes.read_volume(tmp_path / "same.nii.gz")
    np.testing.assert_array_equal(image.voxels, same.voxels)
    np.testing.assert_allclose(image.affine, same.affine, atol=1e-4)
    volumes.write_like(tmp_path / "mask.nii.gz", (image.voxels > 400).astype(np.uint8), image)
    written = nib.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), ARRAY > 400)
    np.testing.assert_allclose(written.affine, OBLIQUE, atol=1e-4)


def test_analyze_and_nifti_without_codes_are_not_oriented(tmp_path):
    affine = np.diag([-2.0, 2.0, 5.0, 1.0])
    affine[:3, 3] = [5, -4, -7.5]  # of the middle of the volume, as Analyze has it
    image = nib.Nifti1Image(ARRAY, None)
    image.header.set_zooms((2, 2, 5))
    nib.save(image, tmp_path / "a.nii")
    analyze = nib.AnalyzeImage(ARRAY, affine)
    analyze.header.set_zooms((2, 2, 5))
    nib.save(analyze, tmp_path / "b.hdr")
    for name in ("a.nii", "b.hdr", "b.img"):
        stored = image_files.load(tmp_path / name)
        np.testing.assert_array_equal(stored.array, ARRAY)
        np.testing.assert_allclose(stored.affine, affine)
        np.testing.assert_allclose(stored.header.get_best_affine(), affine)
        assert not stored.oriented
        assert int(stored.header["sform_code"]) == int(stored.header["qform_code"]) == 0


@pytest.mark.parametrize("ending", ["mha", "nrrd"])
def test_itk_files_that_say_no_orientation(ending, tmp_path):
    path = image_examples.write_itk(tmp_path / f"a.{ending}", ARRAY, np.diag([-1.0, -1.0, 5.0, 1.0]))
    assert image_files.load(path).oriented
    data = path.read_bytes().replace(b"space: left-posterior-superior", b"space dimension: 3")
    lines = data.split(b"\n")
    path.write_bytes(b"\n".join(line for line in lines if not line.startswith((b"TransformM", b"AnatomicalO"))))
    stored = image_files.load(path)
    np.testing.assert_array_equal(stored.array, ARRAY)
    assert not stored.oriented


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("right-anterior-superior", (1, 1, 1)),
        ("RAS", (1, 1, 1)),
        ("left-anterior-superior", (-1, 1, 1)),
        ("left-posterior-superior", (-1, -1, 1)),
    ],
)
def test_spaces_of_nrrd(space, signs, tmp_path):
    """As other programs write them: directions and origin in the space that the header names."""
    placed = np.diag([*signs, 1]) @ OBLIQUE
    vectors = " ".join("({:.9g},{:.9g},{:.9g})".format(*placed[:3, axis]) for axis in range(3))
    lines = [
        *("NRRD0004", "type: short", "dimension: 3", f"space: {space}", "sizes: 6 5 4", f"space directions: {vectors}"),
        *("kinds: domain domain domain", "endian: little", "encoding: raw"),
        "space origin: ({:.9g},{:.9g},{:.9g})".format(*placed[:3, 3]),
    ]
    (tmp_path / "a.nrrd").write_bytes("\n".join(lines).encode() + b"\n\n" + ARRAY.astype("<i2").tobytes(order="F"))
    stored = image_files.load(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(stored.array, ARRAY)
    np.testing.assert_allclose(stored.affine, OBLIQUE, atol=1e-4)
    assert stored.oriented


def test_segments_of_slicer_are_parts(tmp_path):
    """A .seg.nrrd of overlapping segments: a list of them is the first axis."""
    segments = voxels((2, 6, 5, 4), np.uint8) % 2
    lines = [
        *("NRRD0004", "type: uchar", "dimension: 4", "space: left-posterior-superior", "sizes: 2 6 5 4"),
        *("space directions: none (1,0,0) (0,1,0) (0,0,5)", "kinds: list domain domain domain", "encoding: raw"),
        "space origin: (0,0,0)",
    ]
    path = tmp_path / "a.seg.nrrd"
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + segments.tobytes(order="F"))
    for number in (0, 1):
        np.testing.assert_array_equal(image_files.load(f"{path}#{number}").array, segments[number])
    refused(lambda: image_files.load(path), path, "2 volumes or channels", f"{path}#0")


def test_parts_of_a_series(tmp_path):
    series = voxels((4, 5, 3, 2))
    nib.save(nib.Nifti1Image(series, OBLIQUE), tmp_path / "a.nii.gz")
    nib.save(nib.Nifti1Image(series[:, :, :, None], OBLIQUE), tmp_path / "b.nii")
    nib.save(nib.MGHImage(series.astype(np.float32), OBLIQUE), tmp_path / "c.mgz")
    image_examples.write_itk(tmp_path / "d.nrrd", series, components=True)
    for name in ("a.nii.gz", "b.nii", "c.mgz", "d.nrrd"):
        for number in (0, 1):
            path = tmp_path / f"{name}#{number}"
            stored = image_files.load(path)
            np.testing.assert_array_equal(stored.array, series[..., number])
            np.testing.assert_allclose(stored.affine, OBLIQUE, atol=1e-4)
            assert stored.file_shape == (4, 5, 3)
            assert image_paths.exists(path)
        for part in ("", "#2", "#mask"):
            path = f"{tmp_path / name}{part}"
            load = functools.partial(image_files.load, path)
            refused(load, path, "2 volumes", f"in a manifest, {tmp_path / name}#0 to {tmp_path / name}#1", "--cohort")
    image = volumes.read_volume(tmp_path / "a.nii.gz#1")
    volumes.write_like(tmp_path / "mask.nii", image.voxels > 300, image)
    np.testing.assert_array_equal(nib.load(tmp_path / "mask.nii").dataobj, series[..., 1] > 300)


def test_a_part_of_one_volume(tmp_path):
    nib.save(nib.Nifti1Image(ARRAY, OBLIQUE), tmp_path / "a.nii")
    np.testing.assert_array_equal(image_files.load(tmp_path / "a.nii#0").array, ARRAY)
    refused(lambda: image_files.load(tmp_path / "a.nii#1"), "a.nii#1", "one volume", "leave the # and what follows out")
    nib.save(nib.Nifti1Image(ARRAY, OBLIQUE), tmp_path / "b#1.nii")  # a name that has the mark
    np.testing.assert_array_equal(image_files.load(tmp_path / "b#1.nii").array, ARRAY)


def _tifs(folder, count=11, skip=()):
    folder.mkdir()
    slices = np.random.default_rng(0).integers(0, 255, (count, 6, 5, 3), np.uint8)  # [slices, rows, columns, channels]
    for number in set(range(1, count + 1)) - set(skip):
        picture = SimpleITK.GetImageFromArray(slices[number - 1], isVector=True)
        mask = SimpleITK.GetImageFromArray(255 * (slices[number - 1, ..., 0] > 200).astype(np.uint8))
        SimpleITK.WriteImage(picture, str(folder / f"{folder.name}_{number}.tif"))
        SimpleITK.WriteImage(mask, str(folder / f"{folder.name}_{number}_mask.tif"))
    return slices


def test_tif_slices_are_displayed_as_they_are(tmp_path):
    folder = tmp_path / "TCGA_CS_4941_19960909"
    slices = _tifs(folder)
    for channel in range(3):
        stored = image_files.load(f"{folder}#{channel}")
        np.testing.assert_array_equal(stored.array, slices[..., channel].transpose(2, 1, 0))
        assert not stored.oriented
        shown = np.swapaxes(volumes.read_volume(f"{folder}#{channel}").voxels, 0, 1)[::-1, ::-1]  # slicing.as_displayed
        np.testing.assert_array_equal(np.moveaxis(shown, 2, 0), slices[..., channel])
    mask = volumes.read_placed_mask(f"{folder}#mask", volumes.read_volume(f"{folder}#0")).voxels
    np.testing.assert_array_equal(np.moveaxis(np.swapaxes(mask, 0, 1)[::-1, ::-1], 2, 0), slices[..., 0] > 200)
    refused(lambda: image_files.load(folder), folder, f"{folder}#0", "--cohort")
    refused(lambda: image_files.load(f"{folder}#3"), f"{folder}#0 to {folder}#2")


def test_tif_slices_that_are_missing(tmp_path):
    _tifs(tmp_path / "a", skip=[4])
    refused(lambda: image_files.load(tmp_path / "a#1"), tmp_path / "a", "1 to 11", "before 5", "--cohort")
    (tmp_path / "b").mkdir()
    refused(lambda: image_files.load(tmp_path / "b#mask"), tmp_path / "b", "_<n>_mask.tif", "--cohort")


def test_tif_masks_of_other_slices(tmp_path):
    folder = tmp_path / "a"
    _tifs(folder, count=4)
    for number in (4, 3, 2, 1):  # as many as there were, of one number more
        (folder / f"a_{number}_mask.tif").rename(folder / f"a_{number + 1}_mask.tif")
    assert image_files.load(f"{folder}#0").array.shape[2] == 4
    refused(lambda: image_files.load(f"{folder}#mask"), folder, "mask has slices 2 to 5, its image 1 to 4", "--cohort")


def _nifti_bytes(offset, kind=nib.Nifti1Image, extension=False):
    image = kind(ARRAY, OBLIQUE)
    if extension:
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 20))
    data = bytearray(image.to_bytes())
    where, size = (168, "<i8") if kind is nib.Nifti2Image else (108, "<f4")
    data[where : where + (8 if size == "<i8" else 4)] = np.array([offset], size).tobytes()
    return bytes(data)


@pytest.mark.parametrize(
    ("offset", "kind", "extension", "end"),
    [
        (0, nib.Nifti1Image, False, 352),
        (100, nib.Nifti1Image, False, 352),
        (0, nib.Nifti2Image, False, 544),
        (352, nib.Nifti2Image, False, 544),
        (368, nib.Nifti1Image, True, 384),
    ],
)
def test_an_offset_within_the_header(offset, kind, extension, end, tmp_path):
    path = tmp_path / "a.nii"
    path.write_bytes(_nifti_bytes(end, kind, extension))
    np.testing.assert_array_equal(image_files.load(path).array, ARRAY)
    path.write_bytes(_nifti_bytes(offset, kind, extension))
    refused(lambda: image_files.load(path), path, f"byte {offset} (vox_offset)", f"{end}; export", "--cohort")


def _rgb(path):
    image_examples.write_itk(path, voxels((4, 5, 3, 3), np.uint8), components=True)


def _dicom(path):
    image_examples.write_series(path.parent / "series", ARRAY)[0].rename(path)


def _text(text):
    return lambda path: path.write_text(text)


def _lone(path):
    _pair(path)
    path.with_suffix(".img" if path.suffix == ".hdr" else ".hdr").unlink()


def _zip(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.nii", b"x" * 500)


def _truncated(name):
    def make(path):
        WRITERS[name](path)
        path.write_bytes(path.read_bytes()[:-60])

    return make


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("a.nii.gz", _dicom, ["a DICOM file", "import_dicom"]),
        ("a.dcm", _dicom, ["a DICOM file", "import_dicom"]),
        ("a.nii", lambda path: path.write_bytes(b"\xff\xd8\xff\xe0 JFIF"), ["a JPEG picture", "export the volume"]),
        ("a.png", lambda path: path.write_bytes(b"\x89PNG\r\n"), ["a PNG picture", "export the volume"]),
        ("a.nii.gz", _text("<!DOCTYPE html><html>"), ["an HTML page", "download the file again"]),
        ("a.nii.gz", _text("\n<?xml version='1.0'?>\n<html>"), ["an HTML page"]),
        ("a.nii", _text("version https://git-lfs.github.com/spec/v1\noid"), ["Git LFS", "git lfs pull"]),
        ("a.nii", _text("/annex/objects/MD5E-s1--d.nii"), ["git-annex", "git annex get"]),
        ("a.nii.gz", lambda path: path.write_bytes(gzip.compress(b"{'a': 1}" * 99)), ["gzip of a text", "unpack"]),
        ("a.nii.gz", lambda path: path.write_bytes(gzip.compress(bytes(range(256)) * 9)), ["gzip of something"]),
        ("a.nii.gz", _zip, ["a ZIP archive", "unpack"]),
        ("a.nii.gz", lambda path: path.write_bytes(b""), ["an empty file", "again"]),
        ("a.nii.gz", _text("hello\nworld\n" * 99), ["a text that begins with 'hello'"]),
        ("a.nii", lambda path: WRITERS["a.nrrd"](path.with_suffix(".nrrd")).rename(path), ["a NRRD file", ".nrrd"]),
        ("a.mha", lambda path: WRITERS["a.nrrd"](path.with_suffix(".nrrd")).rename(path), ["a NRRD file", ".nrrd"]),
        ("a.xyz", lambda path: path.write_bytes(bytes(range(256))), ["no image that is read here", ".nii.gz"]),
        ("a.mha", _rgb, ["3 volumes or channels", "#0"]),
        ("a.mha", _truncated("a.mha"), ["not a readable MetaImage file, perhaps truncated", "again"]),
        ("a.nrrd", _truncated("a.nrrd"), ["not a readable NRRD file, perhaps truncated", "again"]),
        ("a.mgh", _truncated("a.mgh"), ["not a readable MGH file, perhaps truncated", "again"]),
        ("a.mgz", _truncated("a.mgz"), ["not a readable MGH file, perhaps truncated", "again"]),
        ("a.hdr", _lone, ["a.img: no such file", "belongs to a.hdr"]),
        ("a.img", lambda path: _text("ENVI")(path.with_suffix(".hdr")) and path.touch(), ["a.hdr: a text that begins"]),
        ("a.img", _lone, ["a.hdr: no such file", "belongs to a.img"]),
        ("a", lambda path: path.mkdir(), ["no DICOM images in this folder (0 files)"]),
        ("a.nii#1", lambda path: None, ["a.nii", "no such file"]),
    ],
)
def test_what_cannot_be_read_says_what_it_is(name, make, words, tmp_path):
    make(tmp_path / name)
    refused(lambda: image_files.load(tmp_path / name, "--image"), tmp_path, "--image", *words)
