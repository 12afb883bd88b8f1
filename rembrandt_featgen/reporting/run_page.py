"""The report of one run as a self-contained HTML page: dictionaries and PNG bytes in, text out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rembrandt_featgen.core import registry
from rembrandt_featgen.reporting import page, paper_tables, records, run_verdict, sweep_tables
from rembrandt_featgen.reporting.drawing import Figure
from rembrandt_featgen.reporting.page import Place

ONE_CLASS = "not defined: only one class among the test patients"
UNREPORTED = "not reported by the paper"
SPLITS = ("train", "validation", "test")
UNITS = ("patient", "slice")
# Settings that a reader asks for first; "Methods & provenance" lists the rest.
KEY_SETTINGS = (
    "cohort",
    "image_size",
    "normalise",
    "crop",
    "fit",
    "test_fraction",
    "seed",
    "unet_width",
    "unet_epochs",
    "unet_steps",
    "tap",
    "ndf",
    "ngf",
    "gan_epochs",
    "synthetic_per_class",
    "synthetic_added",
    "classifier_epochs",
    "bootstrap_draws",
)
_PLACES = {
    "forest": Place(
        "classification",
        "Balanced accuracy per patient of each arm, with its interval, against a dashed line at chance.",
        "Balanced accuracy per test patient with its 95% interval; the dashed line is chance.",
    ),
    "strip": Place(
        "classification",
        "Strip of dots for each arm: the probability of the positive class of each test patient, coloured by its true "
        "class.",
        "Each dot is a test patient. A good arm has round dots right of the dashed line, diamonds left of it.",
    ),
    "classifier": Place("classification", "Training curves of the classifiers.", "Training of the classifiers."),
    "overlays": Place(
        "segmentation",
        "Slices of test patients with the contours of the true and of the predicted tumour.",
        "A few test slices, chosen for showing: the table, not this figure, says how good the U-Net is.",
    ),
    "unet": Place(
        "segmentation",
        "Training and validation curves of the U-Net over epochs, with the best epoch marked.",
        "Training of the U-Net; the vertical line marks the epoch whose weights are used.",
    ),
    "feature_maps": Place(
        "generator",
        "Two mosaics of the same 25 channels, of a real feature and of a synthetic one",
        "The same channels of a real and a synthetic feature; a channel has the same colour scale in both",
    ),
    "gan": Place(
        "generator",
        "Training curves of the GAN: losses, class accuracy and probability of being real, over epochs.",
        "Training of the GAN.",
    ),
    "figure_11_run": Place("generator", "Training curves of the run's GAN, which is not one of the sweep.", ""),
    "figure_sweep": Place("sweeps", "Points of a sweep.", ""),
    "figure_pretraining": Place("sweeps", "Starts of the U-Net.", ""),
    "figure": Place("paper", "A figure of the paper.", ""),
}


def render(report: Mapping, figures: Mapping[str, Figure | bytes], context: Mapping | None = None) -> str:
    """The report's page, without any reference to the network and without scripts.

    Args:
      report: what report.json holds, as `run_report.collect` makes it; any key may be missing.
      figures: name to figure, or to its PNG, which then gets general words. The start of the name ("forest", "strip",
        "classifier", "overlays", "unet", "feature_maps", "gan", "figure") says the section; others come last.
      context: "title", name of the run; "date", by default today; "links", label to path relative to the page, of
        files beside those of the stages.

    Returns:
      HTML text.
    """
    names = records.class_names(report)
    split = (report.get("cohort") or {}).get("split") or {}
    context = context or {}
    arms = records.arms(report)
    return page.render(
        "report.html.j2",
        report,
        figures,
        places=_PLACES,
        context={**context, "links": {**_links(report), **context.get("links", {})}},
        tone=_tone(report),
        arms=arms,
        tiles=_tiles(arms),
        study_page=run_verdict.STUDY_PAGE,
        records=records,
        swept=sweep_tables.compared(report["sweep"]) if report.get("sweep") else {},
        axes=sweep_tables.axes(names),
        curves=sweep_tables.curve_axes(names),
        rows=_by_unit(report.get("classification") or []),
        splits=[*(name for name in SPLITS if name in split), *(name for name in split if name not in SPLITS)],
        key_settings=records.main_settings(report, KEY_SETTINGS),
        ONE_CLASS=ONE_CLASS,
        UNREPORTED=UNREPORTED,
        paper=paper_tables,
        beside_paper=paper_tables.has_classes_of_paper(names),
        NAN=math.nan,
    )


def _tone(report: Mapping) -> str:
    """Colour of the verdict's box."""
    word = report.get("verdict_word")
    return word if word in (run_verdict.HELPED, run_verdict.HARMED) else "open"


def _tiles(arms: Sequence[Mapping]) -> list[dict]:
    """The numbers to see first: the highest AUROC without and with generated features."""
    tiles = []
    for title, generative in (("Highest of those that generate nothing", False), ("Highest with generation", True)):
        known = [row for row in arms if (records.kind(row) == "generative") == generative]
        known = [row for row in known if records.value(row, "auroc") is not None]
        if known:
            row = max(known, key=lambda row: row["auroc"])
            number, bounds = page.number(row["auroc"]), records.bounds(row, "auroc")
            name = f"{row.get('arm')}, {row.get('classifier')}"
            tiles.append({"title": title, "name": name, "value": number, "bounds": bounds})
    return tiles


def _by_unit(rows: Sequence[Mapping]) -> dict[str, list[Mapping]]:
    """Rows of the classification table by what they count, patients first."""
    units = dict.fromkeys([*UNITS, *(row.get("unit", "unknown unit") for row in rows)])
    grouped = {unit: [row for row in rows if row.get("unit", "unknown unit") == unit] for unit in units}
    return {unit: members for unit, members in grouped.items() if members}


def _links(report: Mapping) -> dict[str, str]:
    """The run's files that lie beside the page: report.json and each stage's record."""
    kind, stages = str(records.dig(report, "generator", "kind") or ""), report.get("stages") or {}
    known = [name for name in stages if name in registry.STAGES and (kind or not registry.STAGES[name].has_kinds)]
    folders = [registry.folder(name, kind) for name in known if name != "write_report"]
    return {"report.json": "report.json", **{f"{folder}/stage.json": f"../{folder}/stage.json" for folder in folders}}
