"""A DICOM series becomes the volume that was written, or says why it is none."""

import nibabel as nib
import numpy as np
import pytest

from rembrandt_featgen.cohort import dicom_files
from tests.cohort.image_examples import LPS, OBLIQUE, voxels, write_series
from tests.cohort.refusals import refused

ARRAY = voxels((7, 6, 5))


def test_slices_in_any_order_of_files(tmp_path):
    for seed in range(3):
        write_series(tmp_path / str(seed), ARRAY, seed=seed)
        array, affine = dicom_files.read_folder(tmp_path / str(seed))
        assert array.dtype == np.int16
        np.testing.assert_array_equal(array, ARRAY)
        np.testing.assert_allclose(LPS @ affine, OBLIQUE, atol=1e-4)


@pytest.mark.parametrize("codes", ["LPS", "LAS", "RAI", "ASL", "PIR", "LSA"])
def test_every_plane_lies_where_nibabel_says(codes, tmp_path):
    """Sagittal, coronal and axial; slices along the normal or against it: the same voxel at the same mm."""
    turned = nib.Nifti1Image(ARRAY, OBLIQUE)
    change = nib.orientations.ornt_transform(nib.io_orientation(OBLIQUE), nib.orientations.axcodes2ornt(codes))
    turned = turned.as_reoriented(change)
    write_series(tmp_path / "a", np.asarray(turned.dataobj), turned.affine)
    array, affine = dicom_files.read_folder(tmp_path / "a")
    read = nib.Nifti1Image(array, LPS @ affine)
    ours, theirs = (nib.as_closest_canonical(image) for image in (read, turned))
    np.testing.assert_array_equal(ours.dataobj, theirs.dataobj)
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-4)


def test_rescaled_values(tmp_path):
    write_series(tmp_path / "half", ARRAY, slope=0.5)
    array, _ = dicom_files.read_folder(tmp_path / "half")
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, ARRAY * 0.5)


def test_headers_hold_only_what_is_asked_for(tmp_path):
    files = write_series(tmp_path, ARRAY, g0008_103e="AX FLAIR\x00", g0018_0081="120")
    one = dicom_files.read_header(files[0])
    assert one.header["description"] == "AX FLAIR"
    assert float(one.header["echo"]) == 120
    assert one.header["patient"] == "PATIENT-1"
    assert "DOE" not in str(one.header)
    (tmp_path / "text").write_text("no DICOM")
    assert dicom_files.read_header(tmp_path / "text") is None
    report = b"\x00" * 128 + b"DICM" + b"1.2.840.10008.5.1.4.1.1.88.11"
    (tmp_path / "report").write_bytes(report)
    assert dicom_files.read_header(tmp_path / "report") is None
    files[4].write_bytes(files[4].read_bytes()[:-20])  # the last slice, whose loss leaves no gap
    refused(lambda: dicom_files.read_folder(tmp_path), files[4], "a damaged DICOM file", "download it again")


def _sheared(folder):
    """A tilted gantry: slices go on along the head, not along their normal."""
    affine = np.diag([-1.0, -1.0, 4.0, 1.0])
    for number in range(5):
        place = affine.copy()
        place[:3, 3] = [0, 1.5 * number, 4 * number]
        write_series(folder / str(number), ARRAY[:, :, number : number + 1], place)
    for number in range(5):
        next((folder / str(number)).iterdir()).rename(folder / f"IM{number}")
        (folder / str(number)).rmdir()


def test_a_tilted_gantry_shears_the_affine(tmp_path):
    _sheared(tmp_path)
    slices = [dicom_files.read_header(file) for file in sorted(tmp_path.iterdir())]
    ordered, affine = dicom_files.arrange(slices[::-1], "here")
    assert ordered == slices
    np.testing.assert_allclose((LPS @ affine)[:3, 2], [0, 1.5, 4], atol=1e-5)


def _drop(number):
    return lambda folder, files: files[number].unlink()


def _again(folder, files):
    write_series(folder / "b", ARRAY, g0018_0081="90")[1].rename(folder / "again")


def _other(folder, files):
    turned = OBLIQUE @ np.diag([1.0, 1.0, -1.0, 1.0])[[0, 2, 1, 3]]
    write_series(folder / "b", ARRAY, turned)[1].rename(folder / "other")


def _larger(folder, files):
    write_series(folder / "b", voxels((8, 6, 5)))[1].rename(folder / "larger")


def _second(folder, files):
    write_series(folder / "b", ARRAY, series="1.2.3")[1].rename(folder / "second")


def _below(folder, files):
    for name in ("visit/flair", "visit/t1"):
        (folder / name).mkdir(parents=True)
    files[0].rename(folder / "visit/t1/1")
    for file in files[1:]:
        file.rename(folder / "visit/flair" / file.name)


def _shifted(folder, files):
    moved = OBLIQUE.copy()
    moved[:3, 3] += 0.3 * OBLIQUE[:3, 2]
    files[2].unlink()
    write_series(folder / "b", ARRAY, moved)[2].rename(folder / "shifted")


def _aside(folder, files):
    moved = OBLIQUE.copy()
    moved[:3, 3] += 4 * OBLIQUE[:3, 0]
    files[2].unlink()
    write_series(folder / "b", ARRAY, moved)[2].rename(folder / "aside")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_drop(2), ["1 slices are missing", "gaps of 5.00 to 10.00 mm", "download the series again"]),
        (_shifted, ["unevenly spaced", "gaps of 3.50 to 6.50 mm"]),
        (_again, ["6 slices lie at 5 places", "echoes"]),
        (_other, ["several orientations", "localizer"]),
        (_larger, ["several sizes", "larger"]),
        (_second, ["2 DICOM series in one folder", "import_dicom"]),
        (_aside, ["do not lie along a line"]),
        (lambda folder, files: [file.unlink() for file in files], ["no DICOM images in this folder (0 files)"]),
        (_below, ["in folders below it (visit/flair, visit/t1); give the one"]),
    ],
)
def test_what_is_no_volume_says_why(change, words, tmp_path):
    folder = tmp_path / "series"
    files = write_series(folder, ARRAY)
    change(folder, files)
    refused(lambda: dicom_files.read_folder(folder), folder, *words)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"frames": "12"}, ["several slices in one file", "dcm2niix"]),
        ({"type": "ORIGINAL\\PRIMARY\\M\\MOSAIC"}, ["several slices in one file"]),
        ({"samples": "3"}, ["in colour"]),
        ({"position": ""}, ["does not say its position"]),
        ({"spacing": "1"}, ["does not say its spacing"]),
    ],
)
def test_files_that_are_no_slices(tags, words, tmp_path):
    files = write_series(tmp_path, ARRAY)
    slices = [dicom_files.read_header(file) for file in files]
    slices[3] = dicom_files.DicomSlice(slices[3].path, {**slices[3].header, **tags})
    refused(lambda: dicom_files.arrange(slices, "here"), "here: ", slices[3].path.name, *words)
