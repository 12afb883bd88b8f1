"""The pool of several studies as a self-contained HTML page, and all files of its folder."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rembrandt_featgen.reporting import arm_words, generator_tables, page, pooled_tables, records, verdict_records
from rembrandt_featgen.reporting.drawing import GREY, Figure, canvas, clipped, styled
from rembrandt_featgen.reporting.page import Place
from rembrandt_featgen.reporting.study_plots import MARKS

JSON = "pooled.json"
_PLACES = {"forest": Place("arms", "Forest plot.", "Mean difference over data sets.")}


def write(folder: Path, report: Mapping, title: str) -> None:
    """Writes pooled.json, index.html and the tables.

    Args:
      folder: that is there.
      report: as JSON takes it, see `pooled_studies.pooled_report`.
      title: of the page.
    """
    tables, made = pooled_tables.files(report), functools.partial(render, report)
    page.write(folder, report, made, tables=tables, title=title, links={}, name=JSON)


def render(report: Mapping, context: Mapping | None = None) -> str:
    """The page, without any reference to the network and without scripts.

    Args:
      report: what pooled.json holds; any key may be missing.
      context: as for `study_page.render`.
    """
    pools = records.entries(report, "pools")
    arms = [one for one in pools if one.get("of") == "arm"]
    arms.sort(key=lambda one: list(records.KINDS).index(records.kind(one)))
    named = {str(one.get("arm")): one for one in arms}
    figures = {}
    if named:
        figures["forest"] = Figure(
            forest(named),
            "Forest plot of the pooled difference of AUROC of each arm to none; its numbers are in the table below.",
            "Pooled difference of AUROC to real samples alone: mean over data sets with bounds for all arms at once. "
            "Small marks: the true difference of each data set, as estimated with the others.",
        )
    return page.render(
        "pooled.html.j2",
        report,
        figures,
        places=_PLACES,
        context={"links": {JSON: JSON}, **(context or {})},
        tone=verdict_records.tone(report),
        contrasts=[one for one in pools if one.get("of") == "contrast"],
        arms=arms,
        cells=[one for one in pools if one.get("of") == "cell"],
        studies=records.entries(report, "studies"),
        records=records,
        generators=generator_tables.lines(generator_tables.rows_of(report)),
        generator_arms=generator_tables.names(generator_tables.rows_of(report)),
        glossary={name: arm_words.ARMS[name] for name in named if name in arm_words.ARMS},
    )


@styled
def forest(by_arm: Mapping[str, Mapping]) -> bytes:
    """A line for each arm: the pooled mean, its bounds, and a mark for each data set.

    Args:
      by_arm: arm to its pool.
    """
    figure, ((ax,),) = canvas(8.4, 0.34 * len(by_arm) + 1.0)
    for place, one in enumerate(by_arm.values()):
        colour, marker = MARKS[records.kind(one)]
        apart = verdict_records.side_of_zero(one) in ("higher", "lower")
        for each in _true(one):
            ax.plot(each, place + 0.22, "|", color=GREY, ms=6)
        bounds, mean = records.pair(one.get("simultaneous95")), records.finite(one.get("mean"))
        if bounds:
            ax.plot(bounds, [place, place], color=colour, lw=2, solid_capstyle="butt")
        if mean is not None:
            ax.plot(mean, place, marker, color=colour, ms=6.5, mfc=colour if apart else "white", mew=1.6)
            text = pooled_tables.gap(mean, bounds) + f"  {one.get('word') or ''}"
            ax.text(1.02, place, text, transform=ax.get_yaxis_transform(), va="center", fontsize=9)
    ax.axvline(0.0, color=GREY, lw=1.2, ls="--")
    ax.set(ylim=(len(by_arm) - 0.4, -0.6), xlabel="Difference of AUROC to real samples alone")
    ax.set_yticks(np.arange(len(by_arm)), [clipped(name, 30) for name in by_arm])
    ax.grid(False, axis="y")
    return figure


def _true(one: Mapping) -> Sequence[float]:
    known = records.dig(one, "true") or {}
    return [mean for each in known.values() if (mean := records.finite(records.dig(each, "mean"))) is not None]
