import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from rembrandt_featgen.cohort import cohort_warnings, splits
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.groups import groups_of
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.cohort.sites import with_sites
from rembrandt_featgen.core.errors import InputError


def _patient(name, label):
    return Patient(name, label=label, images={"flair": Path("f")}, mask=Path("m"))


def _cohort(hgg, lgg, names=("LGG", "HGG")):
    labels = [names[1]] * hgg + [names[0]] * lgg
    return Cohort([_patient(f"P{i:03d}", label) for i, label in enumerate(labels)], Classes.of(names))


def _backwards(cohort):
    return cohort._replace(patients=cohort.patients[::-1])


def _counts(cohort, assignment):
    counts = Counter((patient.label, assignment[patient.id]) for patient in cohort.patients)
    return {name: tuple(counts[name, split] for split in splits.SPLITS) for name in reversed(cohort.classes.names)}


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
    cohort = _cohort(hgg, lgg)
    assignment = splits.split_patients(
        cohort, validation_fraction=validation, test_fraction=test, test_counts=test_counts
    )
    assert _counts(cohort, assignment) == expected


def test_any_names_of_classes():
    """The split depends on labels, not on names; counts may be given in any case."""
    names, counts = ("control", "case"), {"Case": 7, "CONTROL": 4}
    cohort = _cohort(61, 40, names)
    assignment = splits.split_patients(cohort, test_counts=counts, seed=3)
    assert _counts(cohort, assignment) == {"case": (48, 6, 7), "control": (32, 4, 4)}
    assert assignment == splits.split_patients(_cohort(61, 40), test_counts={"HGG": 7, "LGG": 4}, seed=3)


def test_depends_on_seed_but_not_on_order():
    cohort = _cohort(30, 20)
    first = splits.split_patients(cohort, seed=3)
    assert splits.split_patients(_backwards(cohort), seed=3) == first
    assert splits.split_patients(cohort, seed=4) != first


def test_a_class_is_split_apart_from_the_other():
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


def test_check_disjoint():
    splits.check_disjoint({"train": ["a", "a", "b"], "test": ["c"], "validation": []})
    with pytest.raises(RuntimeError, match="patient b is in two splits, train and test"):
        splits.check_disjoint({"train": ["a", "b"], "test": ["b"]})
    with pytest.raises(RuntimeError, match="group b is in two splits"):
        splits.check_disjoint({"train": ["a", "b"], "test": ["b"]}, "group")


@pytest.mark.parametrize(("hgg", "lgg", "folds"), [(18, 22, 5), (7, 5, 5), (4, 4, 2)])
def test_folds_test_each_patient_once_and_stratify(hgg, lgg, folds):
    cohort = _cohort(hgg, lgg)
    assignments = splits.fold_patients(cohort, folds, validation_fraction=0.2, seed=3)
    tested = [name for assignment in assignments for name, split in assignment.items() if split == "test"]
    assert sorted(tested) == [patient.id for patient in cohort.patients]
    counts = [_counts(cohort, assignment) for assignment in assignments]
    for name, n in (("HGG", hgg), ("LGG", lgg)):
        sizes = [count[name][2] for count in counts]
        assert max(sizes) - min(sizes) <= 1
        assert all(sum(count[name]) == n for count in counts)
        assert all(count[name][0] > 0 and count[name][1] > 0 for count in counts)
    whole = [sum(count[name][2] for name in count) for count in counts]
    assert max(whole) - min(whole) <= 1


def test_repeats_differ_and_are_reproducible():
    cohort = _cohort(10, 10)
    first, again, other = (
        splits.fold_patients(cohort, 5, validation_fraction=0.2, seed=0, repeat=repeat) for repeat in (0, 0, 1)
    )
    assert first == again != other
    assert first == splits.fold_patients(_backwards(cohort), 5, validation_fraction=0.2, seed=0)


def test_more_folds_than_patients_of_a_class():
    with pytest.raises(InputError, match="--cv_folds=5, but --cohort has 4 patients of class LGG"):
        splits.fold_patients(_cohort(9, 4), 5, validation_fraction=0.2, seed=0)


def test_sites_are_left_out_one_by_one():
    sites = ["CS", "DU", "DU", "HT", "CS", "DU", "HT", "HT"]
    patients = [_patient(f"TCGA_{site}_{i}", "HGG" if i % 2 else "LGG") for i, site in enumerate(sites)]
    cohort = with_sites(Cohort(patients, Classes.of(("LGG", "HGG"))), "TCGA_([A-Z]+)_")
    folds = splits.site_folds(cohort, validation_fraction=0.2, seed=0)
    assert list(folds) == ["CS", "DU", "HT"]
    for site, assignment in folds.items():
        assert {name for name, split in assignment.items() if split == "test"} == {
            patient.id for patient in patients if f"_{site}_" in patient.id
        }
        assert len(assignment) == len(patients)


# Families and their class.
FAMILIES = {"a": "HGG", "b": "HGG", "c": "HGG", "d": "HGG", "e": "LGG", "f": "LGG", "g": "LGG", "h": "LGG"}


def _families(families=FAMILIES, size=3):
    """Patients of families, whose ids are mixed."""
    patients = [
        dataclasses.replace(_patient(f"P{number}{family}", label), group=f"family {family}")
        for family, label in families.items()
        for number in range(size)
    ]
    return Cohort(patients, Classes.of(("LGG", "HGG")))


def _splits_of_groups(cohort, assignment):
    found = {}
    for patient in cohort.patients:
        found.setdefault(patient.group, set()).add(assignment[patient.id])
    return found


def test_a_group_is_in_one_split():
    cohort = _families()
    for seed in range(5):
        assignments = [splits.split_patients(cohort, validation_fraction=0.2, test_fraction=0.3, seed=seed)]
        assignments += splits.fold_patients(cohort, 4, validation_fraction=0.3, seed=seed)
        for assignment in assignments:
            assert sorted(assignment) == sorted(patient.id for patient in cohort.patients)
            assert all(len(found) == 1 for found in _splits_of_groups(cohort, assignment).values())
            counts = _counts(cohort, assignment)
            assert counts == {"HGG": (6, 3, 3), "LGG": (6, 3, 3)}


def test_names_of_groups_play_no_part():
    """What is drawn depends on ids; patients who are groups of one are split as patients without groups."""
    cohort = _cohort(18, 22)
    named = [dataclasses.replace(patient, group=f"g{hash(patient.id)}") for patient in cohort.patients]
    alone = cohort._replace(patients=named)
    assert splits.split_patients(alone, seed=2) == splits.split_patients(cohort, seed=2)
    folds = [splits.fold_patients(one, 5, validation_fraction=0.2, seed=2) for one in (alone, cohort)]
    assert folds[0] == folds[1]


def test_what_was_drawn_stays():
    """Of version 0.1: patient to split and fold, for seed 3."""
    cohort = _cohort(4, 4)
    split = splits.split_patients(cohort, validation_fraction=0.25, test_fraction=0.25, seed=3)
    assert "".join(split[patient.id][1] for patient in cohort.patients) == "earrrrae"  # train, validation or test
    folds = splits.fold_patients(cohort, 4, validation_fraction=0.25, seed=3, repeat=1)
    assert ["".join(fold[patient.id][1] for patient in cohort.patients) for fold in folds] == [
        "earrearr",
        "raeraerr",
        "reraarer",
        "arrerare",
    ]


def test_a_group_of_both_classes_counts_for_the_class_of_most():
    cohort = _families()
    odd = [dataclasses.replace(p, label="LGG") if p.id in ("P0a", "P1b", "P2b") else p for p in cohort.patients]
    groups = groups_of(cohort._replace(patients=odd))
    assert [group.key for group in groups["HGG"]] == ["P0a", "P0c", "P0d"]
    assert [group.key for group in groups["LGG"]] == ["P0b", "P0e", "P0f", "P0g", "P0h"]
    even = Cohort([_patient("1", "HGG"), _patient("2", "LGG"), _patient("3", "LGG")], cohort.classes)
    pair = [dataclasses.replace(patient, group="x") for patient in even.patients[:2]]
    assert groups_of(even._replace(patients=[*pair, even.patients[2]]))["HGG"] == [("1", "HGG", ("1", "2"))]


def test_a_tie_that_leaves_a_class_without_groups_is_named():
    """Each patient before and after a change: there are as many of each class, and all count as one."""
    patients = [
        dataclasses.replace(_patient(f"P{number}-{visit}", label), group=f"P{number}")
        for number in range(3)
        for visit, label in enumerate(("LGG", "HGG"))
    ]
    cohort = Cohort(patients, Classes.of(("LGG", "HGG")))
    named = r"the group P0 \(1 of class LGG, 1 of class HGG\) counts as \w+, as 2 more do, as a tie .*--group_column"
    with pytest.raises(InputError, match=f"^class [LH]GG: 0 groups of patients in --cohort, .*{named}"):
        splits.split_patients(cohort)
    with pytest.raises(InputError, match=f"--cv_folds=2, but --cohort has 0 .*{named}"):
        splits.fold_patients(cohort, 2, validation_fraction=0.2, seed=0)
    assert any("no group counts as class" in line for line in cohort_warnings.groups(patients, cohort.classes))
    few = _families({"a": "HGG", "b": "HGG", "e": "LGG", "f": "LGG"}, size=9)
    assert not any("no group counts" in line for line in cohort_warnings.groups(few.patients, few.classes))
    with pytest.raises(InputError) as caught:
        splits.split_patients(few)
    assert "counts as" not in str(caught.value)


def test_numbers_of_test_patients_are_of_patients():
    cohort = _families()
    assignment = splits.split_patients(cohort, test_counts={"HGG": 3, "LGG": 6}, validation_fraction=0.25)
    assert {name: count[2] for name, count in _counts(cohort, assignment).items()} == {"HGG": 3, "LGG": 6}
    with pytest.raises(InputError, match="no group of patients is divided, .* give HGG:3,LGG:0; take that") as caught:
        splits.split_patients(cohort, test_counts={"HGG": 4, "LGG": 2})
    assert "--test_counts=HGG:4,LGG:2" in str(caught.value)


def test_too_few_groups():
    with pytest.raises(InputError, match="--cv_folds=5, but --cohort has 4 groups of patients of class LGG"):
        splits.fold_patients(_families(), 5, validation_fraction=0.2, seed=0)
    few = _families({"a": "HGG", "b": "HGG", "e": "LGG", "f": "LGG"}, size=9)
    with pytest.raises(InputError, match="LGG: 2 groups of patients in --cohort, but .* none to train on"):
        splits.split_patients(few)
    with pytest.raises(InputError, match="LGG: a fold leaves 1 group of patients, .* none is left to train on"):
        splits.fold_patients(few, 2, validation_fraction=0.2, seed=0)
