"""Tables of pooled studies: for other programs (CSV) and for a paper (LaTeX)."""

from __future__ import annotations

from collections.abc import Mapping

from rembrandt_featgen.reporting import generator_tables, records
from rembrandt_featgen.reporting.table_text import Table, cell, csv_text, latex

_NAMES = ("of", "arm", "kind", "classifier", "shots", "word")
_NUMBERS = ("data_sets", "tasks", "mean")
_INTERVALS = ("ci95", "simultaneous95")
_NEXT = ("below", "within", "above")
_ENDS = ("r_hat", "effective_size")
_TASK = ("data_set", "contrast", "arm", "kind", "classifier", "shots", "difference", "error", "degrees", "trainings")


def files(report: Mapping) -> dict[str, str]:
    """File name to text: pooled.csv, pooled_tasks.csv, pooled.tex, and of few-shot studies pooled_generators.csv."""
    made = {"pooled.csv": pooled_csv(report), "pooled_tasks.csv": tasks_csv(report), "pooled.tex": latex(table(report))}
    if generator_tables.rows_of(report):
        made["pooled_generators.csv"] = generator_tables.generators_csv(report)
        made["pooled.tex"] += latex(generator_tables.generators_table(report))
    return made


def pooled_csv(report: Mapping) -> str:
    """A row for each contrast, arm and cell, in full precision."""
    header = [*_NAMES, *_NUMBERS, *(f"{name}_{end}" for name in _INTERVALS for end in ("low", "high"))]
    header += ["spread", "spread_ci95_low", "spread_ci95_high", *(f"next_{name}" for name in _NEXT), *_ENDS]
    rows = []
    for one in records.entries(report, "pools"):
        row = [one.get(name) for name in _NAMES] + [records.finite(one.get(name)) for name in _NUMBERS]
        for name in _INTERVALS:
            row += records.pair(one.get(name)) or (None, None)
        row += [records.finite(one.get("spread")), *(records.pair(one.get("spread_ci95")) or (None, None))]
        row += [records.finite(records.dig(one, "next", name)) for name in _NEXT]
        rows.append(row + [records.finite(one.get(name)) for name in _ENDS])
    return csv_text(header, rows)


def tasks_csv(report: Mapping) -> str:
    """A row for each difference that was pooled, in full precision."""
    header = [*_TASK, "ci95_low", "ci95_high"]
    rows = [
        [*(one.get(name) for name in _TASK), *(records.pair(one.get("ci95")) or (None, None))]
        for one in records.entries(report, "tasks")
    ]
    return csv_text(header, rows)


def table(report: Mapping) -> Table:
    """Contrasts and arms: mean over data sets, spread, and what the next data set will show."""
    groups = []
    for family, heading in (("contrast", "With generation against without"), ("arm", "Arm against real samples alone")):
        rows = [
            [
                str(one.get("classifier") if family == "contrast" else one.get("arm")),
                str(one.get("word") or ""),
                str(one.get("data_sets") or ""),
                gap(records.finite(one.get("mean")), records.pair(one.get("simultaneous95"))),
                cell(records.finite(one.get("spread")), records.pair(one.get("spread_ci95"))),
                *(cell(records.finite(records.dig(one, "next", name)), None, ".2f") for name in _NEXT),
            ]
            for one in records.entries(report, "pools")
            if one.get("of") == family
        ]
        if rows:
            groups.append((heading, rows))
    margin = records.finite(report.get("margin"))
    return Table(
        "Differences of AUROC per patient over data sets, without classifiers of a fixed strength (hierarchical "
        "model of Corani, Benavoli et al. 2017): mean, "
        "in brackets its 95% interval, for all arms or classifiers at once; spread over data sets; probability that "
        "the true difference of the next data set is below, within and above the margin"
        + (f" of {margin:g}." if margin is not None else "."),
        "tab:pooled",
        ["", "Word", "Data sets", "Mean difference", "Spread", "Next: harmed", "within", "helped"],
        groups=groups,
    )


def gap(value: float | None, bounds: tuple[float, float] | None) -> str:
    """A difference with its sign, and its bounds."""
    return cell(value, bounds, "+.3f")
