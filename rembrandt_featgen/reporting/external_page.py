"""The report of a final model on another cohort, as a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping

from rembrandt_featgen.reporting import measure_titles, page, records, study_figures
from rembrandt_featgen.reporting.page import Place

UNDEFINED = "not defined: a class has no patient"
_PLACES = {"reliability": Place("calibration", "Reliability diagram.", "Observed against predicted.")}


def render(report: Mapping, context: Mapping | None = None) -> str:
    """The page, without any reference to the network and without scripts.

    Args:
      report: what report.json holds, see `external_report.report`.
      context: as for `study_page.render`.

    Returns:
      HTML text.
    """
    figures = {name: figure for name, figure in study_figures.draw(report).items() if name in _PLACES}
    rows = records.arms(report)
    expected = records.dig(report, "expected_performance") or {}
    columns = {"this cohort": rows[0]} if rows else {}
    columns |= {f"expected, {name}": row for name, row in expected.items() if isinstance(row, Mapping)}
    return page.render(
        "external.html.j2",
        report,
        figures,
        places=_PLACES,
        context={"links": {"report.json": "report.json"}, **(context or {})},
        tone="open",
        columns=columns,
        records=records,
        arm_measures=measure_titles.arm_measures(records.class_names(report)),
        UNDEFINED=UNDEFINED,
    )
