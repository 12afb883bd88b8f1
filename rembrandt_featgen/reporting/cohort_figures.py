"""Figures of the report of a cohort: intensities by site, tumour volumes by class, and small pictures of patients."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from PIL import Image
from scipy import ndimage

from rembrandt_featgen.reporting import records
from rembrandt_featgen.reporting.drawing import GREY, SKY, Figure, canvas, class_marks, clipped, styled

SIDE = 160  # pixels of a picture's longer side
_LEVELS = 128  # greys of a picture
_WIDE = 20.0  # highest over lowest value from which an axis is logarithmic
_SITES_ACROSS = 12  # names of sites that fit side by side


class Span(NamedTuple):
    """Intensities of a patient's foreground: 5th percentile, median and 95th percentile."""

    site: str
    label: str
    values: Sequence[float]


def draw(report: Mapping) -> dict[str, Figure]:
    """The figures of a report of `cohort_survey.report`; those whose numbers are missing are left out."""
    names, read = records.class_names(report), records.entries(report, "patients")
    noun = records.dig(report, "cohort", "noun") or "patients"
    figures = {}
    for modality in report.get("modalities") or []:
        spans = [span for one in read if (span := _span(one, modality)) and span.label in names]
        if spans:
            figures[f"intensities_{modality}"] = Figure(
                intensities(spans, names),
                f"{modality}: range and median of the foreground's intensities of each of {len(spans)} {noun}.",
                f"{modality}: intensities of the foreground, of each volume the median (mark) and the range from the "
                f"5th to the 95th percentile (line){', sites apart' * (len({span.site for span in spans}) > 1)}.",
            )
    in_ml = records.dig(report, "tumours", "unit") == "ml"
    volumes = {name: [one for one in read if one.get("label") == name] for name in names}
    key = "tumour_ml" if in_ml else "tumour_voxels"
    values = {
        name: [volume for one in members if (volume := records.finite(one.get(key)))]
        for name, members in volumes.items()
    }
    if any(values.values()):
        figures["tumours"] = Figure(
            tumours(values, "ml" if in_ml else "voxels"),
            f"Volume of the tumour of each patient, a row for each class: {', '.join(names)}.",
            "Volume of the mask of each patient with tumour, by class; the line is the median.",
        )
    return figures


def _span(one: Mapping, modality: str) -> Span | None:
    """Of a patient's record; None where it is not known."""
    known = [records.finite(records.dig(one, "intensities", modality, key)) for key in ("q05", "q50", "q95")]
    values = [value for value in known if value is not None]
    return Span(one.get("site") or "", one.get("label") or "", values) if len(values) == len(known) else None


@styled
def intensities(spans: Sequence[Span], names: Sequence[str]):
    """Median and range of the foreground of each patient, those of a site side by side.

    Args:
      spans: of each patient.
      names: of the classes, the positive one first.
    """
    ordered = sorted(spans, key=lambda span: (span.site, span.values[1]))
    values = np.array([span.values for span in ordered])
    sites = [span.site for span in ordered]
    starts = [number for number, site in enumerate(sites) if number == 0 or sites[number - 1] != site]
    figure, ((ax,),) = canvas(10.5, 3.4)
    marks = class_marks(names)
    width = min(max(400 / len(ordered), 0.8), 4)
    for name in names:
        colour, marker = marks[name]
        x = np.array([number for number, span in enumerate(ordered) if span.label == name], int)
        ax.vlines(x, values[x, 0], values[x, 2], color=colour, lw=width, alpha=0.45)
        ax.plot(x, values[x, 1], marker, color=colour, ms=min(max(width, 2.5), 4.5))
    _scale(ax, "y", values)
    for start in starts[1:]:
        ax.axvline(start - 0.5, color="#c8ccd1", lw=0.8)
    ax.set(xlim=(-0.7, len(ordered) - 0.3), ylabel="intensity")
    ax.grid(False, axis="x")
    if len(starts) > 1:
        middles = [(start + end - 1) / 2 for start, end in zip(starts, [*starts[1:], len(ordered)])]
        shown = [clipped(sites[start] or "unknown", 16) for start in starts]
        steep = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"} if len(starts) > _SITES_ACROSS else {}
        ax.set_xticks(middles, shown, fontsize=9 if len(starts) < 40 else 6, **steep)
    else:
        ax.set_xticks([])
        ax.set_xlabel(f"{len(ordered)} volumes, by their median")
    ax.tick_params(axis="x", length=0)
    handles = [Line2D([], [], color=marks[name][0], marker=marks[name][1], ls="", ms=5) for name in names]
    figure.legend(handles, names, loc="outside upper right", ncols=len(names), fontsize=9)
    return figure


@styled
def tumours(values: Mapping[str, Sequence[float]], unit: str):
    """A dot for each tumour, a row for each class, the positive one first.

    Args:
      values: class to volumes, above 0.
      unit: of the volumes.
    """
    figure, ((ax,),) = canvas(8.0, 0.62 * len(values) + 1.0)
    marks = class_marks(list(values))
    for y, (name, volumes) in enumerate(values.items()):
        colour, marker = marks[name]
        heights = np.random.default_rng(0).uniform(-0.26, 0.26, len(volumes))
        ax.scatter(
            volumes, y + heights, s=22, marker=marker, color=colour, alpha=0.7, edgecolors="white", linewidths=0.5
        )
        if len(volumes):
            ax.plot([np.median(volumes)] * 2, [y - 0.38, y + 0.38], color="black", lw=2)
    ax.set_yticks(range(len(values)), [clipped(name, 30) for name in values])
    ax.set(ylim=(len(values) - 0.5, -0.5), xlabel=f"volume of the mask, {unit}")
    _scale(ax, "x", np.concatenate([np.asarray(volumes, float) for volumes in values.values()]))
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.axhline(len(values) - 0.5, color=GREY, lw=0.8)
    return figure


def _scale(ax, name: str, values: np.ndarray) -> None:
    """A logarithmic axis, "x" or "y", where values range over orders of magnitude; numbers as people write them."""
    middle = max(float(np.median(np.abs(values))), 1e-6)
    set_scale = getattr(ax, f"set_{name}scale")
    if values.min() > 0 and values.max() > _WIDE * values.min():
        set_scale("log")
    elif values.min() <= 0 and np.abs(values).max() > _WIDE * middle:
        set_scale("symlog", linthresh=middle)
    else:
        return
    getattr(ax, f"{name}axis").set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def thumbnail(grey: np.ndarray, mask: np.ndarray) -> bytes:
    """A small picture of a slice with the outline of its mask, just outside of it, as PNG.

    Args:
      grey: [height, width] uint8; enlarged by a whole factor where it is small.
      mask: [height, width] bool.
    """
    factor = max(SIDE // max(grey.shape), 1)
    size = (grey.shape[1] * factor, grey.shape[0] * factor)
    image = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC))
    shown = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)) > 127
    outline = ndimage.binary_dilation(shown) & ~shown
    indexed = Image.fromarray(np.where(outline, _LEVELS, image // (256 // _LEVELS)).astype(np.uint8))
    greys = [level for grey in range(_LEVELS) for level in [round(grey * 255 / (_LEVELS - 1))] * 3]
    indexed.putpalette([*greys, *(int(SKY[place : place + 2], 16) for place in (1, 3, 5))])
    buffer = io.BytesIO()
    indexed.save(buffer, format="png", optimize=True)
    return buffer.getvalue()
