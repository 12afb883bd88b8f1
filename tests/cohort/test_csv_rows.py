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


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
@pytest.mark.parametrize("text", ["patient,label\nJürgen,0\n", "patient,label\nP1,0\n"])
def test_other_encodings_are_refused_in_one_line(tmp_path, encoding, text):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(encoding))
    if encoding == "latin-1" and text.isascii():
        assert len(csv_rows.read_lines(path, "--labels_table")) == 2
    else:
        refused(
            lambda: csv_rows.read_lines(path, "--labels_table"), f"--labels_table {path}", "save it as CSV in UTF-8"
        )


def test_columns_without_end_are_refused(tmp_path):
    """Each of them may be that of the patients, whose ids are compared with all of its cells."""
    most, path = csv_rows._MOST_COLUMNS, tmp_path / "t.csv"
    path.write_text(",".join(map(str, range(most))) + "\n" + "," * (most - 1) + "\n")
    assert len(csv_rows.read_lines(path, "--labels_table")[0][1]) == most == 10_000
    path.write_text("patient," + path.read_text())
    refused(lambda: csv_rows.read_lines(path, "--labels_table"), f"--labels_table {path}", "10001 columns", "leave out")
