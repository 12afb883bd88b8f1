from collections import Counter
from pathlib import Path

from rembrandt_featgen.cohort import fresh_patients, split_files, splits
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.patients import Cohort, Patient

PATIENTS = [Patient(f"P{n:02d}", ("LGG", "HGG")[n % 2], {}, mask=Path()) for n in range(40)]
COHORT = Cohort(PATIENTS, Classes.of(("LGG", "HGG")))
FRESH = frozenset(patient.id for patient in PATIENTS[:20])


def test_the_test_is_the_fresh_patients_and_validation_a_share_of_the_others():
    split = fresh_patients.split(COHORT, FRESH, validation_fraction=0.2, seed=1)
    assert {name for name, part in split.items() if part == "test"} == FRESH
    counts = Counter((patient.label, split[patient.id]) for patient in PATIENTS)
    for label in COHORT.classes.names:
        assert [counts[label, part] for part in ("train", "validation", "test")] == [8, 2, 10]
    assert split != fresh_patients.split(COHORT, FRESH, validation_fraction=0.2, seed=2)


def test_a_final_model_leaves_them_out():
    split = fresh_patients.split(COHORT, FRESH, validation_fraction=0.2, fresh_in="left_out")
    assert {name for name, part in split.items() if part == "left_out"} == FRESH
    assert set(split.values()) == {"train", "validation", "left_out"}
    usual = splits.split_patients(COHORT, validation_fraction=0.2, test_fraction=0, seed=3)
    assert fresh_patients.split(COHORT, (), validation_fraction=0.2, seed=3, fresh_in="left_out") == usual


def test_who_would_have_been_tested_is_left_out(tmp_path):
    split = fresh_patients.tested({"P20": "train", "P21": "test", "P22": "validation"}, ["P00", "P01"])
    assert split == {"P00": "test", "P01": "test", "P20": "train", "P21": "left_out", "P22": "validation"}
    cohort = Cohort([patient for patient in PATIENTS if patient.id in split], COHORT.classes)
    split_files.write_split(tmp_path / "split.json", split, cohort)
    assert split_files.read_split_of(tmp_path / "split.json", cohort) == split
