"""The report of a study, a nested cross-validation in which many arms compete, as a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rembrandt_featgen.reporting import checklist, measure_titles, page, records, study_tables
from rembrandt_featgen.reporting.drawing import Figure
from rembrandt_featgen.reporting.page import Place

UNDEFINED = "not defined: a class has no patient, or the arm has no such measure"
# Settings that a reader asks for first; "Methods & provenance" lists the rest.
KEY_SETTINGS = (
    "cohort",
    "modalities",
    "image_size",
    "normalise",
    "crop",
    "fit",
    "seed",
    "unet_width",
    "unet_epochs",
    "unet_steps",
    "tap",
    "classifier_epochs",
    "bootstrap_draws",
    "permutations",
)
_PLACES = {
    "forest": Place("arms", "Forest plot of the arms.", "Balanced accuracy per patient with 95% intervals."),
    "folds": Place("folds", "Balanced accuracy of each arm in each fold.", "Balanced accuracy by fold and seed."),
    "amounts": Place("amounts", "Balanced accuracy by amount of generated features.", "Balanced accuracy by amount."),
    "reliability": Place("calibration", "Reliability diagrams of the arms.", "Observed against predicted."),
    "feature_maps": Place(
        "generators",
        "Two mosaics of the same 25 channels, of a real feature and of a generated one",
        "The same channels of a real and a generated feature; a channel has the same colour scale in both",
    ),
    "power": Place("trust", "Power against number of patients.", "Share of simulated studies that detect the effect."),
    "overlays": Place("segmentation", "Slices with true and predicted tumour.", "A few test slices, chosen to show."),
}


def render(report: Mapping, figures: Mapping[str, Figure | bytes], context: Mapping | None = None) -> str:
    """The study's page, without any reference to the network and without scripts.

    Args:
      report: what the study's report.json holds; any key may be missing or None.
      figures: name to figure, as `study_figures.draw` makes them, or to its PNG, which then gets general words. The
        start of the name ("forest", "folds", "amounts", "reliability", "feature_maps", "power", "overlays") says
        its section; others come last.
      context: "title", name of the study; "date", by default today; "links", label to path relative to the page, by
        default report.json and the files of `tables.files`, all beside it.

    Returns:
      HTML text.
    """
    rows = records.arms(report)
    return page.render(
        "study.html.j2",
        report,
        figures,
        places=_PLACES,
        context={"links": {name: name for name in ("report.json", *study_tables.NAMES)}, **(context or {})},
        tone=records.tone(report),
        patients=_by_kind(rows),
        slices={} if records.one_sample_each(report) else _by_kind(records.arms(report, "slice")),
        sample="sample" if records.made_elsewhere(report) else "slice",
        tiles=_tiles(report, rows),
        folds=records.entries(report.get("cross_validation"), "fold_records"),
        generators=records.entries(report, "generators"),
        checks=records.entries(report, "self_checks"),
        groups=records.groups(report),
        sites=records.dig(report, "cohort", "sites"),
        key_settings=records.main_settings(report, KEY_SETTINGS),
        checklists={
            "CLAIM": (checklist.CLAIM_SOURCE, checklist.claim(report)),
            "TRIPOD+AI": (checklist.TRIPOD_SOURCE, checklist.tripod(report)),
        },
        records=records,
        arm_measures=measure_titles.arm_measures(records.class_names(report)),
        memorisation_measures=measure_titles.MEMORISATION_MEASURES,
        generator_measures=measure_titles.generator_measures(records.class_names(report)),
        name=lambda row: records.name(row, rows),
        is_reference=lambda row: records.is_reference(report, row),
        UNDEFINED=UNDEFINED,
    )


def _by_kind(rows: Sequence[Mapping]) -> dict[str, list[Mapping]]:
    """Rows below the title of their kind."""
    grouped: dict[str, list[Mapping]] = {}
    for row in rows:
        grouped.setdefault(records.KINDS[records.kind(row)], []).append(row)
    return grouped


def _tiles(report: Mapping, rows: Sequence[Mapping]) -> list[dict]:
    """The numbers to see first: the reference arm, the best generative arm, and their difference."""
    of_verdict = records.dig(report, "reference", "classifier")
    candidates = [row for row in rows if of_verdict is None or row.get("classifier") == of_verdict]
    reference = next((row for row in candidates if records.is_reference(report, row)), None)
    generative = records.best([row for row in rows if records.kind(row) == "generative"])
    tiles = []
    for title, row in (("Reference, generates nothing", reference), ("Best generative arm", generative)):
        if row is not None:
            value, bounds = records.value(row, "balanced_accuracy"), records.bounds(row, "balanced_accuracy")
            arm = records.name(row, rows)
            tiles.append({"title": title, "arm": arm, "form": ".3f", "value": page.number(value), "bounds": bounds})
    difference = records.dig(generative, "difference_to_best_classical")
    if difference:
        p = records.p_text(records.dig(difference, "p_adjusted"))
        tiles.append(
            {
                "title": "Its difference to the reference",
                "arm": f"Holm-adjusted p {p}" if p else "not tested",
                "form": "+.3f",
                "value": page.signed(records.finite(difference.get("difference"))),
                "bounds": records.pair(difference.get("ci95")),
            }
        )
    return tiles
