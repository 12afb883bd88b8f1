"""Tables as text: CSV for other programs, LaTeX (booktabs) for a paper."""

from __future__ import annotations

import csv
import io
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
    """Text with LaTeX's special characters made harmless."""
    return "".join(_SPECIALS.get(character, character) for character in str(text))


def _line(cells: Sequence[str]) -> str:
    return " & ".join(map(escape, cells)) + r" \\"


def cell(value: float | None, bounds: tuple[float, float] | None, form: str = ".3f") -> str:
    """ "0.712 [0.640, 0.781]" with a true minus sign; a dash where it is not defined."""
    if value is None:
        return "\N{EN DASH}"
    text = f"{value:{form}}" + (f" [{bounds[0]:{form}}, {bounds[1]:{form}}]" if bounds else "")
    return text.replace("-", "\N{MINUS SIGN}")


def csv_text(header: Iterable[str], rows: Iterable[Iterable]) -> str:
    """Header and rows as CSV; None is empty, floats keep all digits."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()
