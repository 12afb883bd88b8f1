from pathlib import Path

import pytest

from rembrandt_featgen.cohort import layouts, volumes
from rembrandt_featgen.core.errors import InputError

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


def _manifest(folder, text, encoding="utf-8"):
    for name in ("a", "b", "c", "m", "n", "o"):
        (folder / f"{name}.nii.gz").touch()
    (folder / "cohort.csv").write_bytes(text.encode(encoding))
    return folder / "cohort.csv"


def _refused(call, *words):
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for word in words:
        assert str(word) in message, message


def _summary(patients):
    return [(patient.id, patient.grade) for patient in patients]


@pytest.mark.parametrize("layout", ["auto", "brats2017"])
def test_brats2017(tmp_path, layout):
    patients = layouts.find_patients(_brats2017(tmp_path), layout)
    assert _summary(patients) == [("P1", "HGG"), ("P2", "HGG"), ("P3", "LGG")]
    assert patients[0].images == {"flair": tmp_path / "HGG/P1/P1_flair.nii"}
    assert patients[2].mask == tmp_path / "LGG/P3/P3_seg.nii.gz"


def test_modalities_keep_their_order(tmp_path):
    _patient(tmp_path / "HGG", "P1", ("t1", "flair", "seg"))
    (patient,) = layouts.find_patients(tmp_path, modalities=("t1", "flair"))
    assert list(patient.images) == ["t1", "flair"]


@pytest.mark.parametrize("layout", ["auto", "brats2020"])
def test_brats2020(tmp_path, layout):
    patients = layouts.find_patients(str(_brats2020(tmp_path)), layout)
    assert _summary(patients) == [("B1", "HGG"), ("B2", "LGG")]
    assert patients[0].mask == tmp_path / "B1/B1_seg.nii"


@pytest.mark.parametrize("layout", ["auto", "manifest"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_manifest(tmp_path, layout, encoding):
    elsewhere = tmp_path / "o.nii.gz"
    text = f"Patient,FLAIR,Mask,Grade,site\r\nzoë, a.nii.gz ,m.nii.gz,g4,x\r\n\r\nadam,b.nii.gz,{elsewhere},ii,\r\n"
    patients = layouts.find_patients(_manifest(tmp_path, text, encoding), layout)
    assert _summary(patients) == [("adam", "LGG"), ("zoë", "HGG")]
    assert patients[1].images == {"flair": tmp_path / "a.nii.gz"}
    assert patients[0].mask == elsewhere


@pytest.mark.parametrize(
    ("text", "grade"),
    [(text, "LGG") for text in ("LGG", "lgg", "2", "2.0", "II", "g2", "Grade II", "WHO grade 2", "who ii")]
    + [(text, "HGG") for text in ("HGG", " hgg ", "3", "iii", "G3", "grade 4", "IV", "4.0", "WHO IV", "G4")],
)
def test_parse_grade(text, grade):
    assert layouts.parse_grade(text, "here") == grade


@pytest.mark.parametrize("text", ["", "  ", "1", "I", "V", "unknown", "23", "GBM", "nan", "2.5"])
def test_parse_grade_refuses(text):
    _refused(
        lambda: layouts.parse_grade(text, "cohort.csv line 2: patient P1"), "line 2: patient P1", "LGG", "--cohort"
    )


def _no_mask(folder):
    _patient(_brats2017(folder) / "LGG", "P0", ("flair",))


def _two_without_mask(folder):
    _no_mask(folder)
    _patient(folder / "LGG", "P9", ("flair",))


def _no_image(folder):
    _patient(_brats2017(folder) / "LGG", "P0", ("t1", "seg"))


def _twice(folder):
    _patient(_brats2017(folder) / "LGG", "P1")


def _both_endings(folder):
    (_brats2017(folder) / "HGG/P2/P2_flair.nii").touch()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, ["no layout fits", "HGG/<patient>/", "name_mapping.csv", ".csv", "manifest"]),
        (lambda folder: (folder / "HGG").mkdir(), ["no patients", "expected", "LGG/<patient>/"]),
        (_no_mask, ["P0", "no mask", "P0_seg.nii.gz and P0_seg.nii", "add it"]),
        (_two_without_mask, ["P0", "no mask", "(and 1 more like it)"]),
        (_no_image, ["P0", "no flair", "P0_flair.nii.gz and P0_flair.nii", "--modalities", "add it"]),
        (_twice, ["P1 is there twice", "keep one"]),
        (_both_endings, ["P2", "both P2_flair.nii.gz and P2_flair.nii", "keep one"]),
        (lambda folder: _brats2020(folder, ["HGG,x,B1"]), ["name_mapping.csv", "B2", "no grade", "LGG"]),
        (lambda folder: _brats2020(folder, ["HGG,x,B1", "?,x,B2"]), ["name_mapping.csv", "B2", "'?'", "LGG"]),
        (lambda folder: _brats2020(folder, ["HGG,x,B1", "LGG,x,B1"]), ["name_mapping.csv line 3", "B1", "twice"]),
        (lambda folder: _brats2020(folder, ["HGG,B1"]), ["name_mapping.csv line 2", "2 cells", "3 columns"]),
    ],
)
def test_folders_refused(tmp_path, make, words):
    make(tmp_path)
    _refused(lambda: layouts.find_patients(tmp_path), tmp_path, "--cohort", *words)


HEADER = "patient,grade,mask,flair\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["missing columns patient, grade, mask, flair", "add"]),
        ("patient;grade;mask;flair\n", ["missing columns", "commas"]),
        ("patient,mask\n", ["missing columns grade, flair", "found patient, mask"]),
        ("patient,grade,mask,flair,Flair\n", ["twice", "keep one"]),
        (HEADER, ["no patients", "expected"]),
        (HEADER + ",LGG,m.nii.gz,a.nii.gz\n", ["line 2", "no patient id", "fill"]),
        (HEADER + "P1,,m.nii.gz,a.nii.gz\n", ["line 2", "P1", "no grade", "LGG"]),
        (HEADER + "P1,GBM,m.nii.gz,a.nii.gz\n", ["line 2", "P1", "'GBM'", "HGG"]),
        (HEADER + "P1,LGG,,a.nii.gz\n", ["line 2", "P1", "no mask", "fill"]),
        (HEADER + "P1,LGG,m.nii.gz,\n", ["line 2", "P1", "no flair", "--modalities"]),
        (HEADER + "P1,LGG,x.nii.gz,a.nii.gz\n", ["line 2", "x.nii.gz", "no file", "mend"]),
        (HEADER + "P1,LGG,m.nii.gz,x.nii.gz\n", ["line 2", "x.nii.gz", "no file", "--modalities"]),
        (HEADER + "P1,LGG,m.nii.gz\n", ["line 2", "3 cells", "4 columns"]),
        (HEADER + "P1,LGG,m.nii.gz,a.nii.gz\nP1,LGG,n.nii.gz,b.nii.gz\n", ["line 3", "P1 is there twice", "keep one"]),
        (HEADER + "P1,LGG,m.nii.gz,a.nii.gz\nP2,HGG,n.nii.gz,a.nii.gz\n", ["line 3", "P1 and P2 share", "a.nii.gz"]),
        (HEADER + "P1,,,\nP2,,,\nP3,LGG,,\n", ["line 2", "P1", "no flair", "(and 2 more like it)"]),
        (HEADER + 'P1,"LGG\n', ["not readable as CSV", "save"]),
    ],
)
def test_manifests_refused(tmp_path, text, words):
    path = _manifest(tmp_path, text)
    _refused(lambda: layouts.find_patients(path), path, "--cohort", *words)


def test_manifest_in_another_encoding_refused(tmp_path):
    path = _manifest(tmp_path, HEADER + "zoë,LGG,m.nii.gz,a.nii.gz\n", "latin-1")
    _refused(lambda: layouts.find_patients(path), path, "--cohort", "not readable", "UTF-8")


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_missing_cohort_refused(tmp_path, layout):
    _refused(lambda: layouts.find_patients(tmp_path / "gone", layout), tmp_path / "gone", "--cohort", "no such")


def test_layout_that_does_not_fit_refused(tmp_path):
    path = _manifest(tmp_path, HEADER)
    _refused(lambda: layouts.find_patients(path, "brats2017"), path, "--layout=brats2017", "needs")
    _refused(lambda: layouts.find_patients(tmp_path, "brats2020"), "name_mapping.csv", "--layout", "add it")
    _refused(lambda: layouts.find_patients(tmp_path, "dicom"), "--layout=dicom", "brats2017")


@pytest.mark.parametrize("modalities", [(), ("",), ("flair", "flair"), ("flair", "seg"), ("grade",)])
def test_modalities_refused(tmp_path, modalities):
    _refused(lambda: layouts.find_patients(_brats2017(tmp_path), modalities=modalities), "--modalities=", "give")


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real cohort is not at {REAL}")
def test_real_cohort():
    patients = layouts.find_patients(REAL)
    assert len(patients) == 40
    assert sum(patient.grade == "HGG" for patient in patients) == 20
    volume = volumes.read_volume(patients[0].images["flair"])
    assert volume.voxels.shape[:2] == (256, 256)
    assert 0 < volumes.read_mask(patients[0].mask, volume.voxels.shape, volume).mean() < 0.2
