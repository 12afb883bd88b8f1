"""Figures of what a study's report.json has numbers for; each comes with words that quote these numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rembrandt_featgen.reporting import records, study_plots
from rembrandt_featgen.reporting.drawing import Figure


def draw(report: Mapping) -> dict[str, Figure]:
    """Figures by name, those of "forest", "folds", "amounts", "reliability" and "power" that there are numbers for.

    Args:
      report: what a study's report.json holds; any key may be missing or None.
    """
    rows = records.arms(report)
    figures = {
        "forest": _forest(report, rows),
        "folds": _folds(report, rows),
        "amounts": _amounts(report, rows),
        "reliability": _reliability(report, rows),
        "power": _power(report),
    }
    return {name: figure for name, figure in figures.items() if figure}


def _forest(report: Mapping, rows: Sequence[Mapping]) -> Figure | None:
    if not rows:
        return None
    lines = []
    for row in rows:
        difference = row.get("difference_to_best_classical")
        reference = records.is_reference(report, row)
        p = records.p_text(records.dig(difference, "p_adjusted"))
        lines.append(
            study_plots.ForestRow(
                name=records.name(row, rows),
                kind=records.kind(row),
                value=(records.value(row, "balanced_accuracy"), *_ends(records.bounds(row, "balanced_accuracy"))),
                difference=(
                    records.finite(records.dig(difference, "difference")),
                    *_ends(records.pair(records.dig(difference, "ci95"))),
                ),
                note="the reference" if reference else "not compared" if not difference else f"p {p}" if p else "",
                helped=records.helped(row),
            )
        )
    bests = []
    for kind, title in records.KINDS.items():
        top = records.best([row for row in rows if records.kind(row) == kind])
        if top:
            value = records.value(top, "balanced_accuracy")
            bests.append(f"{title.lower()}, best {records.name(top, rows)} {value:.3f}")
    return Figure(
        study_plots.forest(lines, records.KINDS, records.chance(report)),
        f"Forest plot of {len(rows)} arms by balanced accuracy per patient: {'; '.join(bests) or 'none defined'}.",
        "Left: balanced accuracy per patient of each arm with its 95% interval; the dashed line is chance. Right: its "
        "paired difference to the reference, the best arm that generates nothing, with 95% interval and Holm-adjusted "
        "p. By the rule a generative arm helped only if that interval lies wholly above 0 and p is below 0.05; the "
        "mark of one that did is filled.",
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
            runs[records.name(row, rows)] = points
    if not runs:
        return None
    ends = [value for points in runs.values() for value, _ in points]
    return Figure(
        study_plots.fold_strip(runs, records.chance(report)),
        f"A strip of dots for each of {len(runs)} arms: balanced accuracy in each test fold and seed, from "
        f"{min(ends):.2f} to {max(ends):.2f}.",
        "Each dot is the balanced accuracy per patient in one test fold with one seed; the black bar is their mean. A "
        "fold has few patients, so its dots scatter widely, but all arms see the same folds. A fold whose test "
        "patients are all of one class has no dot.",
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
        "Balanced accuracy per patient with its 95% interval (band) were the amount of added features fixed; grey: "
        "the other arms" + (f"; dashed: the reference, {reference}" if level is not None else "") + ". The highest "
        "point of a curve is picked after the fact and flatters; the table's arms chose their amount on validation "
        "patients.",
    )


def _reliability(report: Mapping, rows: Sequence[Mapping]) -> Figure | None:
    row_of_arm = {row.get("arm"): row for row in reversed(rows)}  # the first of an arm's rows
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


def _ends(interval: tuple[float, float] | None):
    return interval or (None, None)
