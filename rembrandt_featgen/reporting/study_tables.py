"""Tables of a study for other programs (CSV) and for a paper (LaTeX, booktabs)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rembrandt_featgen.reporting import checklist, measure_titles, records

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


def files(report: Mapping) -> dict[str, str]:
    """Name to text of every table of a study: arms and generators as .csv and .tex, and both checklists as .csv.

    Args:
      report: what a study's report.json holds; any key may be missing or None.
    """
    return {name: write(report) for name, write in _FILES.items()}


def arms_csv(report: Mapping) -> str:
    """A row for each arm and unit with all measures in full precision; what is not defined is empty."""
    names = records.class_names(report)
    keys = [measure.key for measure in measure_titles.arm_measures(names)]
    header = ["unit", "kind", "arm", "classifier", *(f"n_{name}" for name in names)]
    header += [name for key in keys for name in (key, f"{key}_ci95_low", f"{key}_ci95_high")]
    header += [
        "difference_against",
        "difference",
        "difference_ci95_low",
        "difference_ci95_high",
        "p_value",
        "p_adjusted",
    ]
    rows = []
    for unit in records.UNITS:
        for row in records.arms(report, unit):
            difference = row.get("difference_to_best_classical")
            cells = [unit, records.kind(row), row.get("arm"), row.get("classifier")]
            cells += [records.dig(row, "n", name) for name in names]
            for key in keys:
                cells += [records.value(row, key), *(records.bounds(row, key) or (None, None))]
            cells += [records.dig(difference, "against"), records.finite(records.dig(difference, "difference"))]
            cells += records.pair(records.dig(difference, "ci95")) or (None, None)
            cells += [records.finite(records.dig(difference, name)) for name in ("p_value", "p_adjusted")]
            rows.append(cells)
    return csv_text(header, rows)


def generators_csv(report: Mapping) -> str:
    """A row for each generator: all measures, their standard deviation over folds, and the audit of memorisation."""
    measures = _of_generators(report)
    header = ["arm", "memorisation_memorised"]
    header += [name for m in measures for name in (m.key.replace(".", "_"), f"{m.key.replace('.', '_')}_sd")]
    rows = [
        [
            row.get("arm"),
            records.dig(row, "memorisation", "memorised"),
            *(records.value(row, key) for m in measures for key in (m.key, f"{m.key}_sd")),
        ]
        for row in records.entries(report, "generators")
    ]
    return csv_text(header, rows)


def arms_table(report: Mapping) -> Table:
    """Arms by kind: measures per patient with their intervals, and the difference to the reference."""
    rows, names = records.arms(report), records.class_names(report)
    titles = {measure.key: measure.title for measure in measure_titles.arm_measures(names)}
    # Whether the interval of each fits in; the CSV has all measures and intervals.
    printed = {
        **{f"accuracy_{name}": False for name in names},
        "balanced_accuracy": True,
        "auroc": True,
        "brier": False,
        "ece": False,
    }
    groups: dict[str, list] = {}
    for row in rows:
        difference = row.get("difference_to_best_classical")
        bounds = records.pair(records.dig(difference, "ci95"))
        gap = _cell(records.finite(records.dig(difference, "difference")), bounds, "+.3f")
        groups.setdefault(records.KINDS[records.kind(row)], []).append(
            [
                records.name(row, rows),
                *(
                    _cell(records.value(row, key), records.bounds(row, key) if wide else None)
                    for key, wide in printed.items()
                ),
                "reference" if records.is_reference(report, row) else gap,
                records.p_text(records.dig(difference, "p_adjusted")),
            ]
        )
    total = records.total(records.dig(report, "cohort", "patients"))
    return Table(
        f"Arms of the study{f', {total} patients' if total else ''}. All measures are per patient, out of fold; in "
        "brackets 95% bootstrap intervals over patients. The difference is that of balanced accuracy to the reference "
        "arm, paired over patients, with Holm-adjusted p.",
        "tab:arms",
        ["Arm", *(titles[key] for key in printed), "Difference", "p"],
        groups=list(groups.items()),
    )


def generators_table(report: Mapping) -> Table:
    """Measures in rows, generators in columns: means over folds with their standard deviation."""
    rows = records.entries(report, "generators")
    lines = [[measure.title, *(_spread(row, measure) for row in rows)] for measure in _of_generators(report)]
    answers = {True: "yes", False: "no"}
    memorised = [answers.get(records.dig(row, "memorisation", "memorised"), "") for row in rows]
    lines.append(["Memorises training features", *memorised])
    return Table(
        "Generators of features: mean over folds, with the standard deviation over folds where it is known.",
        "tab:generators",
        ["Measure", *(str(row.get("arm")) for row in rows)],
        groups=[("", lines)],
    )


def _of_generators(report: Mapping) -> tuple[measure_titles.Measure, ...]:
    """Measures of generators, in the order of the tables."""
    return measure_titles.generator_measures(records.class_names(report)) + measure_titles.MEMORISATION_MEASURES


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


def _cell(value: float | None, bounds: tuple[float, float] | None, form: str = ".3f") -> str:
    """ "0.712 [0.640, 0.781]"; a dash where it is not defined."""
    if value is None:
        return "\N{EN DASH}"
    text = f"{value:{form}}" + (f" [{bounds[0]:{form}}, {bounds[1]:{form}}]" if bounds else "")
    return text.replace("-", "\N{MINUS SIGN}")


def _spread(row: Mapping, measure: measure_titles.Measure) -> str:
    """ "0.712 (0.031)"; a dash where it is not defined."""
    value, deviation = records.value(row, measure.key), records.value(row, f"{measure.key}_sd")
    text = "" if value is None or deviation is None else f" ({deviation:{measure.form}})"
    return _cell(value, None, measure.form) + text


def csv_text(header: Iterable[str], rows: Iterable[Iterable]) -> str:
    """Header and rows as CSV; None is empty, floats keep all digits."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()


_FILES = {
    "arms.csv": arms_csv,
    "arms.tex": lambda report: latex(arms_table(report)),
    "generators.csv": generators_csv,
    "generators.tex": lambda report: latex(generators_table(report)),
    "checklist_claim.csv": lambda report: csv_text(checklist.Item._fields, checklist.claim(report)),
    "checklist_tripod_ai.csv": lambda report: csv_text(checklist.Item._fields, checklist.tripod(report)),
}
NAMES = tuple(_FILES)  # of the files that belong beside the page
