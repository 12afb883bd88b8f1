"""The report as one self-contained HTML page: dictionaries and PNG bytes in, text out."""

from __future__ import annotations

import base64
import datetime
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import jinja2
from markupsafe import Markup, escape

from rembrandt_featgen.reporting.figures import DPI, Figure

ONE_CLASS = "not defined: only one class among the test patients"
MISSING = "not recorded in this run"
UNREPORTED = "not reported by the paper"
SPLITS = ("train", "validation", "test")
UNITS = ("patient", "slice")
# Settings that a reader asks for first; the rest stand under "Methods & provenance".
KEY_SETTINGS = (
    *("cohort", "image_size", "test_fraction", "seed", "unet_width", "unet_epochs", "tap", "ndf", "ngf"),
    *("acgan_epochs", "synthetic_per_grade", "synthetic_added", "classifier_epochs", "bootstrap_draws"),
)
# Start of a figure's name: its section, then the alt text and caption of a figure that comes without its own.
_PLACES = {
    "forest": (
        "classification",
        "Balanced accuracy per patient of each arm, with its interval, against a dashed line at chance.",
        "Balanced accuracy per test patient with its 95% interval; the dashed line is chance.",
    ),
    "strip": (
        "classification",
        "Strip of dots for each arm: the probability of HGG of each test patient, coloured by its true grade.",
        "Each dot is a test patient. A good arm has round dots right of the dashed line, diamonds left of it.",
    ),
    "classifier": ("classification", "Training curves of the classifiers.", "Training of the classifiers."),
    "overlays": (
        "segmentation",
        "FLAIR slices of test patients with the contours of the true and of the predicted tumour.",
        "A few test slices, chosen for showing: the table, not this figure, says how good the U-Net is.",
    ),
    "unet": (
        "segmentation",
        "Training and validation curves of the U-Net over epochs, with the best epoch marked.",
        "Training of the U-Net; the vertical line marks the epoch whose weights are used.",
    ),
    "feature_maps": (
        "generator",
        "Two mosaics of the same 25 channels, of a real feature and of a synthetic one",
        "The same channels of a real and a synthetic feature; a channel has the same colour scale in both",
    ),
    "acgan": (
        "generator",
        "Training curves of the ACGAN: losses, class accuracy and probability of being real, over epochs.",
        "Training of the ACGAN.",
    ),
}


def render(report: Mapping, figures: Mapping[str, Figure | bytes], context: Mapping | None = None) -> str:
    """The report's page, without any reference to the network and without scripts.

    Args:
      report: what report.json holds (DESIGN.md lists the keys); any key may be missing.
      figures: name to figure, or to its PNG, which then gets the house's words. The start of the name ("forest",
        "strip", "classifier", "overlays", "unet", "feature_maps", "acgan") says the section; others come last.
      context: "title", name of the run; "date", by default today; "links", label to path relative to the page.

    Returns:
      HTML text.
    """
    context = {"title": "Report", "date": datetime.date.today().isoformat(), **(context or {})}
    settings = report.get("settings") or {}
    split = (report.get("cohort") or {}).get("split") or {}
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            title=context["title"],
            date=context["date"],
            links={label: _relative(path) for label, path in context.get("links", _links(report)).items()},
            figures=_by_section(figures),
            tone=_tone(report),
            rows=_by_unit(report.get("classification") or []),
            splits=[*(name for name in SPLITS if name in split), *(name for name in split if name not in SPLITS)],
            key_settings={key: settings[key] for key in KEY_SETTINGS if key in settings},
            seeds={key: value for key, value in settings.items() if "seed" in key},
            ONE_CLASS=ONE_CLASS,
            UNREPORTED=UNREPORTED,
            NAN=math.nan,
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number, signed=signed, interval=interval, count=count, total=total, setting=setting
    )
    return environment


def number(value, why: str = MISSING, form: str = ".3f") -> str:
    """Three digits after the point, or an en dash that says `why` the value is None or NaN."""
    shown = _finite(value)
    if shown is None:
        return _dash(MISSING if isinstance(value, jinja2.Undefined) else why)
    return f"{shown:{form}}".replace("-", "\N{MINUS SIGN}")


def signed(value, why: str = MISSING) -> str:
    """As `number`, with its sign."""
    return number(value, why, "+.3f")


def interval(bounds) -> str:
    """ "[0.123, 0.456]" of a pair; nothing if there is no pair."""
    if not isinstance(bounds, Sequence) or len(bounds) != 2 or None in map(_finite, bounds):
        return ""
    return f"[{number(bounds[0])}, {number(bounds[1])}]"


def count(value) -> str:
    """A whole number with its thousands apart."""
    return number(value, MISSING, ",.0f")


def total(counts) -> int | None:
    """Sum of a mapping's values; None if it is not there."""
    return sum(counts.values()) if isinstance(counts, Mapping) and counts else None


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


def _finite(value) -> float | None:
    if isinstance(value, Markup):
        return value
    if value is None or isinstance(value, jinja2.Undefined):
        return None
    return float(value) if math.isfinite(value) else None


def _dash(why: str) -> Markup:
    return Markup('<abbr title="{0}" aria-label="{0}">\N{EN DASH}</abbr>').format(escape(why))


def _tone(report: Mapping) -> str:
    """Colour of the verdict's box, by where the interval of the difference lies."""
    bounds = (report.get("comparison") or {}).get("ci95")
    if not interval(bounds) or bounds[0] <= 0 <= bounds[1]:
        return "open"
    return "helped" if bounds[0] > 0 else "harmed"


def _by_unit(rows: Sequence[Mapping]) -> dict[str, list[Mapping]]:
    """Rows of the classification table by what they count, patients first."""
    units = dict.fromkeys([*UNITS, *(row.get("unit", "unknown unit") for row in rows)])
    grouped = {unit: [row for row in rows if row.get("unit", "unknown unit") == unit] for unit in units}
    return {unit: members for unit, members in grouped.items() if members}


def _by_section(figures: Mapping[str, Figure | bytes]) -> dict[str, list[dict]]:
    """What the template needs of each figure, in the order of `_PLACES` within its section."""
    starts = list(_PLACES)
    sections: dict[str, list[dict]] = {}
    known = {name: next((start for start in starts if name.startswith(start)), None) for name in figures}
    for name in sorted(figures, key=lambda name: starts.index(known[name]) if known[name] else len(starts)):
        section, alt, caption = _PLACES.get(known[name], ("other", name, name))
        if known[name] == "feature_maps":
            ending = name[len("feature_maps") :].strip("_")
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


def _links(report: Mapping) -> dict[str, str]:
    """The run's files that stand beside the page: report.json and each stage's record."""
    stages = [name for name in report.get("stages") or {} if name != "report"]
    return {"report.json": "report.json", **{f"{name}/stage.json": f"../{name}/stage.json" for name in stages}}


def _relative(path: str) -> str:
    """`path` as a link that cannot leave the disk: no scheme, no host."""
    return quote(str(path).lstrip("/"))
