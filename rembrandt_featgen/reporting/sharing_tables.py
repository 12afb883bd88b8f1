"""What sharing synthetic patients loses and leaks: for other programs (CSV) and for a paper (LaTeX)."""

from __future__ import annotations

from collections.abc import Mapping

from rembrandt_featgen.reporting import records
from rembrandt_featgen.reporting.table_text import Table, cell, csv_text, latex

ATTACKS = {  # key of a report to the words of a column
    "closeness": "Closest record",
    "density_ratio": "Density ratio",
    "aligned_closeness": "Any class, aligned",
    "likelihood_ratio": "Likelihood ratio",
}
_AUDIT = ("share_nearer_1", "limit_1", "share_across_1", "limit_across_1", "median_ratio", "memorised_folds", "folds")


def files(report: Mapping) -> dict[str, str]:
    """File name to text: sharing.csv and sharing.tex."""
    return {"sharing.csv": sharing_csv(report), "sharing.tex": latex(table(report))}


def sharing_csv(report: Mapping) -> str:
    """A row for real patients and each generator, and one for each class of these, in full precision."""
    header = ["generator", "kind", "class", "word", "auroc", "auroc_ci95_low", "auroc_ci95_high"]
    header += ["lost", "lost_ci95_low", "lost_ci95_high", *_AUDIT]
    for name in ATTACKS:
        header += [name, f"{name}_ci95_low", f"{name}_ci95_high", f"{name}_caught"]
    real = report.get("real")
    rows = [["real", "none", "all", "", *_with(real, "auroc", "ci95"), *[None] * (len(header) - 7)]] if real else []
    for one in records.entries(report, "generators"):
        names = [one.get("generator"), one.get("kind")]
        row = [
            *names,
            "all",
            one.get("word"),
            *_with(one, "auroc", "ci95"),
            *_with(one.get("lost"), "difference", "ci95"),
        ]
        rows.append([*row, *_audited(one.get("memorisation")), *_attacked(one)])
        for label in records.dig(one, "memorisation", "by_class") or {}:
            audit = {**records.dig(one, "memorisation", "by_class", label), "folds": one["memorisation"].get("folds")}
            rows.append([*names, label, *[None] * 7, *_audited(audit), *_attacked(one, label)])
    return csv_text(header, rows)


def table(report: Mapping) -> Table:
    """Real patients and each generator: AUROC, what is lost, copies, and each attack."""
    rows = []
    for one in records.entries(report, "generators"):
        audit = one.get("memorisation")
        across = records.finite(records.dig(audit, "share_across_1"))
        rows.append(
            [
                str(one.get("generator")),
                gap(one, "auroc", "ci95"),
                gap(one.get("lost"), "difference", "ci95", form="+.3f"),
                cell(records.finite(records.dig(audit, "share_nearer_1")), None, ".2f"),
                "n/a" if across is None else cell(across, None, ".2f"),
                f"{records.dig(audit, 'memorised_folds')} of {records.dig(audit, 'folds')}",
                *(gap(records.dig(one, "attacks", name), "auroc", "ci95") for name in ATTACKS),
                cell(records.finite(records.dig(one, "attacks", "likelihood_ratio", "caught")), None, ".2f"),
                str(one.get("word") or ""),
            ]
        )
    real = report.get("real")
    head = [("", [["real patients", gap(real, "auroc", "ci95"), *[""] * 10]])] if real else []
    return Table(
        "Synthetic patients shared in place of real ones: what is lost and what leaks. AUROC per real patient, out of "
        "fold, of a ridge trained on synthetic samples alone; lost is the difference to one trained on real samples. "
        "Near copies: share of synthetic samples nearer to a training patient than the closest 1% of held-out "
        "patients; across: the same beside training patients of other classes, means of classes aligned; and folds in "
        "which the audit calls the generator a copier. Attacks: AUROC of telling members from "
        "others; caught: members that the likelihood ratio finds where it wrongly names 10% of the others. "
        "95% intervals over patients.",
        "tab:sharing",
        [
            "Generator",
            "AUROC",
            "Lost",
            "Near copies",
            "Across",
            "Copier in folds",
            *ATTACKS.values(),
            "Caught",
            "Leaks",
        ],
        groups=[*head, *([("", rows)] if rows else [])],
    )


def gap(record, key: str, bounds: str, *, form: str = ".3f") -> str:
    """A value of a record with its bounds."""
    return cell(records.finite(records.dig(record, key)), records.pair(records.dig(record, bounds)), form)


def _with(record, key: str, bounds: str) -> list[float | None]:
    ends = records.pair(records.dig(record, bounds)) or (None, None)
    return [records.finite(records.dig(record, key)), *ends]


def _audited(audit) -> list[float | None]:
    return [records.finite(records.dig(audit, name)) for name in _AUDIT]


def _attacked(one: Mapping, label: str = "") -> list[float | None]:
    row = []
    for name in ATTACKS:
        attack = records.dig(one, "attacks", name)
        part = records.dig(attack, "by_class", label) if label else attack
        row += [*_with(part, "auroc", "ci95"), records.finite(records.dig(part, "caught"))]
    return row
