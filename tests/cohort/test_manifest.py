from pathlib import Path

import numpy as np
import pytest

from rembrandt_featgen.cohort import layouts, manifest, splits, volumes
from rembrandt_featgen.cohort.groups import groups_of
from rembrandt_featgen.cohort.patients import Patient
from tests.cohort import image_examples
from tests.cohort.refusals import refused, summary

REAL = Path(__file__).resolve().parents[3] / "shared/data"


def _manifest(folder, text, encoding="utf-8"):
    for name in ("a", "b", "c", "m", "n", "o"):
        (folder / f"{name}.nii.gz").touch()
    (folder / "cohort.csv").write_bytes(text.encode(encoding))
    return folder / "cohort.csv"


@pytest.mark.parametrize("layout", ["auto", "manifest"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_manifest(tmp_path, layout, encoding):
    elsewhere = tmp_path / "o.nii.gz"
    text = f"Patient,FLAIR,Mask,Grade,site\r\nzoë, a.nii.gz ,m.nii.gz,g4,x\r\n\r\nadam,b.nii.gz,{elsewhere},ii,\r\n"
    cohort = layouts.find_cohort(_manifest(tmp_path, text, encoding), layout)
    patients = cohort.patients
    assert summary(cohort) == [("adam", "LGG"), ("zoë", "HGG")]
    assert patients[1].images == {"flair": tmp_path / "a.nii.gz"}
    assert patients[0].mask == elsewhere


@pytest.mark.parametrize(
    ("column", "texts", "names", "labels"),
    [
        ("label", ("Benign", "malignant"), (), ("benign", "malignant")),
        ("label", ("case", "CONTROL"), (), ("case", "control")),
        ("label", ("0", "1"), (), ("0", "1")),
        ("label", ("hgg", "Lgg"), (), ("HGG", "LGG")),
        ("label", (" wild ", "Mutant"), ("wild", "mutant"), ("wild", "mutant")),
        ("label", ("2", "WHO IV"), ("LGG", "HGG"), ("LGG", "HGG")),
        ("label", ("II", "iii"), ("II", "III"), ("II", "III")),
        ("grade", ("II", "iii"), ("II", "III"), ("II", "III")),
        ("grade", ("II", "iii"), (), ("LGG", "HGG")),
        ("Grade", ("benign", "malignant"), ("benign", "malignant"), ("benign", "malignant")),
    ],
)
def test_labels(tmp_path, column, texts, names, labels):
    """WHO grades are read where the classes are LGG and HGG; all else is taken as written, in any case."""
    rows = f"P1,{texts[0]},m.nii.gz,a.nii.gz\nP2,{texts[1]},n.nii.gz,b.nii.gz\n"
    path = _manifest(tmp_path, f"patient,{column},mask,flair\n{rows}")
    cohort = layouts.find_cohort(path, names=names)
    assert tuple(patient.label for patient in cohort.patients) == labels
    assert set(cohort.classes.names) == set(labels)
    assert cohort.classes.names == names or not names


def test_home_and_both_ways_to_write_an_accent(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("home/a.nii.gz", "b [x] *.nii.gz", "zoe\u0308.nii.gz", "zo\u00eb 2.nii.gz", "~m.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    text = "patient,label,mask,flair\n"
    text += "P1,LGG,~m.nii.gz,~/a.nii.gz\nP2,LGG,b [x] *.nii.gz,zo\u00eb.nii.gz\nP3,HGG,c.nii.gz,zoe\u0308 2.nii.gz\n"
    one, two, three = layouts.find_cohort(_manifest(tmp_path, text)).patients
    assert (one.mask, one.images["flair"]) == (tmp_path / "~m.nii.gz", tmp_path / "home" / "a.nii.gz")
    assert (two.mask, two.images["flair"]) == (tmp_path / "b [x] *.nii.gz", tmp_path / "zoe\u0308.nii.gz")
    assert three.images["flair"] == tmp_path / "zo\u00eb 2.nii.gz"


def test_write_manifest(tmp_path, monkeypatch):
    """Files below its folder are given from there, so that folder and manifest can move together."""
    (tmp_path / "a/in").mkdir(parents=True)
    for name in ("a/in/1_flair.nii", "a/in/1_t1.nii", "a/in/1_seg.nii", "2_flair.nii", "2_t1.nii", "2_seg.nii"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    patients = [
        Patient(
            "1", label="x, y", images={m: Path(f"a/in/1_{m}.nii") for m in ("flair", "t1")}, mask=Path("a/in/1_seg.nii")
        ),
        Patient("2", label="z", images={m: Path(f"2_{m}.nii") for m in ("flair", "t1")}, mask=Path("2_seg.nii")),
    ]
    manifest.write_manifest(Path("a/manifest.csv"), patients)
    moved = (tmp_path / "a").rename(tmp_path / "b")
    one, two = manifest.read_manifest(moved, ("t1", "flair"))
    assert (one.id, one.text, one.is_grade, two.id, two.text) == ("1", "x, y", False, "2", "z")
    assert one.find("flair") == moved / "in/1_flair.nii"
    assert two.find("mask") == tmp_path / "2_seg.nii"


HEADER = "patient,label,mask,flair\n"
GRADE = "patient,grade,mask,flair\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["missing columns patient, mask, flair, label", "add"]),
        ("patient;label;mask\n", ["missing columns flair (found patient, label, mask)", "first line"]),
        ("patient,mask\n", ["missing columns flair, label", "found patient, mask"]),
        ("patient,label,mask,flair,Flair\n", ["twice", "keep one"]),
        ("patient,label,LABEL,mask,flair\n", ["twice", "keep one"]),
        ("patient,grade,mask,flair,Label\n", ["label and grade", "both name the class", "keep one"]),
        (HEADER, ["no patients", "expected"]),
        (HEADER + ",LGG,m.nii.gz,a.nii.gz\n", ["line 2", "no patient id", "fill"]),
        (HEADER + "P1,,m.nii.gz,a.nii.gz\n", ["line 2", "P1", "no label", "name of a class"]),
        (HEADER + "P1,GBM,m.nii.gz,a.nii.gz\n", ["class GBM", "--classes", "positive one last"]),
        (HEADER + "P1,a,m.nii.gz,a.nii.gz\nP2,b,n.nii.gz,b.nii.gz\n", ["class a, b", "--classes=a,b"]),
        (GRADE + "P1,,m.nii.gz,a.nii.gz\n", ["line 2", "P1", "no grade", "LGG"]),
        (GRADE + "P1,GBM,m.nii.gz,a.nii.gz\n", ["line 2", "P1", "'GBM'", "HGG"]),
        (GRADE + "P1,benign,m.nii.gz,a.nii.gz\n", ["line 2", "P1", "'benign'", "HGG", "--classes"]),
        (HEADER + "P1,LGG,,a.nii.gz\n", ["line 2", "P1", "no mask", "fill"]),
        (HEADER + "P1,LGG,m.nii.gz,\n", ["line 2", "P1", "no flair", "--modalities"]),
        (HEADER + "P1,LGG,x.nii.gz,a.nii.gz\n", ["line 2", "x.nii.gz", "no file", "correct"]),
        (HEADER + "P1,LGG,m.nii.gz,x.nii.gz\n", ["line 2", "x.nii.gz", "no file", "--modalities"]),
        (HEADER + "P1,LGG,m.nii.gz\n", ["line 2", "3 cells", "4 columns"]),
        (HEADER + "P1,LGG,m.nii.gz,a.nii.gz\nP1,LGG,n.nii.gz,b.nii.gz\n", ["line 3", "P1 is there twice", "keep one"]),
        (HEADER + "P1,LGG,m.nii.gz,a.nii.gz\nP2,HGG,n.nii.gz,a.nii.gz\n", ["line 3", "P1 and P2 share", "a.nii.gz"]),
        (HEADER + "P1,,,\nP2,,,\nP3,LGG,,\n", ["line 2", "P1", "no flair", "(and 2 more like it: P2, P3)"]),
        (
            HEADER + "P1,LGG,m.nii.gz,\nP2,LGG,,a.nii.gz\nP3,HGG,,\n",
            ["no flair", "(and 1 more like it: P3; 1 without mask: P2)"],
        ),
        (
            HEADER + "P1,LGG,a.nii.gz,a.nii.gz\n",
            ["line 2", "mask and flair of patient P1 are the same file", "a.nii.gz"],
        ),
        (HEADER + "P1,LGG,a.nii.gz#0,./a.nii.gz\n", ["of patient P1 are the same file"]),
        (HEADER + 'P1,"LGG\n', ["not readable as CSV", "save"]),
    ],
)
def test_manifestsrefused(tmp_path, text, words):
    path = _manifest(tmp_path, text)
    refused(lambda: layouts.find_cohort(path), path, "--cohort", *words)


def test_manifest_in_another_encodingrefused(tmp_path):
    path = _manifest(tmp_path, HEADER + "zoë,LGG,m.nii.gz,a.nii.gz\n", "latin-1")
    refused(lambda: layouts.find_cohort(path), path, "--cohort", "not readable", "UTF-8")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ids", ["patient", "Patient ID", "participant_id"])
def test_separators_and_names_of_the_column_of_ids(tmp_path, separator, ids):
    text = f"{ids},Label,mask,flair\nP1,LGG,m.nii.gz,a.nii.gz\nP2,HGG,n.nii.gz,b.nii.gz\n"
    path = _manifest(tmp_path, text.replace(",", separator))
    assert summary(layouts.find_cohort(path)) == [("P1", "LGG"), ("P2", "HGG")]
    other = path.rename(tmp_path / "cohort.tsv")
    assert summary(layouts.find_cohort(other)) == [("P1", "LGG"), ("P2", "HGG")]


def test_the_name_patient_comes_first_and_of_two_others_none(tmp_path):
    rows = "P1,1,LGG,m.nii.gz,a.nii.gz\nP2,2,HGG,n.nii.gz,b.nii.gz\n"
    path = _manifest(tmp_path, "patient,Subject ID,label,mask,flair\n" + rows)
    assert summary(layouts.find_cohort(path)) == [("P1", "LGG"), ("P2", "HGG")]
    _manifest(tmp_path, "Patient ID,Subject ID,label,mask,flair\n" + rows)
    refused(lambda: layouts.find_cohort(path), "missing columns patient")


def test_numbers_with_a_decimal_comma(tmp_path):
    path = _manifest(tmp_path, "patient;label;mask;flair\nP1;1,0;m.nii.gz;a.nii.gz\nP2;0,0;n.nii.gz;b.nii.gz\n")
    assert summary(layouts.find_cohort(path)) == [("P1", "1"), ("P2", "0")]


def test_parts_of_one_file_are_image_and_mask(tmp_path):
    path = _manifest(tmp_path, HEADER + "P1,LGG,m.nii.gz#1,m.nii.gz#0\nP2,HGG,n.nii.gz,b.nii.gz\n")
    assert len(layouts.find_cohort(path).patients) == 2


COLUMNS = "Patient,label,coc2,Family,Hospital,age,Site,mask,flair\n"
ROWS = "P1,x,1.0,f1,Leeds,61,A,m.nii.gz,a.nii.gz\nP2,x,0.0,f1,,,B,n.nii.gz,b.nii.gz\n"


def chosen(**changes):
    names = {"label": "coc2", "group": "family", "site": "hospital", "covariates": ("Age",)}
    return manifest.ManifestColumns(**{**names, **changes})


def test_columns_of_other_names(tmp_path):
    """A label that a program wrote as 1.0, as the column has blanks elsewhere, is 1."""
    path = _manifest(tmp_path, COLUMNS + ROWS)
    one, two = layouts.find_cohort(path, columns=chosen()).patients
    assert (one.label, one.group, one.site, one.covariates) == ("1", "f1", "Leeds", {"Age": "61"})
    assert (two.label, two.group, two.site, two.covariates) == ("0", "f1", "", {"Age": ""})
    one, two = layouts.find_cohort(path, columns=manifest.ManifestColumns(label="COC2")).patients
    assert (one.group, one.site, two.group, two.site) == ("P1", "A", "P2", "B")  # without a column group


def test_groups_sites_and_covariates_are_written_again(tmp_path):
    path = _manifest(tmp_path, COLUMNS + ROWS)
    cohort = layouts.find_cohort(path, columns=chosen())
    manifest.write_manifest(path, cohort.patients)
    again = layouts.find_cohort(path, columns=manifest.ManifestColumns(covariates=("Age",)))
    assert again == cohort


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        (ROWS, {"label": "grade4"}, ["no column 'grade4'", "--label_column", "correct the flag"]),
        (ROWS, {"group": "clan"}, ["no column 'clan'", "--group_column"]),
        (ROWS, {"site": "city"}, ["no column 'city'", "--site_column"]),
        (ROWS, {"covariates": ("age", "weight")}, ["no column 'weight'", "--covariates"]),
        (ROWS, {"covariates": ("coc2",)}, ["--covariates=coc2", "the class itself", "leave it out"]),
        (ROWS, {"covariates": ("flair",)}, ["--covariates=flair", "no clinical column"]),
        (ROWS, {"group": "group", "covariates": ("group",)}, ["--covariates=group", "what no split divides"]),
        (ROWS, {"covariates": ("age", "Age")}, ["--covariates=age,Age", "once"]),
        (ROWS, {"covariates": ("site",)}, ["--covariates=site", "--site_column=hospital", "rename"]),
        (ROWS.replace("1.0", ""), {}, ["line 2: patient P1: no coc2", "name of a class", "leave this patient out"]),
        (ROWS.replace("0.0,f1", "0.0,"), {}, ["line 3: patient P2 has no family", "fill it in"]),
    ],
)
def test_columns_that_do_not_fit(tmp_path, rows, columns, words):
    path = _manifest(tmp_path, COLUMNS + rows)
    refused(lambda: layouts.find_cohort(path, columns=chosen(**columns)), *words)


def test_a_folder_has_no_columns(tmp_path):
    for grade in ("HGG", "LGG"):
        (tmp_path / grade).mkdir()
    refused(
        lambda: layouts.find_cohort(tmp_path, columns=chosen()), "--layout=brats2017", "no columns", "--labels_table"
    )


@pytest.mark.skipif(not (REAL / "tcga_lgg").exists(), reason=f"the real cohort is not at {REAL / 'tcga_lgg'}")
def test_a_label_of_the_real_cohort():
    columns = manifest.ManifestColumns(label="coc2", covariates=("age_at_initial_pathologic",))
    patients = layouts.find_cohort(REAL / "tcga_lgg", columns=columns).patients
    assert [patient.label for patient in patients].count("1") == 15
    assert {patient.site for patient in patients} == {"CS", "DU", "EZ", "FG", "HT"}
    assert sum(not patient.covariates["age_at_initial_pathologic"] for patient in patients) == 1
    assert len({patient.group for patient in patients}) == len(patients) == 70


@pytest.mark.skipif(not (REAL / "cheng_brain").exists(), reason=f"the real cohort is not at {REAL / 'cheng_brain'}")
def test_groups_of_the_real_cohort():
    names = ("glioma", "meningioma", "pituitary")
    cohort = layouts.find_cohort(REAL / "cheng_brain", modalities=("t1ce",), names=names)
    assert {name: len(groups) for name, groups in groups_of(cohort).items()} == dict(zip(names, (9, 5, 6)))
    for assignment in splits.fold_patients(cohort, 5, validation_fraction=0.25, seed=0):
        assert len({(patient.group, assignment[patient.id]) for patient in cohort.patients}) == 20


def test_cells_name_series_channels_and_parts(tmp_path):
    array = image_examples.voxels((4, 5, 3))
    image_examples.write_series(tmp_path / "dicom", array)
    image_examples.write_itk(tmp_path / "both.nrrd", np.stack([array, array + 1], -1), components=True)
    image_examples.write_itk(tmp_path / "m.mha", (array > 300).astype(np.uint8))
    for name in "nbc":
        (tmp_path / f"{name}.nii").touch()
    rows = ["patient,label,mask,flair,t1", "A,LGG,m.mha,dicom,both.nrrd#1", "B,HGG,n.nii,b.nii,c.nii"]
    (tmp_path / "cohort.csv").write_text("\n".join(rows) + "\n")
    patient, _ = layouts.find_cohort(tmp_path / "cohort.csv", modalities=("flair", "t1")).patients
    flair, t1 = volumes.read_volumes(list(patient.images.values()))
    np.testing.assert_array_equal(t1.voxels, flair.voxels + 1)
    assert volumes.read_placed_mask(patient.mask, flair).voxels.sum() == (array > 300).sum()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("A,HGG,n.mha,none.nrrd#1", ["flair", "none.nrrd#1 of A is no file"]),
        ("A,HGG,n.mha,folder", ["flair", "folder of A is no file"]),  # empty
        ("A,HGG,m.mha,a.nii\nB,LGG,n.mha,m.mha", ["A and B share the file", "m.mha"]),
        ("A,HGG,m.mha,both.nrrd#0\nB,LGG,n.mha,both.nrrd#1", ["A and B share the file", "both.nrrd"]),
        ("A,HGG,m.mha,dicom\nB,LGG,n.mha,dicom", ["A and B share the file", "IM1"]),
    ],
)
def test_cells_that_name_nothing_or_the_same(tmp_path, row, words):
    for folder in ("folder", "dicom"):
        (tmp_path / folder).mkdir()
    for name in ("m.mha", "n.mha", "a.nii", "both.nrrd", "dicom/IM1"):
        (tmp_path / name).touch()
    (tmp_path / "cohort.csv").write_text(f"patient,label,mask,flair\n{row}\n")
    refused(lambda: layouts.find_cohort(tmp_path / "cohort.csv"), *words)
