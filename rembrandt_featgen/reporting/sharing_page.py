"""What sharing synthetic patients loses and leaks, as a self-contained HTML page, and all files of its folder."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from rembrandt_featgen.reporting import arm_words, page, records, sharing_tables

JSON = "sharing.json"


def write(folder: Path, report: Mapping, title: str, *, links: Mapping[str, str] = MappingProxyType({})) -> None:
    """Writes sharing.json, index.html, sharing.csv and sharing.tex.

    Args:
      folder: that is there.
      report: as JSON takes it, see `sharing_report.sharing_report`.
      title: of the page.
      links: label to path, relative to the page, of what else is there.
    """
    tables, made = sharing_tables.files(report), functools.partial(render, report)
    page.write(folder, report, made, tables=tables, title=title, links=links, name=JSON)


def render(report: Mapping, context: Mapping | None = None) -> str:
    """The page, without any reference to the network and without scripts.

    Args:
      report: what sharing.json holds; any key may be missing.
      context: as for `study_page.render`.
    """
    generators = records.entries(report, "generators")
    known = [str(one.get("generator")) for one in generators]
    return page.render(
        "sharing.html.j2",
        report,
        {},
        places={},
        context={"links": {JSON: JSON}, **(context or {})},
        tone="open",
        generators=generators,
        attacks=sharing_tables.ATTACKS,
        records=records,
        glossary={name: arm_words.ARMS[name] for name in known if name in arm_words.ARMS},
    )
