"""The report of a study, a nested cross-validation in which many arms compete, as a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rembrandt_featgen.reporting import (
    arm_words,
    checklist,
    contrast_words,
    measure_titles,
    page,
    records,
    study_design,
    study_methods,
    study_tables,
    verdict_records,
)
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
    "forest_": Place("forests", "Forest plot of the arms of another classifier.", "AUROC with 95% intervals."),
    "forest": Place("arms", "Forest plot of the arms.", "AUROC per patient with 95% intervals."),
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
        start of the name ("forest", "forest_" of a further classifier, "folds", "amounts", "reliability",
        "feature_maps", "power", "overlays") says its section; others come last.
      context: "title", name of the study; "date", by default today; "links", label to path relative to the page, by
        default report.json and the files of `tables.files`, all beside it.

    Returns:
      HTML text.
    """
    rows = records.arms(report)
    several = len(records.by_classifier(report, rows)) > 1
    return page.render(
        "study.html.j2",
        report,
        figures,
        places=_PLACES,
        context={"links": {name: name for name in ("report.json", *study_tables.NAMES)}, **(context or {})},
        tone=verdict_records.tone(report),
        patients=records.headed(report, rows),
        slices={} if records.one_sample_each(report) else records.headed(report, records.arms(report, "slice")),
        sample="sample" if records.made_elsewhere(report) else "slice",
        tiles=_tiles(report, rows),
        contrasts=verdict_records.compared(report),
        several=several,
        folds=records.entries(report.get("cross_validation"), "fold_records"),
        generators=records.entries(report, "generators"),
        checks=records.entries(report, "self_checks"),
        groups=records.groups(report),
        sites=records.dig(report, "cohort", "sites"),
        key_settings=_key_settings(report, rows),
        tested=study_design.tested_of_more(report),
        asked=_asked(report),
        methods=study_methods.paragraph(report),
        glossary=arm_words.glossary(report),
        checklists={
            "CLAIM": (checklist.CLAIM_SOURCE, checklist.claim(report)),
            "TRIPOD+AI": (checklist.TRIPOD_SOURCE, checklist.tripod(report)),
        },
        records=records,
        verdicts=verdict_records,
        arm_measures=measure_titles.arm_measures(records.class_names(report)),
        memorisation_measures=measure_titles.MEMORISATION_MEASURES,
        generator_measures=measure_titles.generator_measures(records.class_names(report), records.is_judged(report)),
        name=lambda row: records.name(row, [row]),  # its heading names the classifier
        is_reference=lambda row: records.is_reference(report, row),
        UNDEFINED=UNDEFINED,
    )


def _tiles(report: Mapping, rows: Sequence[Mapping]) -> list[dict]:
    """The numbers to see first: the best pipelines without and with generation, and their difference.

    Where these were not compared: the reference, and the arm of highest AUROC.
    """
    contrast = contrast_words.best(report)
    if contrast is None:
        return _tiles_of_arms(report, rows)
    tiles: list[dict] = []
    for title, side in (("Best pipeline without generation", "without"), ("Best pipeline with generation", "with")):
        value = page.number(records.finite(records.dig(contrast, side, "auroc")))
        name = verdict_records.most_chosen(records.dig(contrast, side))
        tiles.append({"title": title, "name": name, "form": ".3f", "value": value, "bounds": None})
    difference = records.dig(contrast, "difference")
    tiles.append(
        {
            "title": "Their difference",
            "name": verdict_records.known_word(contrast.get("word")),
            "form": "+.3f",
            "value": page.signed(records.finite(records.dig(difference, "difference"))),
            "bounds": verdict_records.shown_bounds(contrast),
        }
    )
    return tiles


def _key_settings(report: Mapping, rows: Sequence[Mapping]) -> dict:
    """Main settings, without those of networks that did not run."""
    ran = {str(row.get("classifier")) for row in rows}
    keys = [key for key in KEY_SETTINGS if key != "classifier_epochs" or not ran or ran & {"cnn", "linear"}]
    return records.main_settings(report, keys)


def _asked(report: Mapping) -> str:
    """The classes as they were given, "glioma, meningioma and pituitary"; "" where they are not recorded."""
    known, given = records.class_names(report), records.dig(report, "classes", "names")
    names = [name for name in given if name in known] if known else []
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _tiles_of_arms(report: Mapping, rows: Sequence[Mapping]) -> list[dict]:
    of_first = next(iter(records.by_classifier(report, rows).values()), [])
    reference = next((row for row in of_first if records.is_reference(report, row)), None)
    competing = [row for row in rows if records.kind(row) != "control"]
    tiles = []
    for title, row in (
        ("Reference, real samples alone", reference),
        ("Highest AUROC of all arms", records.best(competing)),
    ):
        if row is not None:
            value, bounds = page.number(records.value(row, "auroc")), records.bounds(row, "auroc")
            name = records.name(row, rows)
            tiles.append({"title": title, "name": name, "form": ".3f", "value": value, "bounds": bounds})
    return tiles
