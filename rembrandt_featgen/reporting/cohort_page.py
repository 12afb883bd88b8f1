"""The report of a cohort as a self-contained HTML page."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence

from rembrandt_featgen.reporting import cohort_figures, page, records
from rembrandt_featgen.reporting.page import Place

UNKNOWN_SITE = "site not known"
_PLACES = {
    "intensities": Place("intensities", "Intensities of each patient.", "Intensities of each patient."),
    "tumours": Place("tumours", "Volume of each tumour.", "Volume of each tumour."),
}


def render(report: Mapping, pictures: Mapping[str, Sequence[bytes]], context: Mapping | None = None) -> str:
    """The page, without any reference to the network and without scripts.

    Args:
      report: what report.json holds, see `cohort_survey.report`; any key may be missing.
      pictures: patient to the PNGs of `cohort_figures.thumbnail`, of each modality; patients may be missing.
      context: as for `page.render`; "links" by default to report.json.

    Returns:
      HTML text.
    """
    return page.render(
        "cohort.html.j2",
        report,
        cohort_figures.draw(report),
        places=_PLACES,
        context={"links": {"report.json": "report.json"}, **(context or {})},
        tone="open",
        tiles=_tiles(report, pictures),
        across=max([len(pngs) for pngs in pictures.values()], default=1),
        UNKNOWN_SITE=UNKNOWN_SITE,
    )


def _tiles(report: Mapping, pictures: Mapping[str, Sequence[bytes]]) -> dict[str, list[dict]]:
    """What the page needs of each patient's pictures, by class; patients in order of their ids."""
    unit, modalities = records.dig(report, "tumours", "unit"), [str(name) for name in report.get("modalities") or []]
    tiles: dict[str, list[dict]] = {name: [] for name in records.class_names(report)}
    for one in records.entries(report, "patients"):
        name = str(one.get("patient"))
        if name not in pictures:
            continue
        alt = (
            f"Slice of {name} with the outline of the mask"
            if one.get("tumour_voxels")
            else f"Slice of {name}, whose mask is empty"
        )
        several = len(pictures[name]) > 1
        named = modalities if several and len(modalities) == len(pictures[name]) else [""] * len(pictures[name])
        views = [_view(png, modality, alt) for png, modality in zip(pictures[name], named)]
        tiles.setdefault(one.get("label") or "", []).append(
            {"patient": name, "views": views, "words": caption(one, unit)}
        )
    return {name: listed for name, listed in tiles.items() if listed}


def _view(png: bytes, modality: str, alt: str) -> dict:
    """What the page needs of a picture; `modality` is "" where there is one only."""
    width, height = struct.unpack(">II", png[16:24])  # PNG's IHDR chunk
    return {
        "source": f"data:image/png;base64,{base64.b64encode(png).decode()}",
        "width": width,
        "height": height,
        "modality": modality,
        "alt": f"{alt}, {modality}" if modality else alt,
    }


def caption(one: Mapping, unit: str | None) -> str:
    """Site, volume of the tumour, and which slice it is, of a patient's record; without what is missing."""
    volume = records.finite(one.get("tumour_ml")) if unit == "ml" else None
    voxels = records.finite(one.get("tumour_voxels"))
    tumour = f"{volume:.3g} ml" if volume else f"{voxels:,.0f} voxels" if voxels else "empty mask"
    number, shape = records.finite(one.get("largest_slice")), one.get("shape")
    plane = f"{one['plane']} " if one.get("plane") not in (None, "axial") else ""
    of = f"{plane}slice {number:.0f} of {shape[0]}" if number and shape else ""
    return " · ".join(part for part in (one.get("site"), tumour, of) if part)
