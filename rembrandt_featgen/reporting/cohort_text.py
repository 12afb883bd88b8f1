"""The report of a cohort as plain text, and its patients as CSV."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from rembrandt_featgen.reporting import page, records
from rembrandt_featgen.reporting.table_text import csv_text

TEXT, CSV = "cohort.txt", "patients.csv"
_WIDTH = 110


def text(report: Mapping) -> str:
    """What the page says, but for its figures."""
    names = records.class_names(report)
    noun = records.dig(report, "cohort", "noun") or "patients"
    lines = [str(report.get("verdict") or ""), "", f"source: {records.dig(report, 'cohort', 'source')}"]
    found = {name: records.dig(report, "cohort", key) for name, key in (("layout", "layout"), ("labels of", "table"))}
    lines += [f"{name}: {value}" for name, value in found.items() if value]
    lines += _listed(
        "cannot be used", [f"{one.get('patient')}: {one.get('problem')}" for one in _entries(report, "problems")]
    )
    lines += _listed("to look at", [line for line in report.get("findings") or [] if line] or ["nothing"])
    lines += _listed("how it was read", [str(line) for line in records.dig(report, "cohort", "notes") or [] if line])
    rows = {**(records.dig(report, "cohort", "sites") or {}), "all": records.dig(report, "cohort", "patients")}
    counts = {site or "site not known": [_count(of_class, name) for name in names] for site, of_class in rows.items()}
    lines += _table(noun, names, counts)
    axes = records.dig(report, "sizes", "axes") or {}
    ranges = {axis: [_three(entry, "size"), _three(entry, "mm")] for axis, entry in axes.items()}
    lines += _table("sizes: lowest, median, highest", ("number", "mm apart"), ranges)
    spacing = records.dig(report, "spacing") or {}
    if spacing:
        lines.append(f"  spacing is {'real' if spacing.get('real') else 'unknown'}: {spacing.get('why')}")
    for modality, sites in (report.get("intensities") or {}).items():
        nowhere = "all" if len(sites or {}) < 2 else "site not known"
        medians = {site or nowhere: [_count(one, "patients"), _three(one)] for site, one in (sites or {}).items()}
        lines += _table(
            f"intensities of {modality}: medians of the foreground", (noun, "lowest, median, highest"), medians
        )
    tumours = records.dig(report, "tumours") or {}
    volumes = {
        name: [_count(one, "patients"), _count(one, "empty"), _three(one)]
        for name, one in (tumours.get("classes") or {}).items()
    }
    head = (noun, "empty masks", f"{tumours.get('unit')}: lowest, median, highest")
    return "\n".join([*lines, *_table("tumours", head, volumes)]) + "\n"


def patients_csv(report: Mapping) -> str:
    """A row for each patient, with all that was measured."""
    patients, modalities = _entries(report, "patients"), list(report.get("modalities") or [])
    keys = {
        name: list(records.dig(one, "intensities", name) or {})
        for one in patients
        for name in one.get("intensities") or {}
    }
    header = ["patient", "label", "group", "site", "slices", "rows", "columns", "mm_slices", "mm_rows", "mm_columns"]
    header += ["tumour_voxels", "tumour_ml", "tumour_slices", "largest_slice", "moved"]
    header += [f"{name}_{key}" for name in modalities for key in keys.get(name, [])] + ["problem"]
    rows = []
    for one in patients:
        row = [one.get(key) for key in ("patient", "label", "group", "site")]
        row += _three_of(one.get("shape")) + _three_of(one.get("spacing"))
        measured = ("tumour_voxels", "tumour_ml", "tumour_slices", "largest_slice", "moved")
        row += [None if one.get("problem") else one.get(key) for key in measured]
        row += [records.dig(one, "intensities", name, key) for name in modalities for key in keys.get(name, [])]
        rows.append([*row, one.get("problem")])
    return csv_text(header, rows)


def _entries(report: Mapping, key: str) -> list[Mapping]:
    return records.entries(report, key)


def _three_of(values: Sequence | None) -> list:
    return list(values) if values else [None] * 3


def _count(entry: Mapping | None, key: str) -> str:
    """A count; a dash where it is missing."""
    value = records.finite(records.dig(entry, key))
    return "-" if value is None else f"{value:.0f}"


def _three(entry: Mapping | None, *key: str) -> str:
    """Lowest, median and highest of a range, which may be below a key."""
    values = [records.finite(records.dig(entry, *key, end)) for end in ("low", "middle", "high")]
    return " ".join("-" if value is None else page.short(value) for value in values)


def _listed(heading: str, lines: Sequence[str]) -> list[str]:
    """A heading and a list below it; nothing without lines."""
    wrapped = [textwrap.fill(line, _WIDTH, initial_indent="  - ", subsequent_indent="    ") for line in lines]
    return ["", heading, *wrapped] if lines else []


def _table(heading: str, head: Sequence[str], rows: Mapping[str, Sequence[str]]) -> list[str]:
    """A heading and columns below it, a row for each name; nothing without rows."""
    if not rows:
        return []
    first = max(map(len, rows))
    widths = [max(len(title), *(len(cells[i]) for cells in rows.values())) for i, title in enumerate(head)]
    lines = [
        "  ".join(["  " + name.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, widths))])
        for name, cells in {"": head, **rows}.items()
    ]
    return ["", heading, *lines]
