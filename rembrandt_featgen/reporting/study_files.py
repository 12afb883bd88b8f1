"""The files of a study's report: JSON, a page, and tables as CSV and LaTeX."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from rembrandt_featgen.reporting import page, study_figures, study_page, study_tables


def write(folder: Path, report: Mapping, title: str, *, links: Mapping[str, str] = MappingProxyType({})) -> None:
    """Writes report.json, index.html and the tables, those of generators and contrasts where there are any.

    Args:
      folder: that is there.
      report: as JSON takes it.
      title: of the page.
      links: label to path, relative to the page, of what else belongs to the study.
    """
    empty = [key for key in ("generators", "contrasts") if not report.get(key)]
    files = study_tables.files(report)
    tables = {name: text for name, text in files.items() if not any(key in name for key in empty)}
    made = functools.partial(study_page.render, report, study_figures.draw(report))
    page.write(folder, report, made, tables=tables, title=title, links=links)
