"""Tables of a few-shot study: for other programs (CSV) and for a paper (LaTeX)."""

from __future__ import annotations

from collections.abc import Mapping

from rembrandt_featgen.reporting import contrast_tables, generator_tables, records, verdict_records
from rembrandt_featgen.reporting.table_text import Table, cell, csv_text, latex

_SHARES = ("judge", "discriminator", "of_asked")  # of generated maps that were accepted
_NAMES = ("shots", "classifier", "arm", "kind", "word")


def files(report: Mapping) -> dict[str, str]:
    """File name to text: few_shot.csv, few_shot_contrasts, ..._generators, ..._curves, ..._acceptance, few_shot.tex."""
    made = {
        "few_shot.csv": rows_csv(report),
        "few_shot_contrasts.csv": contrasts_csv(report),
        "few_shot_curves.csv": curves_csv(report),
        "few_shot.tex": latex(table(report)),
    }
    if generator_tables.rows_of(report):
        made["few_shot_generators.csv"] = generator_tables.generators_csv(report)
        made["few_shot.tex"] += latex(generator_tables.generators_table(report))
    if shares := accepted(report):
        header = ["shots", "arm", "class", *_SHARES]
        made["few_shot_acceptance.csv"] = csv_text(header, [list(one.values()) for one in shares])
    return made


def accepted(report: Mapping) -> list[dict]:
    """Of each number of shots, generator of maps and class, the shares of its maps that were accepted.

    "judge" and "discriminator" (None where it cannot refuse) are shares of what was generated, "of_asked" the share of
    what was asked for that the judge accepted.
    """
    found = []
    for shots, arms in (report.get("acceptance") or {}).items():
        for arm, shares in arms.items():
            for name in shares.get("judge") or {}:
                known = {key: records.finite(records.dig(shares, key, name)) for key in _SHARES}
                found.append({"shots": shots, "arm": arm, "class": name, **known})
    return found


def rows_csv(report: Mapping) -> str:
    """A row for each arm, classifier and number of shots, in full precision."""
    header = [*_NAMES, "auroc", "auroc_ci95_low", "auroc_ci95_high", "log_loss"]
    header += [*contrast_tables.columns("auroc_difference"), *contrast_tables.columns("log_loss_difference")]
    header += ["worth_patients", "worth_ci95_low", "worth_ci95_high", "worth"]
    rows = []
    for one in records.entries(report, "rows"):
        row = [one.get(name) for name in _NAMES] + [records.finite(one.get("auroc"))]
        row += [*(records.pair(one.get("ci95")) or (None, None)), records.finite(one.get("log_loss"))]
        row += [*contrast_tables.cells(one.get("difference")), *contrast_tables.cells(one.get("log_loss_difference"))]
        low, high = records.dig(one, "worth", "ci95") or (None, None)
        worth = records.finite(records.dig(one, "worth", "patients"))
        rows.append([*row, worth, records.finite(low), records.finite(high), records.dig(one, "worth", "text")])
    return csv_text(header, rows)


def contrasts_csv(report: Mapping) -> str:
    """A row for each contrast of the best pipelines, in full precision."""
    sides = ("without", "with")
    header = ["question", "shots", "word", *(f"{side}_{key}" for side in sides for key in ("auroc", "chosen"))]
    header += [*contrast_tables.columns("auroc_difference"), *contrast_tables.columns("log_loss_difference")]
    header += contrast_tables.columns("auroc_difference_to_none")
    rows = []
    for one in verdict_records.compared(report):
        row = [one.get("question"), one.get("shots"), one.get("word")]
        for side in sides:
            row.append(records.finite(records.dig(one, side, "auroc")))
            row.append("; ".join(f"{name}: {n}" for name, n in verdict_records.chosen(one.get(side))))
        row += contrast_tables.cells(one.get("difference"))
        row += contrast_tables.cells(one.get("log_loss_difference"))
        rows.append(row + contrast_tables.cells(one.get("difference_to_none")))
    return csv_text(header, rows)


def curves_csv(report: Mapping) -> str:
    """A row for each point of each learning curve of real samples alone; the last has the rise from the first."""
    header = ["classifier", "patients", "auroc", "auroc_ci95_low", "auroc_ci95_high"]
    rows = []
    for one in records.entries(report, "curves"):
        points = records.entries(one, "points")
        for number, point in enumerate(points, 1):
            row = [one.get("classifier"), point.get("patients"), records.finite(point.get("auroc"))]
            row += records.pair(point.get("ci95")) or (None, None)
            rows.append(row + contrast_tables.cells(one.get("rise") if number == len(points) else None))
    return csv_text([*header, *contrast_tables.columns("rise")], rows)


def table(report: Mapping) -> Table:
    """All rows, those of a number of shots and a classifier together."""
    groups: dict[str, list[list[str]]] = {}
    for one in records.entries(report, "rows"):
        gap = one.get("difference")
        groups.setdefault(f"{one.get('shots')} {unit(report)}, {one.get('classifier')}", []).append(
            [
                str(one.get("arm") or ""),
                verdict_records.known_word(one.get("word")),
                cell(records.finite(one.get("auroc")), records.pair(one.get("ci95"))),
                cell(records.finite(records.dig(gap, "difference")), verdict_records.simultaneous(gap), "+.3f"),
                cell(records.finite(records.dig(gap, "detectable")), None),
                cell(records.finite(records.dig(one, "log_loss_difference", "difference")), None, "+.3f"),
                str(records.dig(one, "worth", "text") or ("n/a" if one.get("difference") else "")),
            ]
        )
    margin, draws = records.finite(report.get("margin")), records.finite(report.get("draws"))
    return Table(
        f"Few {unit(report)} of class {report.get('cut') or 'that is rare'} to train on"
        + (f", drawn {draws:g} time{'s' * (draws != 1)}" if draws is not None else "")
        + ": AUROC per patient with its 95% interval, and the difference to real samples alone with bounds that hold "
        "for all rows at once, over new patients (tested and trained on) and new draws. Could be found: by these, with "
        f"80% power. Worth: real {unit(report)} more that would do the same (n/a for what is "
        "the end of the curve itself)."
        + " Helped and harmed go by these bounds; equivalent: the 90% interval of the row by itself (in few_shot.csv)"
        + ("." if margin is None else f" lies within {margin:g} of AUROC."),
        "tab:few-shot",
        ["Arm", "Word", "AUROC", "Difference", "Could be found", "Difference of log loss", f"Worth ({unit(report)})"],
        groups=list(groups.items()),
    )


def unit(report: Mapping) -> str:
    """What shots count."""
    return str(report.get("unit") or "patients")
