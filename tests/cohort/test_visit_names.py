import pytest

from rembrandt_featgen.cohort import layouts, visit_names
from rembrandt_featgen.cohort.manifest import ManifestColumns
from tests.cohort.refusals import refused


@pytest.mark.parametrize(
    ("visit", "patient"),
    [
        ("BraTS-GLI-00005-001", "BraTS-GLI-00005"),
        ("BraTS-GLI-02405-100", "BraTS-GLI-02405"),
        ("BraTS-MEN-RT-0002-1", "BraTS-MEN-RT-0002"),
        ("Brats18_TCIA01_390_1", "Brats18_TCIA01_390"),
        ("BraTS19_2013_10_1", "BraTS19_2013_10"),
        ("Brats17_CBICA_AAB_1", "Brats17_CBICA_AAB"),
        ("brats_tcia_pat153_0181", "brats_tcia_pat153"),
        ("TCGA-02-0006_1996.08.23", "TCGA-02-0006"),
        ("TCGA_CS_4941_19960909", "TCGA_CS_4941"),
        ("TCGA-DU-A5TP-01A", "TCGA-DU-A5TP"),
        ("UPENN-GBM-00001_21", "UPENN-GBM-00001"),
        ("UCSF-PDGM-0429_FU003d", "UCSF-PDGM-0429"),
        ("sub-01_ses-post", "sub-01"),
        ("900-00-5299_2005.03.22", "900-00-5299"),
        ("HF1318_1994.04.23", "HF1318"),
        ("P7_20100304", "P7"),
    ],
)
def test_whose_visit_it_is(visit, patient):
    assert visit_names.patient_of(visit) == patient
    assert visit_names.patient_of(patient) == patient


@pytest.mark.parametrize(
    "name",
    [
        "PHANTOM_0485",
        "BraTS20_Training_001",
        "BraTS2021_00005",
        "LIDC-IDRI-0001",
        "cheng_0809_0811",
        "P_20101399",
        "A_1",
    ],
)
def test_names_that_say_nothing_of_visits(name):
    assert visit_names.patient_of(name) == name


def test_a_pattern_overrules_what_is_known():
    names = ["BraTS-GLI-00005-000", "BraTS-GLI-00005-001", "other"]
    assert list(visit_names.groups_by_name(names, "").values()) == ["BraTS-GLI-00005", "BraTS-GLI-00005", "other"]
    assert list(visit_names.groups_by_name(names, "(.*)").values()) == names
    assert list(visit_names.groups_by_name(names, "^(BraTS)").values()) == ["BraTS", "BraTS", "other"]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(x", ["no regular expression", "^(.+)_visit"]),
        ("x", ["no regular expression with a group"]),
        ("^(Q+)", ["finds nothing", "such as x-1"]),
    ],
)
def test_patterns_that_are_refused(pattern, words):
    refused(lambda: visit_names.groups_by_name(["x-1", "x-2"], pattern), f"--group_pattern={pattern}", *words)


@pytest.mark.parametrize(
    ("one", "two"), [("P1", "p1"), ("P 1", "P1"), ("P 1", "P-1"), ("P_1", "p-1"), ("TCGA_CS_4941", "TCGA-CS-4941")]
)
def test_ids_that_nobody_can_tell_apart(one, two):
    words = [repr(one), repr(two), "case, blanks, - or _ alone", "spell them alike", "rename one"]
    refused(lambda: visit_names.check_alike([one, "Q", two], "--cohort"), "--cohort: ", *words)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("PAT1", "P\u0410T1"),  # a Cyrillic A
        ("BOX7", "\u0392\u039f\u03a77"),  # Greek letters
        ("Müller", "Mu\u0308ller"),  # composed, and not
        ("A-1", "A\u20131"),  # a dash
        ("A 1", "A\u00a01"),  # a blank that does not break
        ("P1", "\uff301"),  # of full width
        ("Straße", "STRASSE"),
    ],
)
def test_ids_that_look_alike(one, two):
    words = [ascii(one), ascii(two), "look alike", "rename one"]
    refused(lambda: visit_names.check_alike([one, "Q", two], "--cohort"), "--cohort: ", *words)


@pytest.mark.parametrize("sign", ["\t", "\n", "\0", "\x7f", "\u200b", "\u202e", "\ufeff", "\u2028", "\udcff"])
def test_ids_with_what_is_not_seen(sign):
    refused(lambda: visit_names.check_alike(["Q", f"P{sign}1"], "--cohort"), f"--cohort: patients {ascii(f'P{sign}1')}")


def test_ids_that_differ():
    visit_names.check_alike(["P1", "P11", "1-11", "11-1", "P-1-2", "P-12", "UPENN-GBM-00001_11"], "--cohort")
    others = ["Иван", "Анна", "Müller", "Muller", "山田", "P0", "PO", "P1", "Pl", "Ångström 2"]
    visit_names.check_alike(others, "--cohort")


def manifest(folder, rows, header="patient,label,mask,flair"):
    for name in "abcmno":
        (folder / f"{name}.nii").touch()
    (folder / "manifest.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def test_ids_of_a_cohort(tmp_path):
    cohort = manifest(tmp_path, ["P1,LGG,m.nii,a.nii", "p1,HGG,n.nii,b.nii"])
    refused(lambda: layouts.find_cohort(cohort), "--cohort", "'P1' and 'p1'")


def test_groups_that_nobody_can_tell_apart(tmp_path):
    rows = ["HF1318_1994.04.23,LGG,m.nii,a.nii", "hf1318_1995.04.23,HGG,n.nii,b.nii"]
    cohort = manifest(tmp_path, rows)
    refused(lambda: layouts.find_cohort(cohort), "--cohort", "groups 'HF1318' and 'hf1318'", "one group", "rename")
    manifest(tmp_path, ["P,LGG,m.nii,a.nii,Smith", "Q,HGG,n.nii,b.nii,smith"], "patient,label,mask,flair,group")
    refused(lambda: layouts.find_cohort(cohort), "--cohort", "groups 'Smith' and 'smith'")


def test_a_column_comes_before_names(tmp_path, caplog):
    rows = ["BraTS-GLI-00005-000,LGG,m.nii,a.nii,g", "BraTS-GLI-00005-001,LGG,n.nii,b.nii,h", "Q,HGG,o.nii,c.nii,g"]
    cohort = manifest(tmp_path, rows, "patient,label,mask,flair,group")
    assert [patient.group for patient in layouts.find_cohort(cohort).patients] == ["g", "h", "g"]
    without = layouts.find_cohort(cohort, columns=ManifestColumns(label="label", group="group")).patients
    assert [patient.group for patient in without] == ["g", "h", "g"]


def test_visits_are_counted_as_visits():
    assert visit_names.counted({"a": "a", "b": "b"}) == "2 patients"
    assert visit_names.counted({"a": "g"}) == "1 patient"
    assert visit_names.counted({"sub-1_ses-1": "sub-1", "sub-1_ses-2": "sub-1"}) == "2 visits of 1 patient"
    assert visit_names.counted({"P1-1": "P1", "P1-2": "P1", "P2": "P2"}) == "3 visits of 2 patients"
    assert visit_names.counted({"a": "family", "b": "family"}) == "2 patients or visits of 1 group"
