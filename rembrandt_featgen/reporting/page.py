"""What all pages share: templates, numbers as text, and figures as data in the page; no network, no scripts."""

from __future__ import annotations

import base64
import datetime
import functools
import math
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import jinja2
from markupsafe import Markup, escape

from rembrandt_featgen.core import folders, json_files
from rembrandt_featgen.reporting import measure_titles, records, verdict_records
from rembrandt_featgen.reporting.drawing import DPI, Figure

MISSING = "not recorded in this run"


class Place(NamedTuple):
    """The section of a figure, and the words for one that comes without any."""

    section: str
    alt: str
    caption: str


def render(
    template: str,
    report: Mapping,
    figures: Mapping[str, Figure | bytes],
    *,
    places: Mapping[str, Place],
    context: Mapping,
    **values,
) -> str:
    """A page.

    Args:
      template: file name of the page's template.
      report: what report.json holds; any key may be missing.
      figures: name to figure, or to its PNG, which then gets the words of its place.
      places: start of a figure's name to its place; figures of no place come last.
      context: "title", by default "Report"; "date", by default today; "links", label to path relative to the page.
      values: what else the template needs; beside these it has `names` of the classes, the positive one first,
        `positive`, the name of that one, and `word` and `sentence` of the verdict.

    Returns:
      HTML text.
    """
    return (
        _environment()
        .get_template(template)
        .render(
            report=report,
            title=context.get("title", "Report"),
            date=context.get("date", datetime.date.today().isoformat()),
            links={label: relative(path) for label, path in context["links"].items()},
            figures=by_section(figures, places),
            names=records.class_names(report),
            positive=records.positive_class(report),
            word=verdict_records.word(report),
            sentence=verdict_records.sentence(report),
            seeds={key: value for key, value in (report.get("settings") or {}).items() if "seed" in key},
            **values,
        )
    )


def write(
    folder: Path,
    report: Mapping,
    render_page: Callable[[Mapping], str],
    *,
    tables: Mapping[str, str],
    title: str,
    links: Mapping[str, str],
    name: str = "report.json",
) -> None:
    """Writes all files of a report, each whole: itself as JSON, index.html, which leads to the others, and the tables.

    Args:
      folder: that is there.
      report: as JSON takes it.
      render_page: from a context, as for `render`, to the page.
      tables: file name to text.
      title: of the page.
      links: label to path, relative to the page, of what else belongs to it.
      name: of the JSON file.
    """
    json_files.write_json(folder / name, report)
    context = {"title": title, "links": {**{file: file for file in (name, *tables)}, **links}}
    for file, text in {"index.html": render_page(context), **tables}.items():
        with folders.whole(folder / file) as temporary:
            temporary.write_text(text, encoding="utf-8")


@functools.lru_cache(maxsize=1)  # compiles each template once
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number,
        signed=signed,
        short=short,
        sentence_of=sentence_of,
        interval=interval,
        count=count,
        total=records.total,
        setting=setting,
    )
    environment.filters.update(
        whole_volumes=lambda splits: records.parts(splits, "volumes"),
        split_slices=lambda splits: records.having(splits, "with_tumour", "without_tumour"),
        segmentation_measures=measure_titles.segmentation_measures,
        pairs_of=records.named_values,
    )
    return environment


def number(value, why: str = MISSING, form: str = ".3f") -> str:
    """Three digits after the point, or an en dash that says `why` the value is None or NaN."""
    if isinstance(value, Markup):  # a dash already
        return value
    shown = _finite(value)
    if shown is None:
        return _dash(MISSING if isinstance(value, jinja2.Undefined) else why)
    return f"{shown:{form}}".replace("-", "\N{MINUS SIGN}")


def signed(value, why: str = MISSING) -> str:
    """As `number`, with its sign."""
    return number(value, why, "+.3f")


def interval(bounds, form: str = ".3f") -> str:
    """ "[0.123, 0.456]" of a pair; nothing if there is no pair."""
    if not isinstance(bounds, Sequence) or len(bounds) != 2 or None in map(_finite, bounds):
        return ""
    return f"[{number(bounds[0], form=form)}, {number(bounds[1], form=form)}]"


def short(value, why: str = MISSING) -> str:
    """Four digits, or a whole number with its thousands apart."""
    shown = _finite(value)
    return number(value, why, ".4g" if shown is None or abs(shown) < 1000 else ",.0f")


def count(value) -> str:
    """A whole number with its thousands apart."""
    return number(value, MISSING, ",.0f")


def setting(value) -> str:
    """A flag's value as one would type it."""
    if isinstance(value, Markup):
        return value
    if value is None or isinstance(value, jinja2.Undefined):
        return _dash("not set")
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    if value == "":
        return _dash("empty")
    return str(value).lower() if isinstance(value, bool) else str(value)


def sentence_of(text) -> Markup:
    """A line as a sentence, in which no flag is broken at its hyphens."""
    line = str(text or "")
    line = line[:1].upper() + line[1:] + ("" if line.endswith((".", "?")) else ".")
    return Markup(re.sub(r"--\w+", r'<span class="flag">\g<0></span>', str(escape(line))))


def _finite(value) -> float | None:
    if value is None or isinstance(value, jinja2.Undefined):
        return None
    return float(value) if math.isfinite(value) else None


def _dash(why: str) -> Markup:
    return Markup('<abbr title="{0}" aria-label="{0}">\N{EN DASH}</abbr>').format(escape(why))


def by_section(figures: Mapping[str, Figure | bytes], places: Mapping[str, Place]) -> dict[str, list[dict]]:
    """What the template needs of each figure, in the order of `places` within its section."""
    starts = [*places, ""]  # every name begins with the last
    sections: dict[str, list[dict]] = {}
    known = {name: next(start for start in starts if name.startswith(start)) for name in figures}
    for name in sorted(figures, key=lambda name: starts.index(known[name])):
        section, alt, caption = places.get(known[name], Place("other", name, name))
        if known[name] == "feature_maps":
            ending = name.removeprefix("feature_maps").strip("_")  # name of a class
            alt, caption = (f"{text}{', ' + ending if ending else ''}." for text in (alt, caption))
        figure = figures[name]
        if not isinstance(figure, Figure):
            figure = Figure(figure, alt, caption)
        width, height = (pixels * 96 // DPI for pixels in struct.unpack(">II", figure.png[16:24]))  # PNG's IHDR chunk
        sections.setdefault(section, []).append(
            {
                "source": f"data:image/png;base64,{base64.b64encode(figure.png).decode()}",
                "alt": figure.alt,
                "caption": figure.caption,
                "width": width,
                "height": height,
                "narrowest": min(width, 180 if known[name] == "feature_maps" else max(480, width * 2 // 3)),
            }
        )
    return sections


def relative(path: str) -> str:
    """`path` as a link that cannot leave the disk: no scheme, no host."""
    return quote(str(path).lstrip("/"))
