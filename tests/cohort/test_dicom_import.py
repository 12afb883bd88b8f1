"""What is written of DICOM series, and that nothing of the patient is in it."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from rembrandt_featgen.cohort import dicom_choice, dicom_import, dicom_series, image_files
from tests.cohort.image_examples import OBLIQUE, voxels, write_itk, write_series
from tests.cohort.refusals import refused

ARRAY = voxels((6, 5, 4))


def _taken(folder, dates=("19960823",), patient="TCGA-02-0006"):
    for number, date in enumerate(dates, 1):
        tags = {"g0008_103e": "FLAIR", "g0010_0020": patient, "g0008_0020": date}
        write_series(folder / date, (ARRAY + number).astype(np.int16), series=f"1.{number}", **tags)
    return dicom_choice.choose(dicom_series.scan(folder), ["flair"]).taken


def test_files_hold_the_voxels_their_place_and_nothing_else(tmp_path):
    visits = dicom_import.visits_of(_taken(tmp_path / "in"), {"TCGA-02-0006": "P0001"})
    out = tmp_path / "out"
    out.mkdir()
    (path,) = dicom_import.write_volumes(visits, out).files.values()
    assert path == out / "P0001/P0001_flair.nii.gz"
    image = nib.load(path)
    np.testing.assert_array_equal(image.dataobj, ARRAY + 1)
    np.testing.assert_allclose(image.affine, OBLIQUE, atol=1e-4)
    assert not image.header.extensions
    for name in ("descrip", "aux_file", "db_name", "intent_name"):
        assert image.header[name].item() == b""
    for file in out.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            data = gzip.decompress(data) if file.suffix == ".gz" else data
            assert not any(word in data for word in (b"DOE", b"TCGA", b"1996", b"1.1"))


def test_what_is_written_is_not_written_again(tmp_path, monkeypatch):
    taken = _taken(tmp_path / "in", ["19960823", "19970101"])
    visits = dicom_import.visits_of(taken, {"TCGA-02-0006": "P0001"})
    out, read = tmp_path / "out", []
    out.mkdir()
    reads = dicom_import.dicom_files.read_slices
    monkeypatch.setattr(
        dicom_import.dicom_files, "read_slices", lambda slices, where: read.append(where) or reads(slices, where)
    )
    first = dicom_import.write_volumes(visits, out).files
    assert len(read) == 2
    first["P0001_visit2", "flair"].unlink()  # as if killed before
    assert dicom_import.write_volumes(visits, out) == (first, set())
    assert len(read) == 3
    assert all(path.is_file() for path in first.values())
    other = [visits[0], visits[1].__class__(**{**vars(visits[1]), "series": visits[0].series})]
    assert dicom_import.write_volumes(other, out).changed == {"P0001_visit2"}  # another series for the same visit
    assert len(read) == 4
    np.testing.assert_array_equal(nib.load(first["P0001_visit2", "flair"]).dataobj, ARRAY + 1)


def test_visits_are_numbered_by_date_and_grouped_by_patient(tmp_path):
    taken = _taken(tmp_path, ["19970101", "19960823"])
    visits = dicom_import.visits_of(taken, {"TCGA-02-0006": "P0007"})
    assert [(visit.id, visit.group, visit.date) for visit in visits] == [
        ("P0007_visit1", "P0007", "19960823"),
        ("P0007_visit2", "P0007", "19970101"),
    ]


def test_pseudonyms_stay(tmp_path):
    key = tmp_path / "out_key.csv"
    first = dicom_import.pseudonyms(["b", "a"], key)
    assert sorted(first.values()) == ["P0001", "P0002"]
    assert oct(key.stat().st_mode)[-3:] == "600"
    more = dicom_import.pseudonyms(["a", "b", "c"], key)
    assert {**first, "c": "P0003"} == more
    assert dicom_import.pseudonyms(["c"], key) == {"c": "P0003"}


def test_kept_names():
    assert dicom_import.kept_names(["A/1 b", "C.2"]) == {"A/1 b": "A_1_b", "C.2": "C.2"}
    assert dicom_import.kept_names(["../.."]) == {"../..": "unnamed"}
    refused(lambda: dicom_import.kept_names(["A 1", "A/1"]), "'A 1' and 'A/1'", "--patient_ids=pseudonym")


@pytest.mark.parametrize("dates", [["19960823"], ["19960823", "19970101"]])
def test_masks_by_patient_and_date(dates, tmp_path):
    visits = dicom_import.visits_of(_taken(tmp_path / "in", dates), {"TCGA-02-0006": "P0001"})
    out, masks = tmp_path / "out", tmp_path / "masks"
    dated = "TCGA-02-0006_1996.08.23_GlistrBoost.nrrd"
    write_itk(masks / dated, (ARRAY > 99).astype(np.uint8))
    write_itk(masks / "TCGA-02-00061_1996.08.23.nrrd", (ARRAY > 9).astype(np.uint8))
    for visit in visits:
        (out / visit.id).mkdir(parents=True)
    found, left = dicom_import.write_masks(visits, masks, out)
    assert list(found) == [visits[0].id]
    assert [file.name for file in left] == ["TCGA-02-00061_1996.08.23.nrrd"]
    stored = image_files.load(found[visits[0].id])
    np.testing.assert_array_equal(stored.array, ARRAY > 99)
    np.testing.assert_allclose(stored.affine, OBLIQUE, atol=1e-4)
    write_itk(masks / "TCGA-02-0006_19960823.nrrd", (ARRAY > 99).astype(np.uint8))
    refused(lambda: dicom_import.write_masks(visits, masks, out), f"--masks={masks}", "both of patient TCGA-02-0006")
    refused(lambda: dicom_import.write_masks(visits, tmp_path / "none", out), f"--masks={tmp_path / 'none'}")
