"""Each generator of few-shot studies against the best without one, as CSV, LaTeX, and lines for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rembrandt_featgen.reporting import contrast_tables, records
from rembrandt_featgen.reporting.table_text import Table, cell, csv_text

CHOSEN = "chosen"  # heading of what inner folds choose among all generators and classifiers
_NAMES = ("shots", "classifier", "arm", "word")


class Line(NamedTuple):
    """The generators of a classifier at a number of shots.

    Attributes:
      data_set: "" where there is one alone.
      classifier, shots: as in the rows.
      by_arm: arm, or `CHOSEN`, to its row.
    """

    data_set: str
    classifier: str
    shots: str
    by_arm: Mapping[str, Mapping]


def rows_of(report: Mapping) -> list[Mapping]:
    """Rows of "against_best" of a report.json or pooled.json; none where there is no such thing."""
    return records.entries(records.dig(report, "against_best") or {}, "rows")


def names(rows: Sequence[Mapping]) -> list[str]:
    """Arms in their order, `CHOSEN` first."""
    known = dict.fromkeys(_name(row) for row in rows)
    return sorted(known, key=lambda name: name != CHOSEN)


def lines(rows: Sequence[Mapping]) -> list[Line]:
    """A line for each data set, classifier and number of shots."""
    found: dict[tuple[str, str, str], dict[str, Mapping]] = {}
    for row in rows:
        data_set, classifier, shots = (str(row.get(name) or "") for name in ("data_set", "classifier", "shots"))
        found.setdefault((data_set, classifier, shots), {})[_name(row)] = row
    return [Line(*key, by_arm=by_arm) for key, by_arm in found.items()]


def generators_csv(report: Mapping) -> str:
    """A row for each generator, classifier and number of shots, in full precision."""
    rows = rows_of(report)
    columns = [*(("data_set",) if any(row.get("data_set") for row in rows) else ()), *_NAMES]
    header = [*columns, *contrast_tables.columns("auroc_difference"), *contrast_tables.columns("to_none")]
    return csv_text(
        header,
        [
            [
                *(row.get(name) for name in columns),
                *contrast_tables.cells(row.get("difference")),
                *contrast_tables.cells(row.get("difference_to_none")),
            ]
            for row in rows
        ],
    )


def generators_table(report: Mapping) -> Table:
    """A line for each classifier and number of shots, a column for each generator."""
    rows = rows_of(report)
    arms = names(rows)
    groups: dict[str, list[list[str]]] = {}
    for line in lines(rows):
        groups.setdefault(line.data_set, []).append(
            [f"{line.classifier}, {line.shots}", *(_text(line.by_arm.get(arm)) for arm in arms)]
        )
    return Table(
        "Each generator against the best that is had without one: difference of AUROC per patient, by classifier and "
        "number of patients, or of groups, of the class that is cut. The rival is what inner folds choose, in each "
        "draw, among all pipelines of the same classifier, of any strength, that generate nothing. In brackets: the "
        "same to real samples alone. A star: helped, or harmed, with bounds that hold for all cells at once.",
        "tab:generators",
        ["", *arms],
        groups=list(groups.items()),
    )


def _name(row: Mapping) -> str:
    return str(row.get("arm") or CHOSEN)


def _text(row: Mapping | None) -> str:
    if not row:
        return ""
    gap, to_none = (records.finite(records.dig(row, key, "difference")) for key in ("difference", "difference_to_none"))
    return f"{cell(gap, None, '+.3f')}{'*' * is_decided(row)} ({cell(to_none, None, '+.3f')})"


def is_decided(row: Mapping) -> bool:
    """Whether a generator helped or harmed."""
    return row.get("word") in ("helped", "harmed")
