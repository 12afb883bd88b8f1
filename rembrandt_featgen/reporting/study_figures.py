"""Figures of what a study's report.json has numbers for; each comes with words that quote these numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rembrandt_featgen.reporting import records, study_plots, verdict_records
from rembrandt_featgen.reporting.drawing import Figure


def draw(report: Mapping) -> dict[str, Figure]:
    """Figures by name, those of "forest", "folds", "amounts", "reliability" and "power" that there are numbers for.

    The forest has the arms of the reference's classifier, and "forest_<name>" those of each other one, on the same
    axes; folds, amounts and reliability are of the reference's classifier alone.

    Args:
      report: what a study's report.json holds; any key may be missing or None.
    """
    parts = records.by_classifier(report, records.arms(report))
    first = next(iter(parts.values()), [])
    figures = {
        **_forests(report, parts),
        "folds": _folds(report, first),
        "amounts": _amounts(report, first),
        "reliability": _reliability(report, first),
        "power": _power(report),
    }
    return {name: figure for name, figure in figures.items() if figure}


def _forests(report: Mapping, parts: Mapping[str, Sequence[Mapping]]) -> dict[str, Figure]:
    lines = {classifier: [_forest_row(report, row) for row in rows] for classifier, rows in parts.items()}
    limits = study_plots.forest_limits([line for of_one in lines.values() for line in of_one])
    figures: dict[str, Figure] = {}
    for classifier, rows in parts.items():
        bests = []
        for kind, title in records.KINDS.items():
            top = records.best([row for row in rows if records.kind(row) == kind])
            if top:
                bests.append(f"{title.lower()}, best {records.name(top, [top])} {records.value(top, 'auroc'):.3f}")
        of_one = f" of {classifier or 'a classifier that was not recorded'}" if len(parts) > 1 else ""
        figures[f"forest_{classifier}" if figures else "forest"] = Figure(
            study_plots.forest(lines[classifier], records.KINDS, limits),
            f"Forest plot of {len(rows)} arms{of_one} by AUROC per patient: {'; '.join(bests) or 'none defined'}.",
            f"{f'Arms{of_one}. ' if of_one else ''}Left: AUROC per patient of each arm with its 95% interval; the "
            "dashed line is chance. Right: its difference to the reference, paired over patients and trainings: thick "
            "the 95% interval, thin, and in brackets, the bounds that hold for all arms"
            f"{' of all classifiers' if of_one else ''} at once, with the p adjusted likewise. The mark is filled "
            "where these bounds exclude 0.",
        )
    return figures


def _forest_row(report: Mapping, row: Mapping) -> study_plots.ForestRow:
    difference = row.get("difference")
    p = records.p_text(records.dig(difference, "p_adjusted"))
    reference = records.is_reference(report, row)
    return study_plots.ForestRow(
        name=records.name(row, [row]),
        kind=records.kind(row),
        value=(records.value(row, "auroc"), *_ends(records.bounds(row, "auroc"))),
        difference=(
            records.finite(records.dig(difference, "difference")),
            *_ends(verdict_records.simultaneous(difference)),
        ),
        alone=_ends(records.pair(records.dig(difference, "ci95"))),
        note="the reference" if reference else "not compared" if not difference else f"p {p}" if p else "",
        apart=verdict_records.side_of_zero(difference) in ("higher", "lower"),
    )


def _folds(report: Mapping, rows: Sequence[Mapping]) -> Figure | None:
    folds = records.entries(report.get("cross_validation"), "fold_records")
    seeds = {fold.get("name"): fold.get("seed") for fold in folds}
    runs = {}
    for row in rows:
        points = []
        for fold in records.entries(row, "by_fold"):
            value = records.finite(fold.get("balanced_accuracy"))
            if value is not None:
                points.append((value, fold.get("seed", seeds.get(fold.get("name")))))
        if points:
            runs[records.name(row, [row])] = points
    if not runs:
        return None
    ends = [value for points in runs.values() for value, _ in points]
    return Figure(
        study_plots.fold_strip(runs, records.chance(report)),
        f"A strip of dots for each of {len(runs)} arms: balanced accuracy in each test fold and seed, from "
        f"{min(ends):.2f} to {max(ends):.2f}.",
        f"{_of_classifier(report, rows)}Each dot is the balanced accuracy per patient (not AUROC) in one test fold "
        "with one seed; the black bar is their mean. A fold has few patients, so its dots scatter widely, but all arms "
        "see the same folds. A fold whose test patients are all of one class has no dot.",
    )


def _amounts(report: Mapping, rows: Sequence[Mapping]) -> Figure | None:
    curves: dict[str, list] = {}
    kinds = {row.get("arm"): records.kind(row) for row in rows}
    for entry in records.entries(report, "amount_curve"):
        value = records.finite(entry.get("balanced_accuracy"))
        if value is not None:
            point = (str(entry.get("amount")), value, *_ends(records.pair(entry.get("ci95"))))
            curves.setdefault(str(entry.get("arm")), []).append(point)
    if not curves:
        return None
    reference = records.dig(report, "reference", "arm")
    level = next((records.value(row, "balanced_accuracy") for row in rows if row.get("arm") == reference), None)
    tops = [max(points, key=lambda point: point[1]) for points in curves.values()]
    return Figure(
        study_plots.amount_curves(curves, {arm: kinds.get(arm, "other") for arm in curves}, level),
        "Curves of balanced accuracy per patient against the amount of features added; highest: "
        + ", ".join(f"{arm} {top[1]:.3f} at {top[0]}" for arm, top in zip(curves, tops))
        + ".",
        f"{_of_classifier(report, rows)}Balanced accuracy per patient (not AUROC) with its 95% interval (band) were "
        "the amount of added features fixed; grey: the other arms"
        + (f"; dashed: the reference, {reference}" if level is not None else "")
        + ". The highest point of a curve is picked after the fact and flatters; the table's arms chose their amount "
        "on validation patients.",
    )


def _reliability(report: Mapping, rows: Sequence[Mapping]) -> Figure | None:
    row_of_arm = {row.get("arm"): row for row in rows}
    positive = records.positive_class(report)
    diagrams = {}
    for entry in records.entries(report, "reliability"):
        row = row_of_arm.get(entry.get("arm"), {})
        bins = [
            (records.finite(one.get("probability")), records.finite(one.get("observed")), records.finite(one.get("n")))
            for one in records.entries(entry, "bins")
        ]
        if bins:
            diagrams[str(entry.get("arm"))] = study_plots.Diagram(
                records.kind(row), bins, records.value(row, "ece") if row else None
            )
    if not diagrams:
        return None
    known = {arm: diagram.ece for arm, diagram in diagrams.items() if diagram.ece is not None}
    return Figure(
        study_plots.reliability_diagrams(diagrams, positive),
        f"Reliability diagrams of {len(diagrams)} arms, observed share of {positive} against its predicted probability"
        + (
            f"; expected calibration error from {min(known.values()):.3f} to {max(known.values()):.3f}."
            if known
            else "."
        ),
        f"Predictions per patient with about the same probability of {positive}, against the share of them that is "
        f"{positive}. On the dashed line a probability means what it says; below it, probabilities of {positive} are "
        "too high; above it, too low. "
        "The area of a dot grows with the number of predictions. ECE, the mean distance to the line, is above 0 by "
        "chance alone, the more so the fewer the patients.",
    )


def _power(report: Mapping) -> Figure | None:
    points = records.power(report)
    if not points:
        return None
    cohort = records.total(records.dig(report, "cohort", "patients"))
    return Figure(
        study_plots.power_curve(points, cohort),
        "Share of simulated studies that detect the effect, by number of patients: "
        + ", ".join(f"{patients:.0f} patients {power:.2f}" for patients, power in sorted(points))
        + ".",
        (report.get("power_rule") or "Share of simulated studies that would detect what this one estimates.")
        + f" Dashed: the customary {study_plots.ENOUGH}"
        + (f"; dotted: this cohort, {cohort} patients" if cohort else "")
        + ". It takes this study's estimate for the truth and is as uncertain as that.",
    )


def _of_classifier(report: Mapping, rows: Sequence[Mapping]) -> str:
    """Which classifier `rows` are of, where a study has several; else nothing."""
    several = len(records.by_classifier(report, records.arms(report))) > 1
    return f"Classifier: {rows[0].get('classifier')}. " if several and rows else ""


def _ends(interval: tuple[float, float] | None):
    return interval or (None, None)
