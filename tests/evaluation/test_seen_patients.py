import numpy as np
import pytest

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import seen_patients
from rembrandt_featgen.evaluation.studies import table_of
from tests.evaluation.unbalanced import cohort


def test_patients_of_the_study_are_recognised_under_any_name():
    x, y = cohort(20)
    table = table_of(x, y, groups=[f"p{n}" for n in range(20)])
    seen = seen_patients.record(table)
    assert "p3" not in str(seen)
    others, labels = cohort(20, seed=1)
    seen_patients.refuse(table_of(others, labels, groups=[f"q{n}" for n in range(20)]), seen, "--test_features=f")
    with pytest.raises(
        InputError, match="--test_features=f has 1 patient whose id or group was in the study .*: P3 ; .*"
    ):
        seen_patients.refuse(table_of(others, labels, groups=["P3 ", *range(19)]), seen, "--test_features=f")
    others[5] = x[9]
    assert np.isnan(others[5]).any()
    with pytest.raises(InputError, match="has 1 patient with all values of a sample that was in the study .*: q5"):
        seen_patients.refuse(table_of(others, labels, groups=[f"q{n}" for n in range(20)]), seen, "--test_features=f")


def test_values_that_many_have_are_no_sign():
    y = np.array(["a", "b"] * 6)
    seen = seen_patients.record(table_of(np.arange(12)[:, None] % 5, y))
    others = table_of(np.zeros((12, 1)), y, groups=[f"q{n}" for n in range(12)])
    assert seen_patients.refuse(others, seen, "--test_features=f") is None


def test_values_of_maps_are_not_even_looked_at(monkeypatch):
    table = table_of(np.ones((12, 2, 2, 1)), np.array(["a", "b"] * 6))
    monkeypatch.delattr(seen_patients, "_of_values")
    assert seen_patients.record(table)["values"] == []
