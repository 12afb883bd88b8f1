import json
from pathlib import Path

import pytest

from rembrandt_featgen.cohort import split_files, splits
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.core.errors import InputError


def test_file_round_trip(tmp_path):
    labels = ["HGG"] * 6 + ["LGG"] * 5
    patients = [Patient(f"P{i:03d}", label=label, images={}, mask=Path("m")) for i, label in enumerate(labels)]
    cohort = Cohort(patients, Classes.of(("LGG", "HGG")))
    assignment = splits.split_patients(cohort)
    split_files.write_split(tmp_path / "split.json", assignment, cohort)
    assert split_files.read_split(tmp_path / "split.json") == assignment
    groups = json.loads((tmp_path / "split.json").read_text())
    assert {split: {name: len(ids) for name, ids in classes.items()} for split, classes in groups.items()} == {
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
        split_files.read_split(tmp_path / "split.json")
    assert len(str(caught.value).splitlines()) == 1


def test_a_patient_in_two_splits_of_a_file(tmp_path):
    groups = {split: {"HGG": ["a"], "LGG": []} for split in splits.SPLITS}
    (tmp_path / "split.json").write_text(json.dumps(groups))
    with pytest.raises(InputError, match="patient a"):
        split_files.read_split(tmp_path / "split.json")


def test_a_file_that_divides_a_group(tmp_path):
    patients = [Patient(name, "HGG", {}, mask=Path(), group=group) for name, group in zip("abcd", "1123")]
    cohort = Cohort(patients, Classes.of(("LGG", "HGG")))
    path = tmp_path / "split.json"
    split_files.write_split(path, dict(zip("abcd", ["test", "test", "train", "validation"])), cohort)
    assert split_files.read_split_of(path, cohort)["b"] == "test"
    split_files.write_split(path, dict(zip("abcd", ["test", "train", "train", "validation"])), cohort)
    with pytest.raises(InputError, match="split.json divides the group 1: patient a is in test, b in train; put all"):
        split_files.read_split_of(path, cohort)
