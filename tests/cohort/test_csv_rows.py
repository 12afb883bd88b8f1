import pytest

from rembrandt_featgen.cohort import csv_rows
from tests.cohort.refusals import refused


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b\n1,2\n", [["a", "b"], ["1", "2"]]),
        ("a;b\n1;2,5\n", [["a", "b"], ["1", "2,5"]]),  # a decimal comma
        ("a, in years\tb; c; d\n1\t2\n", [["a, in years", "b; c; d"], ["1", "2"]]),
        ("a;notes, if any, or none\n1;x\n", [["a", "notes, if any, or none"], ["1", "x"]]),
        ('"a;b";"c"\n1;2\n', [["a;b", "c"], ["1", "2"]]),
        ("a,b,c;d\n1,2\n", [["a", "b", "c;d"], ["1", "2"]]),  # a cell is missing, which is for others to say
        ("patient\nP1\n", [["patient"], ["P1"]]),
        ('"patient"\n"a;b"\n', [["patient"], ["a;b"]]),
        ("", []),
    ],
)
def test_the_separator_is_that_of_the_file(tmp_path, text, rows):
    (tmp_path / "t.csv").write_text(text)
    assert [cells for _, cells in csv_rows.read_lines(tmp_path / "t.csv", "--cohort:")] == rows


def test_what_no_separator_reads(tmp_path):
    (tmp_path / "t.csv").write_text('a,"b\n1,2\n')
    refused(lambda: csv_rows.read_lines(tmp_path / "t.csv", "--x:"), tmp_path / "t.csv", "--x", "not readable as CSV")
