"""The files of a study's report: JSON, a page, and tables as CSV and LaTeX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from rembrandt_featgen.core import json_files
from rembrandt_featgen.reporting import study_figures, study_page, study_tables


def write(folder: Path, report: Mapping, title: str, *, links: Mapping[str, str] = MappingProxyType({})) -> None:
    """Writes report.json, index.html and the tables, those of generators and contrasts where there are any.

    Args:
      folder: that is there.
      report: as JSON takes it.
      title: of the page.
      links: label to path, relative to the page, of what else belongs to the study.
    """
    json_files.write_json(folder / "report.json", report)
    tables = study_tables.files(report)
    empty = [key for key in ("generators", "contrasts") if not report.get(key)]
    tables = {name: text for name, text in tables.items() if not any(key in name for key in empty)}
    context = {"title": title, "links": {**{name: name for name in ("report.json", *tables)}, **links}}
    page = study_page.render(report, study_figures.draw(report), context)
    (folder / "index.html").write_text(page, encoding="utf-8")
    for name, text in tables.items():
        (folder / name).write_text(text, encoding="utf-8")
