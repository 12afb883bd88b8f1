"""Tables of a study for other programs (CSV) and for a paper (LaTeX, booktabs)."""

from __future__ import annotations

from collections.abc import Mapping

from rembrandt_featgen.reporting import checklist, contrast_tables, measure_titles, records, verdict_records
from rembrandt_featgen.reporting.table_text import Table, cell, csv_text, latex


def files(report: Mapping) -> dict[str, str]:
    """Name to text of every table of a study: contrasts, arms and generators as .csv and .tex, both checklists as .csv.

    Args:
      report: what a study's report.json holds; any key may be missing or None.
    """
    return {name: write(report) for name, write in _FILES.items()}


def arms_csv(report: Mapping) -> str:
    """A row for each arm and unit with all measures in full precision; what is not defined is empty."""
    names = records.class_names(report)
    keys = [measure.key for measure in measure_titles.arm_measures(names)]
    header = ["unit", "kind", "arm", "classifier", *(f"n_{name}" for name in names)]
    header += [name for key in keys for name in (key, f"{key}_ci95_low", f"{key}_ci95_high")]
    header += ["difference_against", "difference_measure", *contrast_tables.columns("difference")]
    rows = []
    sample = "sample" if records.made_elsewhere(report) else "slice"
    for unit in records.UNITS:
        for row in records.arms(report, unit):
            cells = [sample if unit == "slice" else unit, records.kind(row), row.get("arm"), row.get("classifier")]
            cells += [records.dig(row, "n", name) for name in names]
            for key in keys:
                cells += [records.value(row, key), *(records.bounds(row, key) or (None, None))]
            difference = row.get("difference")
            cells += [records.dig(difference, name) for name in ("against", "measure")]
            cells += contrast_tables.cells(difference)
            rows.append(cells)
    return csv_text(header, rows)


def generators_csv(report: Mapping) -> str:
    """A row for each generator: all measures, their standard deviation over folds, and the audit of memorisation."""
    measures = _of_generators(report)
    header = ["arm", "memorisation_memorised"]
    header += [name for m in measures for name in (m.key.replace(".", "_"), f"{m.key.replace('.', '_')}_sd")]
    rows = [
        [
            row.get("arm"),
            records.dig(row, "memorisation", "memorised"),
            *(records.value(row, key) for m in measures for key in (m.key, f"{m.key}_sd")),
        ]
        for row in records.entries(report, "generators")
    ]
    return csv_text(header, rows)


def arms_table(report: Mapping) -> Table:
    """Arms by kind: measures per patient with their intervals, and the difference of AUROC to the reference."""
    rows, names = records.arms(report), records.class_names(report)
    titles = {measure.key: measure.title for measure in measure_titles.arm_measures(names)}
    # Whether the interval of each fits in; the CSV has all measures and intervals.
    printed = {
        "auroc": True,
        "log_loss": False,
        "balanced_accuracy": True,
        **{f"accuracy_{name}": False for name in names},
        "brier": False,
        "ece": False,
    }
    groups = []
    for heading, members in records.headed(report, rows).items():
        lines = []
        for row in members:
            difference = row.get("difference")
            gap = records.finite(records.dig(difference, "difference"))
            shown = [
                cell(records.value(row, key), records.bounds(row, key) if wide else None)
                for key, wide in printed.items()
            ]
            apart = cell(gap, verdict_records.simultaneous(difference), "+.3f")
            apart = "reference" if records.is_reference(report, row) else apart
            p = records.p_text(records.dig(difference, "p_adjusted"))
            lines.append([records.name(row, [row]), *shown, apart, p])
        groups.append((heading, lines))
    total = records.total(records.dig(report, "cohort", "patients"))
    return Table(
        f"Arms of the study{f', {total} patients' if total else ''}. All measures are per patient, out of fold; in "
        "brackets 95% intervals over new patients and new trainings. The difference is that of AUROC to the reference "
        "of the same classifier, with bounds and p that hold for all arms at once.",
        "tab:arms",
        ["Arm", *(titles[key] for key in printed), "Difference of AUROC", "p, adjusted"],
        groups=groups,
    )


def generators_table(report: Mapping) -> Table:
    """Measures in rows, generators in columns: means over folds with their standard deviation."""
    rows = records.entries(report, "generators")
    lines = [[measure.title, *(_spread(row, measure) for row in rows)] for measure in _of_generators(report)]
    answers = {True: "yes", False: "no"}
    memorised = [answers.get(records.dig(row, "memorisation", "memorised"), "") for row in rows]
    lines.append(["Memorises training features", *memorised])
    return Table(
        "Generators of features: mean over folds, with the standard deviation over folds where it is known.",
        "tab:generators",
        ["Measure", *(str(row.get("arm")) for row in rows)],
        groups=[("", lines)],
    )


def _of_generators(report: Mapping) -> tuple[measure_titles.Measure, ...]:
    """Measures of generators, in the order of the tables."""
    measures = measure_titles.generator_measures(records.class_names(report), records.is_judged(report))
    return measures + measure_titles.MEMORISATION_MEASURES


def _spread(row: Mapping, measure: measure_titles.Measure) -> str:
    """ "0.712 (0.031)"; a dash where it is not defined."""
    value, deviation = records.value(row, measure.key), records.value(row, f"{measure.key}_sd")
    text = "" if value is None or deviation is None else f" ({deviation:{measure.form}})"
    return cell(value, None, measure.form) + text


_FILES = {
    "contrasts.csv": contrast_tables.contrasts_csv,
    "contrasts.tex": lambda report: latex(contrast_tables.contrasts_table(report)),
    "arms.csv": arms_csv,
    "arms.tex": lambda report: latex(arms_table(report)),
    "generators.csv": generators_csv,
    "generators.tex": lambda report: latex(generators_table(report)),
    "checklist_claim.csv": lambda report: csv_text(checklist.Item._fields, checklist.claim(report)),
    "checklist_tripod_ai.csv": lambda report: csv_text(checklist.Item._fields, checklist.tripod(report)),
}
NAMES = tuple(_FILES)  # of the files that belong beside the page
