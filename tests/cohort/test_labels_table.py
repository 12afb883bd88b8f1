import pytest

from rembrandt_featgen.cohort import labels_table, layouts
from rembrandt_featgen.cohort.manifest import ManifestColumns
from tests.cohort.public_layouts import table
from tests.cohort.refusals import refused, summary


@pytest.fixture
def cohort(tmp_path):
    """BraTS 2021 of three patients, whose ids are 00005, 00012 and 00100."""
    for number in (5, 12, 100):
        name = f"BraTS2021_{number:05d}"
        (tmp_path / "in" / name).mkdir(parents=True)
        for what in ("flair", "seg"):
            (tmp_path / "in" / name / f"{name}_{what}.nii.gz").touch()
    return tmp_path / "in"


def found(cohort, path, names=(), incomplete="refuse", **columns):
    options = layouts.CohortOptions(labels_table=str(path), incomplete=incomplete)
    return layouts.find_cohort(cohort, names=names, columns=ManifestColumns(**columns), options=options)


HEADER = ["Age", "BraTS21ID", "Label"]


@pytest.mark.parametrize(
    "ids",
    [
        ("BraTS2021_00005", "BraTS2021_00012", "BraTS2021_00100"),
        ("brats2021-00005", "BRATS2021_00012 ", "BraTS2021 00100"),
        ("BraTS2021_5", "BraTS2021_12", "BraTS2021_100"),
        ("00005", "00012", "00100"),
        ("5", "12", "100"),
        ("5.0", "12.0", "100.0"),
    ],
)
def test_ids_as_people_write_them(tmp_path, cohort, ids):
    """Ages are numbers, too, and those of other patients: a column of ids is known by its name."""
    rows = [["12", ids[0], "LGG"], ["5", ids[1], "hgg"], ["100", ids[2], "HGG"], ["7", ids[0].replace("5", "7"), "?"]]
    labels = summary(found(cohort, table(tmp_path / "t.csv", HEADER, rows)))
    assert labels == [("BraTS2021_00005", "LGG"), ("BraTS2021_00012", "HGG"), ("BraTS2021_00100", "HGG")]


def test_bare_numbers_of_another_column_are_no_ids(tmp_path, cohort):
    path = table(tmp_path / "t.csv", ["Age", "label"], [["5", "LGG"], ["12", "HGG"], ["100", "HGG"]])
    refused(lambda: found(cohort, path), path, "no column has the patients' ids", "BraTS2021_00005", "--patient_column")


@pytest.mark.parametrize("header", [["age", "participant_id", "label"], ["age", "label"]])
def test_ages_are_no_subjects_of_bids(tmp_path, header):
    """Of sub-1 the bare number is in a column of ages, too, which comes first."""
    names = ("sub-1", "sub-2_ses-a", "sub-2_ses-b", "sub-10")
    entries = [layouts.Entry("", name, "", is_grade=False, find=None) for name in names]
    rows = [["10", "1", "a"], ["1", "2", "b"], ["2", "10", "c"]]
    path = table(tmp_path / "t.csv", header, [[*row[: len(header) - 1], row[2]] for row in rows])
    read = labels_table.read(path)
    if "participant_id" in header:
        joined = labels_table.join(entries, read, ManifestColumns())
        assert [entry.text for entry in joined] == ["a", "b", "b", "c"]
    else:
        refused(lambda: labels_table.join(entries, read, ManifestColumns()), "no column has the patients' ids")


def test_numbers_of_the_column_that_is_named(tmp_path, cohort):
    rows = [["5", "12", "LGG"], ["12", "100", "HGG"], ["100", "5", "HGG"]]
    path = table(tmp_path / "t.csv", ["Age", "Sample", "label"], rows)
    refused(lambda: found(cohort, path), "no column has the patients' ids")
    labels = summary(found(cohort, path, patient="Sample"))
    assert labels == [("BraTS2021_00005", "HGG"), ("BraTS2021_00012", "LGG"), ("BraTS2021_00100", "HGG")]


def test_ids_come_before_numbers_of_rows(tmp_path, cohort):
    """Numbers of rows have more of the cohort's ids than the column of ids, which lacks a patient."""
    rows = [[1, "BraTS2021_00100", "HGG"], [2, "BraTS2021_00077", "LGG"], [3, "BraTS2021_00005", "LGG"]]
    rows += [[row, f"BraTS2021_{900 + row:05d}", "HGG"] for row in range(4, 101)]
    path = table(tmp_path / "t.csv", ["case", "name", "label"], rows)
    refused(lambda: found(cohort, path), "column 'name' lacks this patient", "BraTS2021_00012")
    labels = summary(found(cohort, path, ("LGG", "HGG"), incomplete="leave_out"))
    assert labels == [("BraTS2021_00005", "LGG"), ("BraTS2021_00100", "HGG")]


@pytest.mark.parametrize(
    ("cell", "says"), [("BraTS-GLI-00005-000", True), ("BraTS-GLI-00005", False), ("brats_gli_5_1", False)]
)
def test_the_row_of_another_visit_is_said(tmp_path, caplog, cell, says):
    entry = layouts.Entry("", "BraTS-GLI-00005-001", "", is_grade=False, find=None)
    read = labels_table.read(table(tmp_path / "t.csv", ["id", "label"], [[cell, "a"], ["x", "b"]]))
    (joined,) = labels_table.join([entry], read, ManifestColumns())
    assert joined.text == "a"
    assert (f"{cell} for BraTS-GLI-00005-001" in caplog.text) == says


def test_numbers_of_two_patients_say_nothing(tmp_path):
    """Of HG_0001 and LG_0001 a row 1 may be either."""
    entries = [layouts.Entry("", name, "", is_grade=False, find=None) for name in ("HG_0001", "LG_0001")]
    read = labels_table.read(table(tmp_path / "t.csv", ["id", "label"], [["1", "a"], ["2", "b"]]))
    refused(lambda: labels_table.join(entries, read, ManifestColumns()), "no column has the patients' ids")


def test_the_row_of_the_visit_comes_before_that_of_the_patient(tmp_path):
    names = ("UCSF-PDGM-0429", "UCSF-PDGM-0429_FU003d", "UCSF-PDGM-0431_FU001d")
    entries = [layouts.Entry("", name, "", is_grade=False, find=None) for name in names]
    rows = [["UCSF-PDGM-0429_FU003d", "b"], ["UCSF-PDGM-429", "a"], ["UCSF-PDGM-431", "c"]]
    read = labels_table.read(table(tmp_path / "t.csv", ["ID", "label"], rows))
    assert [entry.text for entry in labels_table.join(entries, read, ManifestColumns())] == ["a", "b", "c"]


ROWS = [["12", "00005", "LGG"], ["5", "00012", "HGG"], ["100", "00100", "HGG"]]


@pytest.mark.parametrize("ending", ["csv", "tsv", "semicolons", "tabs"])
def test_separators(tmp_path, cohort, ending):
    path = tmp_path / ("t.tsv" if ending == "tsv" else "t.csv")
    table(path, HEADER, ROWS, {"csv": ",", "tsv": "\t", "semicolons": ";", "tabs": "\t"}[ending])
    assert len(found(cohort, path).patients) == 3


def test_group_site_and_covariates(tmp_path, cohort):
    rows = [[*row, family, site] for row, family, site in zip(ROWS, "aab", ("Leeds", "n/a", "Bonn"))]
    path = table(tmp_path / "t.csv", [*HEADER, "Family", "Hospital"], rows)
    patients = found(cohort, path, group="family", site="hospital", covariates=("age",)).patients
    assert [patient.group for patient in patients] == ["a", "a", "b"]
    assert [patient.site for patient in patients] == ["Leeds", "", "Bonn"]
    assert [patient.covariates for patient in patients] == [{"age": "12"}, {"age": "5"}, {"age": "100"}]


def test_beside_a_manifest(tmp_path):
    """The class is the table's; the manifest needs none, and its groups stay."""
    for name in "abmn":
        (tmp_path / f"{name}.nii").touch()
    path = tmp_path / "cohort.csv"
    path.write_text("patient,mask,flair,group\nP1,m.nii,a.nii,g\nP2,n.nii,b.nii,g\n")
    labels = table(tmp_path / "labels.csv", ["who", "idh"], [["P2", "wild"], ["P1", "mutant"], ["P9", "?"]])
    one, two = found(path, labels, ("wild", "mutant"), label="idh").patients
    assert (one.label, two.label, one.group, two.group) == ("mutant", "wild", "g", "g")
    refused(lambda: found(path, labels, ("wild", "mutant"), label="idh", site="city"), "cohort.csv", "--site_column")


@pytest.mark.parametrize(
    ("header", "rows", "columns", "words"),
    [
        (HEADER, ROWS, {"label": "MGMT"}, ["no column 'MGMT' (found Age, BraTS21ID, Label)", "--label_column"]),
        (["Age", "BraTS21ID", "MGMT"], ROWS, {}, ["no column 'label'", "MGMT", "--label_column"]),
        (HEADER, ROWS, {"patient": "case"}, ["no column 'case'", "--patient_column"]),
        (HEADER, ROWS, {"group": "clan"}, ["no column 'clan'", "--group_column"]),
        (HEADER, ROWS, {"covariates": ("kps",)}, ["no column 'kps'", "--covariates"]),
        (HEADER, ROWS, {"covariates": ("LABEL",)}, ["--covariates=LABEL", "the class itself"]),
        (HEADER, ROWS[:2], {}, ["lacks this patient", "BraTS2021_00100", "no Label", "--incomplete=leave_out"]),
        (HEADER, [*ROWS, ["1", "00005", "HGG"]], {}, ["line 2", "BraTS2021_00005", "'LGG' here", "'HGG' in line 5"]),
        ([*HEADER, "label"], [[*row, "x"] for row in ROWS], {}, ["the column 'label' is there twice", "rename"]),
        (
            [*HEADER, "group"],
            [["12", "00005", "LGG", "a"], ["12", "00005", "LGG", "b"]],
            {},
            ["line 2", "BraTS2021_00005 has group 'a' here and 'b' in line 3"],
        ),
        (HEADER, [[*ROWS[0], "x"]], {}, ["line 2: 4 cells, but 3 columns", "quotes"]),
        (HEADER, [], {}, ["no rows", "header"]),
    ],
)
def test_tables_that_are_refused(tmp_path, cohort, header, rows, columns, words):
    path = table(tmp_path / "t.csv", header, rows)
    refused(lambda: found(cohort, path, **columns), *words)


def test_files_that_are_no_tables(tmp_path, cohort):
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    refused(
        lambda: found(cohort, tmp_path / "t.xlsx"), "--labels_table", "t.xlsx", "not a .csv or .tsv", "save the sheet"
    )
    refused(lambda: found(cohort, tmp_path / "gone.csv"), "--labels_table", "gone.csv", "no such file")


def test_patients_without_a_class_may_be_left_out(tmp_path, cohort, caplog):
    rows = [["1", "00005", "wild"], ["2", "00012", "Not Available"], ["3", "00100", "mutant"]]
    path, names = table(tmp_path / "t.csv", HEADER, rows), ("wild", "mutant")
    refused(lambda: found(cohort, path, names), "BraTS2021_00012", "'Not Available'", "--incomplete=leave_out")
    cohort_ = found(cohort, path, names, incomplete="leave_out")
    assert summary(cohort_) == [("BraTS2021_00005", "wild"), ("BraTS2021_00100", "mutant")]
    refused(lambda: found(cohort, path, ("x", "y"), incomplete="leave_out"), "leaves out all 3", "3 without label")
