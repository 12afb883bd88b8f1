"""How a study divided its patients, in words, from a report.json of which any key may be missing."""

from __future__ import annotations

from collections.abc import Mapping

from rembrandt_featgen.reporting import records

FEW_SITES = 10  # fewer say little of new ones


def tested(report: Mapping) -> Mapping | None:
    """Class to number of the patients who were tested, each once in a training; None where that is not known."""
    return next((row["n"] for row in records.arms(report) if records.total(row.get("n"))), None)


def tested_of_more(report: Mapping) -> Mapping | None:
    """The same, where patients of the cohort are never tested."""
    counts = tested(report)
    everyone, some = records.total(records.dig(report, "cohort", "patients")), records.total(counts)
    return counts if everyone and some and some < everyone else None


def counted(patients) -> str:
    """ "170 patients (108 malignant, 62 benign)"; empty if unknown."""
    total = records.total(patients)
    return "" if total is None else f"{total} patients ({', '.join(f'{n} {name}' for name, n in patients.items())})"


def repetitions(report: Mapping) -> list[str]:
    """What was done again and again, to see how much chance there is in it."""
    repeats, seeds = (records.finite(records.dig(report, "cross_validation", key)) or 1 for key in ("repeats", "seeds"))
    return [f"{repeats:.0f} divisions of the patients"] * (repeats > 1) + [f"{seeds:.0f} seeds"] * (seeds > 1)


def sites(report: Mapping) -> int:
    """Number of sites; 0 where none are known."""
    known = records.dig(report, "cohort", "sites")
    return len(known) if isinstance(known, Mapping) else 0


def division(report: Mapping) -> str:
    """Who trained, validated and was tested, in a sentence; "" where it is not recorded."""
    validation = records.dig(report, "cross_validation")
    folds, repeats, seeds = (records.finite(records.dig(validation, key)) for key in ("folds", "repeats", "seeds"))
    if folds is None:
        return ""
    grouping, plan = records.grouping(report) or "an unrecorded unit", records.dig(validation, "plan")
    again = f", with {seeds:.0f} seeds each" if (seeds or 1) > 1 else ""
    if plan == "fresh":
        return (
            f"The same fresh patients, from whom nothing is ever learnt, are tested {repeats or 1:.0f} times, each "
            f"time by what was learnt without another part of the other patients{again}"
            + _validating(report, "learnt from")
        )
    if plan == "hold-out":
        text = f"One part of the patients is tested, divided by {grouping}"
    elif plan == "sites":
        text = f"Each of {folds:.0f} sites is tested once by what was learnt from the other sites"
    else:
        text = f"{folds:.0f}-fold cross-validation by {grouping}, stratified by class"
        text += " as far as sites allow" if grouping == "site" else ""
    often = f"{repeats:.0f} times " if (repeats or 1) > 1 else ""
    return f"{often}{text}{again}{_validating(report, 'not tested')}"


def _validating(report: Mapping, others: str) -> str:
    share = records.finite(records.dig(report, "cross_validation", "validation_fraction"))
    return f"; {share:.0%} of the patients that are {others} choose settings (validation)." if share else "."
