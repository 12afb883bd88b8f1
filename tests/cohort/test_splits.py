import json
from collections import Counter
from pathlib import Path

import pytest

from rembrandt_featgen.cohort import splits
from rembrandt_featgen.cohort.layouts import Patient
from rembrandt_featgen.core.errors import InputError


def _cohort(hgg, lgg):
    grades = ["HGG"] * hgg + ["LGG"] * lgg
    return [Patient(f"P{i:03d}", grade, {"flair": Path("f")}, Path("m")) for i, grade in enumerate(grades)]


def _counts(patients, assignment):
    counts = Counter((patient.grade, assignment[patient.id]) for patient in patients)
    return {grade: tuple(counts[grade, split] for split in splits.SPLITS) for grade in ("HGG", "LGG")}


@pytest.mark.parametrize(
    ("hgg", "lgg", "validation", "test", "test_counts", "expected"),
    [
        (61, 40, 0, 0.1, {"HGG": 7, "LGG": 4}, {"HGG": (54, 0, 7), "LGG": (36, 0, 4)}),  # the paper's, 3.4
        (61, 40, 0, 0.1, None, {"HGG": (55, 0, 6), "LGG": (36, 0, 4)}),
        (61, 40, 0.1, 0.1, {"HGG": 7}, {"HGG": (48, 6, 7), "LGG": (32, 4, 4)}),
        (25, 15, 0.1, 0.1, None, {"HGG": (19, 3, 3), "LGG": (11, 2, 2)}),  # 2.5 -> 3, 1.5 -> 2: half up
        (100, 3, 0.145, 0, None, {"HGG": (85, 15, 0), "LGG": (2, 1, 0)}),  # 0.145 * 100 is 14.499... in binary
        (4, 3, 0.1, 0.1, None, {"HGG": (2, 1, 1), "LGG": (1, 1, 1)}),  # at least 1
        (1, 1, 0, 0, None, {"HGG": (1, 0, 0), "LGG": (1, 0, 0)}),
    ],
)
def test_counts(hgg, lgg, validation, test, test_counts, expected):
    patients = _cohort(hgg, lgg)
    assert _counts(patients, splits.split_patients(patients, validation, test, 0, test_counts)) == expected


def test_depends_on_seed_but_not_on_order():
    patients = _cohort(30, 20)
    first = splits.split_patients(patients, seed=3)
    assert splits.split_patients(patients[::-1], seed=3) == first
    assert splits.split_patients(patients, seed=4) != first


def test_a_grade_is_split_apart_from_the_other():
    few, many = splits.split_patients(_cohort(20, 5)), splits.split_patients(_cohort(20, 9))
    assert {name: few[name] for name in few if name < "P020"} == {name: many[name] for name in many if name < "P020"}


@pytest.mark.parametrize(
    ("hgg", "lgg", "options", "words"),
    [
        (10, 2, {}, ["LGG: 2 patients", "--validation_fraction=0.1", "--test_fraction=0.1", "add patients or lower"]),
        (1, 9, {"validation_fraction": 0}, ["HGG: 1 patient ", "--test_fraction=0.1", "add patients or lower"]),
        (9, 9, {"validation_fraction": 0.5, "test_fraction": 0.5}, ["LGG: 9 patients", "none to train on"]),
        (9, 0, {}, ["--cohort", "no LGG patient", "add"]),
        (9, 9, {"test_fraction": 1.0}, ["--test_fraction=1.0", "give"]),
        (9, 9, {"validation_fraction": -0.1}, ["--validation_fraction=-0.1", "give"]),
        (9, 9, {"validation_fraction": float("nan")}, ["--validation_fraction=nan", "give"]),
        (9, 9, {"test_counts": {"HGG": 10}}, ["--test_counts", "9 HGG patients", "give"]),
        (9, 9, {"test_counts": {"LGG": -1}}, ["--test_counts", "9 LGG patients", "give"]),
        (9, 9, {"test_counts": {"HGG": 9}}, ["--test_counts", "HGG: 9 patients", "none to train on", "lower"]),
        (9, 9, {"test_counts": {"GBM": 1}}, ["--test_counts", "GBM", "leave"]),
    ],
)
def test_refused(hgg, lgg, options, words):
    with pytest.raises(InputError) as caught:
        splits.split_patients(_cohort(hgg, lgg), **options)
    assert len(str(caught.value).splitlines()) == 1
    for word in words:
        assert word in str(caught.value)


def test_file_round_trip(tmp_path):
    patients = _cohort(6, 5)
    assignment = splits.split_patients(patients)
    splits.write_split(tmp_path / "split.json", assignment, patients)
    assert splits.read_split(tmp_path / "split.json") == assignment
    groups = json.loads((tmp_path / "split.json").read_text())
    assert {split: {grade: len(names) for grade, names in grades.items()} for split, grades in groups.items()} == {
        "train": {"HGG": 4, "LGG": 3},
        "validation": {"HGG": 1, "LGG": 1},
        "test": {"HGG": 1, "LGG": 1},
    }
    assert [path.name for path in tmp_path.iterdir()] == ["split.json"]


@pytest.mark.parametrize("text", [None, "{", "[]", '{"train": {}}'])
def test_damaged_file_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "split.json").write_text(text)
    with pytest.raises(InputError, match="split.json: not a split file .* --run_dir") as caught:
        splits.read_split(tmp_path / "split.json")
    assert len(str(caught.value).splitlines()) == 1


def test_check_disjoint(tmp_path):
    splits.check_disjoint({"train": ["a", "a", "b"], "test": ["c"], "validation": []})
    with pytest.raises(RuntimeError, match="patient b is in two splits, train and test"):
        splits.check_disjoint({"train": ["a", "b"], "test": ["b"]})
    groups = {split: {"HGG": ["a"], "LGG": []} for split in splits.SPLITS}
    (tmp_path / "split.json").write_text(json.dumps(groups))
    with pytest.raises(RuntimeError, match="patient a"):
        splits.read_split(tmp_path / "split.json")


@pytest.mark.parametrize(("hgg", "lgg", "folds"), [(18, 22, 5), (7, 5, 5), (4, 4, 2)])
def test_folds_test_each_patient_once_and_stratify(hgg, lgg, folds):
    patients = _cohort(hgg, lgg)
    assignments = splits.fold_patients(patients, folds, 0.2, seed=3)
    tested = [name for assignment in assignments for name, split in assignment.items() if split == "test"]
    assert sorted(tested) == [patient.id for patient in patients]
    counts = [_counts(patients, assignment) for assignment in assignments]
    for grade, n in (("HGG", hgg), ("LGG", lgg)):
        sizes = [count[grade][2] for count in counts]
        assert max(sizes) - min(sizes) <= 1
        assert all(sum(count[grade]) == n for count in counts)
        assert all(count[grade][0] > 0 and count[grade][1] > 0 for count in counts)
    whole = [sum(count[grade][2] for grade in count) for count in counts]
    assert max(whole) - min(whole) <= 1


def test_repeats_deal_anew_and_are_reproducible():
    patients = _cohort(10, 10)
    first, again, other = (splits.fold_patients(patients, 5, 0.2, 0, repeat) for repeat in (0, 0, 1))
    assert first == again != other
    assert first == splits.fold_patients(patients[::-1], 5, 0.2, 0)


def test_more_folds_than_patients_of_a_grade():
    with pytest.raises(InputError, match="--cv_folds=5, but --cohort has 4 LGG patients"):
        splits.fold_patients(_cohort(9, 4), 5, 0.2, 0)


def test_sites_are_left_out_one_by_one():
    sites = ["CS", "DU", "DU", "HT", "CS", "DU", "HT", "HT"]
    patients = [
        Patient(f"TCGA_{site}_{i}", "HGG" if i % 2 else "LGG", {"flair": Path("f")}, Path("m"))
        for i, site in enumerate(sites)
    ]
    folds = splits.site_folds(patients, "TCGA_([A-Z]+)_", 0.2, seed=0)
    assert list(folds) == ["CS", "DU", "HT"]
    for site, assignment in folds.items():
        assert {name for name, split in assignment.items() if split == "test"} == {
            patient.id for patient in patients if f"_{site}_" in patient.id
        }
        assert len(assignment) == len(patients)


@pytest.mark.parametrize(
    ("pattern", "words"), [("TCGA_([0-9]+)_", "no site in the id TCGA_CS_0"), ("(TCGA", "group"), ("TCGA", "group")]
)
def test_bad_site_pattern(pattern, words):
    patients = [Patient(f"TCGA_CS_{i}", "HGG", {"flair": Path("f")}, Path("m")) for i in range(3)]
    with pytest.raises(InputError, match=words):
        splits.site_folds(patients, pattern, 0.2, 0)
