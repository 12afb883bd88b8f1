from pathlib import Path

import pytest

from rembrandt_featgen.cohort import layouts, patients, volumes
from rembrandt_featgen.cohort.classes import Classes
from tests.cohort.refusals import refused, summary

REAL = Path(__file__).resolve().parents[3] / "shared/data/tcga_lgg_brats_layout"


def _patient(parent, name, files=("flair", "seg"), ending=".nii.gz"):
    (parent / name).mkdir(parents=True)
    for file in files:
        (parent / name / f"{name}_{file}{ending}").touch()


def _brats2017(folder):
    _patient(folder / "HGG", "P2")
    _patient(folder / "HGG", "P1", ("flair", "t1", "seg"), ".nii")
    _patient(folder / "LGG", "P3", ("flair", "t1", "seg"))
    return folder


def _brats2020(folder, rows=("HGG,x,B1", "LGG,x,B2")):
    for name in ("B1", "B2"):
        _patient(folder, name, ending=".nii")
    (folder / "name_mapping.csv").write_text("Grade,Other,BraTS_2020_subject_ID\n" + "\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("layout", ["auto", "brats2017"])
def test_brats2017(tmp_path, layout):
    cohort = layouts.find_cohort(_brats2017(tmp_path), layout)
    patients = cohort.patients
    assert summary(cohort) == [("P1", "HGG"), ("P2", "HGG"), ("P3", "LGG")]
    assert patients[0].images == {"flair": tmp_path / "HGG/P1/P1_flair.nii"}
    assert patients[2].mask == tmp_path / "LGG/P3/P3_seg.nii.gz"


def test_modalities_keep_their_order(tmp_path):
    _patient(tmp_path / "HGG", "P1", ("t1", "flair", "seg"))
    (patient,) = layouts.find_cohort(tmp_path, modalities=("t1", "flair")).patients
    assert list(patient.images) == ["t1", "flair"]


@pytest.mark.parametrize("layout", ["auto", "brats2020"])
def test_brats2020(tmp_path, layout):
    cohort = layouts.find_cohort(str(_brats2020(tmp_path)), layout)
    patients = cohort.patients
    assert summary(cohort) == [("B1", "HGG"), ("B2", "LGG")]
    assert patients[0].mask == tmp_path / "B1/B1_seg.nii"


def _no_mask(folder):
    _patient(_brats2017(folder) / "LGG", "P0", ("flair",))


def _two_without_mask(folder):
    _no_mask(folder)
    _patient(folder / "LGG", "P9", ("flair",))


@pytest.mark.parametrize("make", [_no_mask, lambda folder: _manifest_without_masks(folder)])
def test_masks_are_looked_for_where_they_are_needed_alone(tmp_path, make):
    make(tmp_path)
    refused(lambda: layouts.find_cohort(tmp_path), "mask")
    cohort = layouts.find_cohort(tmp_path, masks=False)
    assert ("P0", "LGG") in summary(cohort) and len(cohort.patients) > 1
    assert {patient.mask for patient in cohort.patients} == {patients.NO_MASK}


def _manifest_without_masks(folder):
    for name in "ab":
        (folder / f"{name}.nii").touch()
    (folder / "manifest.csv").write_text("patient,label,flair\nP0,LGG,a.nii\nP1,HGG,b.nii\n")


def _no_image(folder):
    _patient(_brats2017(folder) / "LGG", "P0", ("t1", "seg"))


def _twice(folder):
    _patient(_brats2017(folder) / "LGG", "P1")


def _both_endings(folder):
    (_brats2017(folder) / "HGG/P2/P2_flair.nii").touch()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, ["no layout fits", "found nothing", "cohort/README.md", ".csv", "manifest"]),
        (lambda folder: (folder / "HGG").mkdir(), ["no patients", "expected", "LGG/<patient>/"]),
        (_no_mask, ["P0", "no mask", "found P0_flair.nii.gz", "expected P0_seg.nii.gz or P0_seg.nii", "add it"]),
        (_two_without_mask, ["P0", "no mask", "(and 1 more like it: P9)"]),
        (_no_image, ["P0", "no flair", "expected P0_flair.nii.gz or P0_flair.nii", "--modalities", "add it"]),
        (_twice, ["P1 is there twice", "keep one"]),
        (_both_endings, ["P2", "both P2_flair.nii and P2_flair.nii.gz", "keep one"]),
        (lambda folder: _brats2020(folder, ["HGG,x,B1"]), ["name_mapping.csv", "B2", "no grade", "LGG"]),
        (lambda folder: _brats2020(folder, ["HGG,x,B1", "?,x,B2"]), ["name_mapping.csv", "B2", "'?'", "LGG"]),
        (lambda folder: _brats2020(folder, ["HGG,x,B1", "LGG,x,B1"]), ["name_mapping.csv line 3", "B1", "twice"]),
        (lambda folder: _brats2020(folder, ["HGG,B1"]), ["name_mapping.csv line 2", "2 cells", "3 columns"]),
    ],
)
def test_foldersrefused(tmp_path, make, words):
    make(tmp_path)
    refused(lambda: layouts.find_cohort(tmp_path), tmp_path, "--cohort", *words)


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_missing_cohortrefused(tmp_path, layout):
    refused(lambda: layouts.find_cohort(tmp_path / "gone", layout), tmp_path / "gone", "--cohort", "no such")


def test_layout_that_does_not_fitrefused(tmp_path):
    path = tmp_path / "cohort.csv"
    path.write_text("patient,label,mask,flair\n")
    refused(lambda: layouts.find_cohort(path, "brats2017"), path, "--layout=brats2017", "needs")
    refused(lambda: layouts.find_cohort(tmp_path, "brats2020"), "name_mapping.csv", "--layout", "add it")
    refused(lambda: layouts.find_cohort(tmp_path, "dicom"), "--layout=dicom", "brats2017")


@pytest.mark.parametrize("modalities", [(), ("",), ("flair", "flair"), ("flair", "seg"), ("grade",), ("Label",)])
def test_modalitiesrefused(tmp_path, modalities):
    refused(lambda: layouts.find_cohort(_brats2017(tmp_path), modalities=modalities), "--modalities=", "give")


@pytest.mark.parametrize("names", [("LGG", "HGG"), ("lgg", "hgg"), ("HGG", "LGG")])
def test_gliomas_by_name(tmp_path, names):
    """--classes gives order and spelling; texts of grades are still understood."""
    cohort = layouts.find_cohort(_brats2020(tmp_path, ("WHO III,x,B1", "2,x,B2")), names=names)
    assert cohort.classes == Classes.of(names)
    assert [patient.label.upper() for patient in cohort.patients] == ["HGG", "LGG"]
    assert {patient.label for patient in cohort.patients} == set(names)


def test_other_classes_of_brats2020(tmp_path):
    cohort = layouts.find_cohort(_brats2020(tmp_path, ("iv,x,B1", "III,x,B2")), names=("III", "IV"))
    assert summary(cohort) == [("B1", "IV"), ("B2", "III")]


def test_classes_that_the_folders_do_not_have(tmp_path):
    refused(
        lambda: layouts.find_cohort(_brats2017(tmp_path), names=("benign", "malignant")),
        tmp_path,
        "class 'LGG'",
        "--classes=benign,malignant",
    )


def test_a_folder_with_a_manifest_is_one(tmp_path):
    """Also where there are folders that look like BraTS 2017."""
    _brats2017(tmp_path)
    (tmp_path / "manifest.csv").write_text(
        "patient,label,mask,flair\n"
        "A,case,HGG/P2/P2_seg.nii.gz,HGG/P2/P2_flair.nii.gz\n"
        "B,control,LGG/P3/P3_seg.nii.gz,LGG/P3/P3_flair.nii.gz\n"
    )
    for layout in ("auto", "manifest"):
        assert summary(layouts.find_cohort(tmp_path, layout)) == [("A", "case"), ("B", "control")]
    assert len(layouts.find_cohort(tmp_path, "brats2017").patients) == 3


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real cohort is not at {REAL}")
def test_real_cohort():
    patients = layouts.find_cohort(REAL).patients
    assert len(patients) == 40
    assert sum(patient.label == "HGG" for patient in patients) == 20
    volume = volumes.read_volume(patients[0].images["flair"])
    assert volume.voxels.shape[:2] == (256, 256)
    assert 0 < volumes.read_placed_mask(patients[0].mask, volume).voxels.mean() < 0.2


def test_folders_of_grades_in_any_case(tmp_path):
    _patient(tmp_path / "hgg", "P1")
    _patient(tmp_path / "Lgg", "P2")
    assert summary(layouts.find_cohort(tmp_path)) == [("P1", "HGG"), ("P2", "LGG")]


def test_a_dicom_download_is_to_be_imported(tmp_path):
    (tmp_path / "REMBRANDT/900-00-1961/2005/3.0-AX FLAIR").mkdir(parents=True)
    (tmp_path / "REMBRANDT/900-00-1961/2005/3.0-AX FLAIR/1-01.dcm").touch()
    words = (f"stages.import_dicom --dicom={tmp_path}", "such as REMBRANDT/900-00-1961/2005/3.0-AX FLAIR/1-01.dcm")
    refused(lambda: layouts.find_cohort(tmp_path), tmp_path, *words)
    place = tmp_path / "REMBRANDT/900-00-1961/2005/3.0-AX FLAIR"
    (place / "1-01.dcm").rename(place / "1").write_bytes(bytes(128) + b"DICM")
    refused(lambda: layouts.find_cohort(tmp_path), "such as REMBRANDT/900-00-1961/2005/3.0-AX FLAIR/1:", "--out=FOLDER")
    (place / "1").write_bytes(b"notes")
    refused(lambda: layouts.find_cohort(tmp_path), "no layout fits, found REMBRANDT", "cohort/README.md")


def test_a_file_that_is_no_manifest(tmp_path):
    (tmp_path / "t.xlsx").touch()
    refused(
        lambda: layouts.find_cohort(tmp_path / "t.xlsx"), tmp_path / "t.xlsx", "no manifest", "save a sheet as .csv"
    )
