import pytest

from rembrandt_featgen.cohort import layouts, modality_names
from tests.cohort.refusals import refused


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("flair", "t2f"),
        ("FLAIR", "T2-FLAIR"),
        ("t1ce", "T1Gd"),
        ("t1c", "T1GAD"),
        ("t1", "t1n"),
        ("T1w", "t1"),
        ("t2", "T2w"),
    ],
)
def test_names_of_one_modality(one, other):
    assert modality_names.same(one, other)
    assert modality_names.position(["ct", other], one) == 1


@pytest.mark.parametrize(("one", "other"), [("t1", "t1ce"), ("t2", "t2f"), ("flair", "t2"), ("ct", "pet")])
def test_names_of_two(one, other):
    assert not modality_names.same(one, other)
    assert modality_names.position([other], one) is None


def test_the_same_spelling_comes_first():
    assert modality_names.position(["t1c", "T1ce"], "t1ce") == 1


def test_one_modality_twice(tmp_path):
    refused(lambda: layouts.find_cohort(tmp_path, modalities=("flair", "t2f")), "--modalities=flair,t2f", "one twice")
