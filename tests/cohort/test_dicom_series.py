"""Which series a download holds, of whom, and why some are no volumes."""

import pytest

from rembrandt_featgen.cohort import dicom_choice, dicom_import, dicom_series
from tests.cohort.image_examples import voxels, write_series
from tests.cohort.refusals import refused

FLAIR = {"g0008_103e": "AX FLAIR", "g0018_0080": "9000", "g0018_0081": "120", "g0018_0082": "2250"}
T1 = {"g0008_103e": "AX T1 POST", "g0018_0080": "500", "g0018_0081": "14"}


def download(folder):
    """A patient with two visits, of which the first has three FLAIRs, and a patient with a localizer alone."""
    a, b = folder / "A" / "1996" / "x", folder / "A" / "1997"
    write_series(a / "1", voxels((6, 5, 6)), series="1.1", g0020_0011="1", g0008_0020="19960823", **FLAIR)
    write_series(a / "2", voxels((6, 5, 8)), series="1.2", g0020_0011="2", g0008_0020="19960823", **FLAIR)
    write_series(a / "3", voxels((6, 5, 8)), series="1.3", g0020_0011="3", g0008_0020="19960823", **T1)
    (a / "2" / "LICENSE").write_text("text among the slices")
    files = write_series(a / "4", voxels((6, 5, 9)), series="1.4", g0008_0020="19960823", **FLAIR)
    files[4].unlink()
    files = write_series(b / "1", voxels((6, 5, 7)), series="2.1", g0008_0020="19970101", **FLAIR)
    (b / "1" / "again").write_bytes(files[0].read_bytes())
    c = {"g0010_0020": "P/2", "g0008_103e": "LOC"}
    write_series(folder / "B", voxels((6, 5, 3)), series="3.1", **c)
    return folder


def test_the_flair_with_most_slices_is_taken(tmp_path):
    series = dicom_series.scan(download(tmp_path))
    assert [one.uid for one in series] == ["3.1", "1.4", "1.1", "1.2", "1.3", "2.1"]
    assert [len(one.slices) for one in series] == [3, 8, 6, 8, 8, 7]
    assert series[-1].copies == 1
    choice = dicom_choice.choose(series, ["flair"])
    assert [(one.patient, one.visit[0], one.modality, one.series.uid) for one in choice.taken] == [
        ("PATIENT-1", "19960823", "flair", "1.2"),
        ("PATIENT-1", "19970101", "flair", "2.1"),
    ]
    why = {series[index].uid: text for index, text in choice.why.items()}
    assert set(why) == {one.uid for one in series}
    assert why["1.2"].startswith("taken for flair: FLAIR, its description says ('ax flair', TR 9000 TE 120 TI 2250 ms)")
    assert "'AX FLAIR' of 8 slices is taken (--series=flair:1.1 takes this one)" in why["1.1"]
    assert why["1.3"].startswith("not taken: T1")
    assert "1 slices are missing" in why["1.4"]
    assert why["3.1"] == "not taken: a localizer, by its description"
    assert series[3].described() == "8 slices of 6 x 5, pixels of 1.10 x 1.20 mm, 5.00 mm apart, 5 mm thick"


def test_echoes_of_one_series_are_volumes_of_their_own(tmp_path):
    for echo in ("15", "90"):
        tags = {"g0008_103e": "AX PD/T2", "g0018_0081": echo, "g0018_0080": "2500"}
        for number, file in enumerate(write_series(tmp_path / echo, voxels((6, 5, 5)), series="1.1", **tags)):
            assert file.exists(), number
    series = dicom_series.scan(tmp_path)
    assert [(one.kind.name, one.part, len(one.slices), one.problem) for one in series] == [
        ("pd", "volume 1 of 2", 5, ""),
        ("t2", "volume 2 of 2", 5, ""),
    ]
    assert [one.series.part for one in dicom_choice.choose(series, ["t2"]).taken] == ["volume 2 of 2"]


def test_a_damaged_file_is_no_slice_that_nobody_misses(tmp_path):
    files = write_series(tmp_path / "a", voxels((6, 5, 6)), **FLAIR)
    files[5].write_bytes(files[5].read_bytes()[:-20])
    (series,) = dicom_series.scan(tmp_path)
    assert len(series.slices) == 5
    assert f"{files[5]}: a damaged DICOM file" in series.problem
    choice = dicom_choice.choose([series], ["flair"])
    assert not choice.taken
    assert "a damaged DICOM file" in choice.why[0]
    for file in files[:5]:
        file.unlink()
    refused(lambda: dicom_series.scan(tmp_path), f"--dicom={tmp_path}", f"{files[5]}: a damaged DICOM file")


def _patients(folder):
    return sorted({one.patient for one in dicom_series.scan(folder)})


def test_whose_a_series_is(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(dicom_series.logging, "warning", lambda text, *values: said.append(text % values))
    for number, patient in enumerate(("TCGA-02-0006_1996.08.23", "TCGA-02-0006_1997.01.01", "A7")):
        write_series(tmp_path / "a" / str(number), voxels((6, 5, 4)), series=f"1.{number}", g0010_0020=patient)
    assert _patients(tmp_path / "a") == ["A7", "TCGA-02-0006"]
    assert not said
    for number, patient in enumerate(("ANONYMOUS", "Anon", "0000", "")):
        folder = tmp_path / "b" / f"case{number // 2}" / str(number)
        write_series(folder, voxels((6, 5, 4)), series=f"1.{number}", g0010_0020=patient)
    write_series(tmp_path / "b" / "case2", voxels((6, 5, 4)), series="1.9", g0010_0020="P9")
    assert _patients(tmp_path / "b") == ["P9", "case0", "case1"]
    assert len(said) == 1
    assert "in 16 files says nothing" in said[0]
    write_series(tmp_path / "c" / "1", voxels((6, 5, 4)), series="1.1", g0010_0020="ab 1")
    write_series(tmp_path / "c" / "2", voxels((6, 5, 4)), series="1.2", g0010_0020="AB_1")
    refused(lambda: dicom_series.scan(tmp_path / "c"), "'ab 1'", "'AB_1'", "--dicom")


def test_ids_of_birthdays_are_never_of_one_visit(tmp_path):
    """They look like two visits of HOSP, whose scans of one day would be taken for each other's."""
    for number, (patient, tags) in enumerate((("HOSP_19561224", FLAIR), ("HOSP_19470303", T1))):
        folder = tmp_path / str(number)
        write_series(folder, voxels((6, 5, 6)), series=f"1.{number}", g0010_0020=patient, g0008_0020="20010102", **tags)
    choice = dicom_choice.choose(dicom_series.scan(tmp_path), ["flair", "t1ce"])
    visits = dicom_import.visits_of(choice.taken, {"HOSP": "P0001"})
    assert [(visit.group, visit.date, list(visit.series)) for visit in visits] == [
        ("P0001", "20010102", ["t1ce"]),
        ("P0001", "20010102", ["flair"]),
    ]


def test_slices_that_an_anonymiser_gave_one_uid(tmp_path):
    write_series(tmp_path, voxels((6, 5, 5)), g0008_0018="1.2.3")
    (series,) = dicom_series.scan(tmp_path)
    assert (len(series.slices), series.copies, series.problem) == (5, 0, "")


def test_too_few_slices_are_no_volume(tmp_path):
    write_series(tmp_path, voxels((6, 5, 3)), **FLAIR)
    (series,) = dicom_series.scan(tmp_path)
    assert "3 slices are no volume" in series.problem
    assert not dicom_choice.choose([series], ["flair"]).taken


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: folder.mkdir()])
def test_nodownload(make, tmp_path):
    make(tmp_path / "a")
    refused(lambda: dicom_series.scan(tmp_path / "a"), f"--dicom={tmp_path / 'a'}", "no ")
