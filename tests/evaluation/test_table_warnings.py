import dataclasses
import warnings

import numpy as np

from rembrandt_featgen.evaluation.studies import table_of
from rembrandt_featgen.evaluation.table_warnings import near_twins, of_components, warnings_of


def table(n=24):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(n, 4)), np.arange(n) % 2
    return x, y


def test_many_components_of_few_samples_are_warned_of():
    (line,) = of_components(20, [90, 40])
    assert line.startswith("--components=20 of 40 training samples")
    assert not of_components(19, [90, 40]) and not of_components(0, [4])


def test_nothing_is_said_of_a_usual_table():
    assert warnings_of(table_of(*table())) == []


def test_a_copy_of_the_label_is_named():
    x, y = table()
    x[:, 2] = y
    x[0, 2] = np.nan
    (line,) = warnings_of(table_of(x, y))
    assert line.startswith("Column 2 alone tells the classes apart without an error")
    x[:, 2] += 0.1 * np.random.default_rng(1).random(24)
    assert warnings_of(table_of(x[:12], y[:12])) == []  # six of each class: chance can do that


def test_of_few_patients_a_single_value_in_each_class_is_no_chance():
    x, y = table(8)
    x[:, 1] = 3.0 - y
    (line,) = warnings_of(table_of(x, y))
    assert line.startswith("Column 1 alone")
    assert warnings_of(table_of(x[:4], y[:4])) == []


def test_three_classes_in_ranges_of_their_own():
    x, _ = table(36)
    y = np.arange(36) % 3
    x[:, 1] = [5.0, -2.0, 9.0] @ np.eye(3)[y].T + 0.1 * x[:, 0]
    (line,) = warnings_of(table_of(x, y))
    assert line.startswith("Column 1 ")


def test_patients_with_the_same_numbers_are_named():
    x, y = table()
    x[2], x[20] = x[0], x[4]
    (line,) = warnings_of(table_of(x, y))
    assert line.startswith("2 pairs of patients have the same numbers (0 and 2; ")


def test_patients_with_nearly_the_same_numbers_are_named():
    """As where somebody rounded them; not of one group, nor where columns are few."""
    random = np.random.default_rng(0)
    x, y = 50 + random.normal(size=(60, 12)), np.arange(60) % 2
    x[7, 3] = np.nan
    assert warnings_of(table_of(x, y)) == []
    x[41] = np.round(x[7], 2)
    made = table_of(x, y)
    (line,) = warnings_of(made)
    assert line.startswith("1 pair of patients have nearly the same numbers (7 and 41): a patient under two names")
    with warnings.catch_warnings():  # numpy's, of a column that nobody has
        warnings.simplefilter("error")
        emptied = np.where(np.arange(12) == 5, np.float32("nan"), made.values)
        assert near_twins(dataclasses.replace(made, values=emptied)) == [("7", "41")]
    groups = np.where(np.arange(60) == 41, 7, np.arange(60))
    assert warnings_of(table_of(x, y, groups=groups)) == []
    assert warnings_of(table_of(x[:, 4:8], y)) == []
