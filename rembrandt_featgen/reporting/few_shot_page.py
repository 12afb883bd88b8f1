"""A few-shot study as a self-contained HTML page, and all files of its folder."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from rembrandt_featgen.reporting import arm_words, few_shot_tables, generator_tables, page, records, verdict_records
from rembrandt_featgen.reporting.drawing import GREY, SERIES, Figure, canvas, floats, styled
from rembrandt_featgen.reporting.page import Place

JSON = "report.json"
_PLACES = {"shots": Place("arms", "AUROC by number of patients.", "AUROC by number of patients.")}
_MARKERS = ("o", "D", "s", "^", "v", "P")


def write(folder: Path, report: Mapping, title: str, *, links: Mapping[str, str] = MappingProxyType({})) -> None:
    """Writes report.json, index.html and the tables.

    Args:
      folder: that is there.
      report: as JSON takes it, see `few_shot_report`.
      title: of the page.
      links: label to path, relative to the page, of what else belongs to the study.
    """
    tables, made = few_shot_tables.files(report), functools.partial(render, report)
    page.write(folder, report, made, tables=tables, title=title, links=links, name=JSON)


def render(report: Mapping, context: Mapping | None = None) -> str:
    """The page, without any reference to the network and without scripts.

    Args:
      report: what report.json holds; any key may be missing.
      context: as for `study_page.render`.
    """
    rows = records.entries(report, "rows")
    groups: dict[str, list[Mapping]] = {}
    for row in rows:
        groups.setdefault(str(row.get("classifier")), []).append(row)
    words = {**arm_words.ARMS, **arm_words.JUDGED}
    return page.render(
        "few_shot.html.j2",
        report,
        draw(report),
        places=_PLACES,
        context={"links": {JSON: JSON}, **(context or {})},
        tone=verdict_records.tone(report),
        unit=few_shot_tables.unit(report),
        cut=str(report.get("cut") or "the minority class"),
        contrasts=verdict_records.compared(report),
        curves=records.entries(report, "curves"),
        groups=groups,
        records=records,
        generators=generator_tables.lines(generator_tables.rows_of(report)),
        generator_arms=generator_tables.names(generator_tables.rows_of(report)),
        verdicts=verdict_records,
        acceptance=few_shot_tables.accepted(report),
        glossary={str(row["arm"]): words[str(row["arm"])] for row in rows if row.get("arm") in words},
    )


def draw(report: Mapping) -> dict[str, Figure]:
    """A figure "shots_<classifier>" of each classifier that has rows."""
    figures = {}
    unit = few_shot_tables.unit(report)
    rows, curves = records.entries(report, "rows"), records.entries(report, "curves")
    for classifier in dict.fromkeys(str(row.get("classifier")) for row in rows):
        arms: dict[str, list[Mapping]] = {}
        for row in rows:
            if str(row.get("classifier")) == classifier and row.get("arm") not in ("none", "oracle"):
                arms.setdefault(str(row.get("arm")), []).append(row)
        real = [point for one in curves if str(one.get("classifier")) == classifier for point in _points(one)]
        if not real and not arms:
            continue
        figures[f"shots_{classifier}"] = Figure(
            curve(real, arms, unit=unit),
            f"AUROC of {len(arms)} arm{'s' * (len(arms) != 1)} of {classifier} by the number of {unit} of the class of "
            "which few are trained on, with the curve of real patients; the numbers are in the table of all arms.",
            f"{classifier}: AUROC per patient by the number of {unit} of class {report.get('cut') or 'that is rare'} "
            "to train on. Grey: real samples alone with 95% intervals, the last point with the patients in reserve. An "
            "arm is worth as many patients as the grey line lies to its right.",
        )
    return figures


@styled
def curve(real: Sequence[Mapping], arms: Mapping[str, Sequence[Mapping]], *, unit: str) -> bytes:
    """The curve of real patients, and a line for each arm.

    Args:
      real: points, of "patients", "auroc" and "ci95".
      arms: name to its rows, of "shots" and "auroc".
      unit: what shots count.
    """
    figure, ((ax,),) = canvas(8.4, 4.6)
    x = floats([point.get("patients") for point in real])
    low, high = floats([records.pair(point.get("ci95")) or (None, None) for point in real]).reshape(-1, 2).T
    ax.fill_between(x, low, high, color=GREY, alpha=0.15, lw=0)
    ax.plot(x, floats([point.get("auroc") for point in real]), "s-", color=GREY, lw=2.2, ms=6, label="real patients")
    for number, (arm, rows) in enumerate(arms.items()):
        colour, style = SERIES[number % len(SERIES)]
        places = floats([row.get("shots") for row in rows])
        values = floats([row.get("auroc") for row in rows])
        marker = _MARKERS[(number + number // len(SERIES)) % len(_MARKERS)]
        ax.plot(places, values, marker, ls=style, color=colour, lw=1.3, ms=5, label=arm)
    ticks = np.unique([*x, *(row["shots"] for rows in arms.values() for row in rows if row.get("shots"))])
    ax.set_xscale("log")
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.set(xlabel=f"{unit.capitalize()} of the class to train on (logarithmic)", ylabel="AUROC per patient")
    figure.legend(loc="outside right upper", fontsize=9)
    return figure


def _points(curve_of: Mapping) -> Sequence[Mapping]:
    return records.entries(curve_of, "points")
