import csv
import io

import pytest

from rembrandt_featgen.reporting import table_text


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("a_b & 95% #1 $x$", r"a\_b \& 95\% \#1 \$x\$"),
        (r"{\x}", r"\{\textbackslash{}x\}"),
        ("~^<>", r"\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}"),
        ("two\nlines\x00", "two lines "),
        ("\N{MINUS SIGN}0.1 \N{EN DASH}", "$-$0.1 --"),
    ],
)
def test_escapes_what_is_special_to_latex(text, latex):
    assert table_text.escape(text) == latex


@pytest.mark.parametrize(
    ("value", "bounds", "text"),
    [
        (0.7121, (0.64, 0.781), "0.712 [0.640, 0.781]"),
        (-0.1, None, "\N{MINUS SIGN}0.100"),
        (None, (0.1, 0.2), "\N{EN DASH}"),
    ],
)
def test_cells(value, bounds, text):
    assert table_text.cell(value, bounds) == text


def test_csv_keeps_all_digits_and_leaves_empty_what_is_none():
    assert table_text.csv_text(["a", "b"], [[1 / 3, None]]) == f"a,b\n{1 / 3!r},\n"


@pytest.mark.parametrize("name", ['=HYPERLINK("http://x","y")', "+1-cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1"])
def test_no_cell_of_csv_is_a_formula(name):
    text = table_text.csv_text([name, "b"], [[name, "-0.5"], ["a\r=1", "+1e-3"], [-0.5, None]])
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows == [[f"'{name}", "b"], [f"'{name}", "-0.5"], ["a =1", "+1e-3"], ["-0.5", ""]]


@pytest.mark.parametrize("name", ["[2cm]", "*"])
def test_the_first_cell_of_latex_is_no_part_of_the_line_break_before(name):
    text = table_text.latex(table_text.Table("c", "tab:x", ["Arm"], [("", [["first"], [name]])]))
    assert f"first \\\\\n{{}}{name} \\\\\n" in text


def test_latex_has_a_rule_before_each_group():
    text = table_text.latex(table_text.Table("A & B", "tab:x", ["Arm", "p"], [("Kind_1", [["a%", "0.1"]]), ("", [])]))
    assert r"\caption{A \& B}" in text and r"\begin{tabular}{lr}" in text
    assert r"\multicolumn{2}{l}{\textit{Kind\_1}} \\" in text and r"a\% & 0.1 \\" in text
    assert text.count(r"\midrule") == 2
