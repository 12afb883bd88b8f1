"""How a study divided its patients, in words, from a report.json of which any key may be missing."""

from __future__ import annotations

from collections.abc import Mapping

from rembrandt_featgen.evaluation.arms import ORACLE
from rembrandt_featgen.reporting import records

FEW_SITES = 10  # fewer say little of new ones


def is_few_shot(report: Mapping) -> bool:
    """Whether training patients of one class were drawn again and again; nobody validates in such a study."""
    return records.dig(report, "cross_validation", "plan") == "few-shot"


def choosers(report: Mapping) -> str:
    """Who chose settings."""
    return "inner folds of the training patients" if is_few_shot(report) else "validation patients"


def tested(report: Mapping) -> Mapping | None:
    """Class to number of the patients who were tested, each once in a training; None where that is not known."""
    return next((row["n"] for row in records.arms(report) if records.total(row.get("n"))), None)


def tested_of_more(report: Mapping) -> Mapping | None:
    """The same, where patients of the cohort are never tested."""
    counts = tested(report)
    everyone, some = records.total(records.dig(report, "cohort", "patients")), records.total(counts)
    return counts if everyone and some and some < everyone else None


def counted(patients, unit: str = "patients") -> str:
    """ "170 patients (108 malignant, 62 benign)"; empty if unknown."""
    total = records.total(patients)
    return "" if total is None else f"{total} {unit} ({', '.join(f'{n} {name}' for name, n in patients.items())})"


def repetitions(report: Mapping) -> list[str]:
    """What was done again and again, to see how much chance there is in it."""
    repeats, seeds = (records.finite(records.dig(report, "cross_validation", key)) or 1 for key in ("repeats", "seeds"))
    if is_few_shot(report):
        return [f"{repeats:.0f} draws of training patients"]
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
    if plan == "few-shot":
        return _few_shot(report, repeats or 1)
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


def few_shot_facts(report: Mapping) -> dict[str, str]:
    """What the page tells of a study of few patients of a class, title to value; {} of any other study."""
    if not is_few_shot(report):
        return {}
    draws, shots, more = _numbers(report)
    name, unit = _rarest(report), _unit(report)
    facts = {
        "plan": "few-shot",
        "draws of training patients": f"{draws:.0f}",
        f"trained on, of {name}": f"{shots} {unit} in each draw",
        "trained on, of other classes": f"all {unit} who are not tested",
        "trainings of each draw": "1",
        "tested": counted(tested(report)) and f"{counted(tested(report))}, the same in all draws",
        "validation": f"none: {choosers(report)} choose",
        f"added by the arm {ORACLE}": more and f"up to {more} further real {unit} of {name}",
    }
    return {title: value for title, value in facts.items() if value}


def _few_shot(report: Mapping, draws: float) -> str:
    _, shots, more = _numbers(report)
    name, unit, of_test = _rarest(report), _unit(report), counted(tested(report))
    text = (
        f"Few-shot: {draws:.0f} draws, in each of which {shots} {unit} of {name}, drawn anew, are trained on once, "
        f"beside all training {unit} of the other classes; "
    )
    text += f"the same {of_test} are tested after each draw" if of_test else "the same patients are tested each time"
    text += f" and never trained on; nobody validates: {choosers(report)} choose settings"
    if more:
        text += f"; the arm {ORACLE} adds up to {more} further real {unit} of {name}, whom no other arm sees"
    return f"{text}."


def _numbers(report: Mapping) -> tuple[float, str, str]:
    """Draws, patients of the rarest class in each, and those whom the oracle adds ("" where it is no arm)."""
    draws = records.finite(records.dig(report, "cross_validation", "repeats")) or 1
    shots, more = (records.finite(records.dig(report, "settings", name)) for name in ("shots", "oracle_groups"))
    there = any(row.get("arm") == ORACLE for row in records.arms(report))
    return draws, "a few" if shots is None else f"{shots:.0f}", f"{more:.0f}" if more and there else ""


def _unit(report: Mapping) -> str:
    return "groups of patients" if records.groups(report) else "patients"


def _rarest(report: Mapping) -> str:
    """Name of the class of the fewest patients, of which few are trained on."""
    patients = records.dig(report, "cohort", "patients")
    return "the rarest class" if records.total(patients) is None else str(min(patients, key=patients.get))


def _validating(report: Mapping, others: str) -> str:
    share = records.finite(records.dig(report, "cross_validation", "validation_fraction"))
    return f"; {share:.0%} of the patients that are {others} choose settings (validation)." if share else "."
