"""Tables as text: CSV for people and other programs, LaTeX (booktabs) for a paper.

Names in them are those of files, whatever these say: LaTeX's special characters are escaped, and a cell of CSV that a
spreadsheet program would run as a formula begins with an apostrophe, which such a program shows as text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_SPECIALS = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
}
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_FORMULAS = ("=", "+", "-", "@", "\t")
_NUMBER = re.compile(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?%?")


class Table(NamedTuple):
    """A table for a paper."""

    caption: str
    label: str
    header: Sequence[str]  # plain text, as all cells
    groups: Sequence[tuple[str, Sequence[Sequence[str]]]]  # heading ("" for none) and rows of cells


def latex(table: Table) -> str:
    r"""The table as a `table*` float with booktabs rules; needs \usepackage{booktabs,graphicx}."""
    columns = len(table.header)
    lines = [
        "% Needs \\usepackage{booktabs,graphicx}.",
        "\\begin{table*}",
        "\\centering",
        f"\\caption{{{escape(table.caption)}}}",
        f"\\label{{{table.label}}}",
        "\\resizebox{\\ifdim\\width>\\textwidth\\textwidth\\else\\width\\fi}{!}{%",
        f"\\begin{{tabular}}{{l{'r' * (columns - 1)}}}",
        "\\toprule",
        _line(table.header),
    ]
    for heading, rows in table.groups:
        lines.append("\\midrule")
        if heading:
            lines.append(f"\\multicolumn{{{columns}}}{{l}}{{\\textit{{{escape(heading)}}}}} \\\\")
        lines += [_line(row) for row in rows]
    lines += ["\\bottomrule", "\\end{tabular}}", "\\end{table*}", ""]
    return "\n".join(lines)


def escape(text: str) -> str:
    """Text with LaTeX's special characters made harmless, in one line."""
    line = _CONTROLS.sub(" ", str(text))
    return "".join(_SPECIALS.get(character, character) for character in line)


def _line(cells: Sequence[str]) -> str:
    line = " & ".join(map(escape, cells)) + r" \\"
    return f"{{}}{line}" if line.startswith(("[", "*")) else line  # which would belong to the line break before


def cell(value: float | None, bounds: tuple[float, float] | None, form: str = ".3f") -> str:
    """ "0.712 [0.640, 0.781]" with a true minus sign; a dash where it is not defined."""
    if value is None:
        return "\N{EN DASH}"
    text = f"{value:{form}}" + (f" [{bounds[0]:{form}}, {bounds[1]:{form}}]" if bounds else "")
    return text.replace("-", "\N{MINUS SIGN}")


def csv_text(header: Iterable[str], rows: Iterable[Iterable]) -> str:
    """Header and rows as CSV; None is empty, floats keep all digits, and no cell is a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([_harmless(value) for value in row] for row in [header, *rows])
    return buffer.getvalue()


def _harmless(value):
    """A cell that no spreadsheet program runs: text that begins as a formula does, and is no number, is quoted."""
    if not isinstance(value, str):
        return value
    text = value.replace("\r", " ")  # which the writer does not quote
    return f"'{text}" if text.startswith(_FORMULAS) and not _NUMBER.fullmatch(text) else text
