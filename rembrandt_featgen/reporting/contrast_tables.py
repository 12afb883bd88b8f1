"""The contrasts of a study, named before the test, for other programs (CSV) and for a paper."""

from __future__ import annotations

from collections.abc import Mapping

from rembrandt_featgen.reporting import records, verdict_records
from rembrandt_featgen.reporting.table_text import Table, cell, csv_text

_INTERVALS = ("ci95", "ci90", "simultaneous95")
_NUMBERS = ("error", "p_value", "p_adjusted", "detectable", "trainings")
_SIDES = ("without", "with")


def columns(name: str) -> list[str]:
    """Names of the columns of a difference, see `cells`."""
    ends = [f"{name}_{interval}_{end}" for interval in _INTERVALS for end in ("low", "high")]
    return [name, *ends, *(f"{name}_{number}" for number in _NUMBERS)]


def cells(difference: Mapping | None) -> list[float | None]:
    """A difference of report.json in full precision; None where something is not recorded."""
    row = [records.finite(records.dig(difference, "difference"))]
    for interval in _INTERVALS:
        row += records.pair(records.dig(difference, interval)) or (None, None)
    return [*row, *(records.finite(records.dig(difference, number)) for number in _NUMBERS)]


def contrasts_csv(report: Mapping) -> str:
    """A row for each contrast: its word, both sides and their differences, in full precision."""
    header = ["question", "word", *(f"{side}_{key}" for side in _SIDES for key in ("auroc", "log_loss", "chosen"))]
    header += [*columns("auroc_difference"), *columns("log_loss_difference")]
    header += ["nadeau_bengio_difference", "nadeau_bengio_ci95_low", "nadeau_bengio_ci95_high", "divisions"]
    rows = []
    for one in verdict_records.compared(report):
        row = [one.get("question"), one.get("word")]
        for side in _SIDES:
            row += [records.finite(records.dig(one, side, key)) for key in ("auroc", "log_loss")]
            row.append("; ".join(f"{name}: {n}" for name, n in verdict_records.chosen(one.get(side))))
        row += [*cells(one.get("difference")), *cells(one.get("log_loss_difference"))]
        corrected = one.get("nadeau_bengio")
        row.append(records.finite(records.dig(corrected, "difference")))
        row += records.pair(records.dig(corrected, "ci95")) or (None, None)
        row.append(records.finite(records.dig(corrected, "divisions")))
        rows.append(row)
    return csv_text(header, rows)


def contrasts_table(report: Mapping) -> Table:
    """The word of the best pipeline and of each classifier, and the differences that it rests on."""
    rows = []
    for one in verdict_records.compared(report):
        difference, loss, corrected = (one.get(key) for key in ("difference", "log_loss_difference", "nadeau_bengio"))
        rows.append(
            [
                str(one.get("question") or ""),
                verdict_records.known_word(one.get("word")),
                *(cell(records.finite(records.dig(one, side, "auroc")), None) for side in _SIDES),
                _gap(difference, verdict_records.shown_bounds(one)),
                records.p_text(records.dig(difference, "p_adjusted")),
                _corrected(corrected),
                cell(records.finite(records.dig(difference, "detectable")), None),
                _gap(loss, records.pair(records.dig(loss, "ci95"))),
                *(verdict_records.most_chosen(one.get(side)) for side in _SIDES),
            ]
        )
    margin = records.finite(report.get("margin"))
    return Table(
        "Does generation help the best pipeline, and each classifier? In each task validation patients (without "
        "any, the inner folds) chose one "
        "pipeline without generation and one with it (classifier/arm/amount); these met on the test patients. AUROC "
        "per patient. A difference is that with generation less that without, in brackets its 95% interval over new "
        "patients and new trainings, those of classifiers for all of them at once. Could be found: with 80% power."
        + (
            f" Equivalent: the 90% interval of the row by itself lies within {margin:g} of AUROC."
            if margin is not None
            else ""
        ),
        "tab:contrasts",
        [
            "Asked of",
            "Word",
            "AUROC without",
            "AUROC with",
            "Difference",
            "p",
            "Nadeau-Bengio",
            "Could be found",
            "Difference of log loss",
            "Chosen most often, without",
            "with",
        ],
        groups=[("", rows)] if rows else [],
    )


def _corrected(difference: Mapping | None) -> str:
    """A dash without its interval, as where the same patients are tested each time."""
    bounds = records.pair(records.dig(difference, "ci95"))
    return _gap(difference if bounds else None, bounds)


def _gap(difference: Mapping | None, bounds: tuple[float, float] | None) -> str:
    return cell(records.finite(records.dig(difference, "difference")), bounds, "+.3f")
