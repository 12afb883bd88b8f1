import numpy as np

from rembrandt_featgen.evaluation.studies import table_of
from rembrandt_featgen.evaluation.table_warnings import warnings_of


def table(n=24):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(n, 4)), np.arange(n) % 2
    return x, y


def test_nothing_is_said_of_a_usual_table():
    assert warnings_of(table_of(*table())) == []


def test_a_copy_of_the_label_is_named():
    x, y = table()
    x[:, 2] = y
    x[0, 2] = np.nan
    (line,) = warnings_of(table_of(x, y))
    assert line.startswith("Column 2 alone tells the classes apart without an error")
    assert warnings_of(table_of(x[:12], y[:12])) == []  # six of each class: chance can do that


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
