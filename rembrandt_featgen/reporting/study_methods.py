"""A paragraph on methods, to copy into a paper, put together from a report.json of which any key may be missing."""

from __future__ import annotations

from collections.abc import Mapping

from rembrandt_featgen.classification import classifier_kinds
from rembrandt_featgen.core.provenance import THIS
from rembrandt_featgen.features import vector_preparation
from rembrandt_featgen.measures import differences
from rembrandt_featgen.reporting import contrast_words, records, study_design
from rembrandt_featgen.reporting.checklist_features import features

_CLASSIFIERS = {
    "ridge": "multinomial logistic regression with an L2 penalty",
    "mlp": "a perceptron of one hidden layer with weight decay",
    "neighbours": "votes of the nearest samples",
    "cnn": "a convolutional network of feature maps",
    "linear": "logistic regression of feature maps averaged over a grid",
}
_ARMS = {
    "none": "real samples alone",
    "classical": "without a generator",
    "generative": "with generated samples",
    "control": "controls, which could not be chosen",
}


def paragraph(report: Mapping) -> str:
    """Patients, plan, features, classifiers, arms, contrast, statistics and software; what is not known is left out."""
    parts = (_patients, _features, _plan, _classifiers, _arms, _contrast, _statistics, _software)
    return " ".join(text for part in parts if (text := part(report)))


def classifiers(report: Mapping) -> dict[str, str]:
    """Classifier that ran to what it is."""
    names = sorted({str(row["classifier"]) for row in records.arms(report) if row.get("classifier")})
    return {name: _CLASSIFIERS.get(classifier_kinds.base_of(name), "") for name in names}


def _patients(report: Mapping) -> str:
    counted = study_design.counted(records.dig(report, "cohort", "patients"))
    groups = records.groups(report)
    return f"We studied {counted}{f' in {groups:.0f} groups' if groups else ''}." if counted else ""


def _features(report: Mapping) -> str:
    if not records.made_elsewhere(report):
        known = any(records.dig(report, "settings", name) for name in ("tap", "vectors"))
        return f"Features were {features(report)}." if known else ""
    shape = records.dig(report, "cohort", "numbers")
    sizes = [size for one in shape if (size := records.finite(one)) is not None] if isinstance(shape, list) else []
    if not sizes:
        return ""
    number = " x ".join(f"{size:.0f}" for size in sizes)
    if len(sizes) > 1:
        return f"Features were maps of {number} numbers, scaled by training patients."
    components = records.finite(records.dig(report, "settings", "components"))
    reduced = f", and reduced to at most {components:.0f} principal components," if components else ""
    return (
        f"Features were {number} numbers of each sample; missing ones were replaced by the median and columns "
        f"standardised (stopping at {vector_preparation.FAR:g} deviations){reduced} by training patients alone."
    )


def _plan(report: Mapping) -> str:
    return f"Design: {text[:1].lower()}{text[1:]}" if (text := study_design.division(report)) else ""


def _classifiers(report: Mapping) -> str:
    known = classifiers(report)
    if not known:
        return ""
    listed = "; ".join(f"{name}{f', {words}' if words else ''}" for name, words in known.items())
    fixed = [name for name in known if "@" in name]
    parts = records.finite(records.dig(report, "settings", "inner_folds"))
    by = f"{parts:.0f}-fold inner cross-validation" if parts else "inner cross-validation"
    text = f"Classifiers were: {listed}."
    if len(fixed) < len(known):
        text += f" Regularisation was tuned for each arm, amount and classifier alike by {by} over training patients"
        text += f"; that of {', '.join(fixed)} was fixed at the number in its name." if fixed else "."
    else:
        text += " Regularisation was fixed at the number in the name."
    return text


def _arms(report: Mapping) -> str:
    rows = records.arms(report)
    listed: list[str] = []
    for kind, title in _ARMS.items():
        names = list(dict.fromkeys(str(row.get("arm") or "unnamed") for row in rows if records.kind(row) == kind))
        listed += [f"{title} ({', '.join(names)})"] if names else []
    return f"Compared were ways to train: {'; '.join(listed)}." if listed else ""


def _contrast(report: Mapping) -> str:
    if contrast_words.best(report) is None:
        return ""
    return (
        "In each task validation patients chose, by log loss, one pipeline without generation and one with it, "
        "of all arms, amounts and classifiers; these two met on the test patients. The statistic was the difference of "
        "their AUROC per patient, over pairs of patients of the same fold."
    )


def _statistics(report: Mapping) -> str:
    best = contrast_words.best(report)
    if best is None:
        return ""
    draws, margin = (
        records.finite(records.dig(report, "settings", "bootstrap_draws")),
        records.finite(report.get("margin")),
    )
    trainings = records.finite(records.dig(best, "difference", "trainings"))
    resamples = f", {draws:.0f} resamples" if draws else ""
    chance = f" and new trainings ({trainings:.0f} trainings)" if trainings else ""
    text = f"Its 95% interval was over new patients (bootstrap within classes{resamples}){chance}."
    if margin is not None:
        text += (
            f" Equivalence was two one-sided tests within {margin:g} of AUROC (the 90% interval); with fewer than "
            f"{differences.TRAININGS} trainings nothing was decided. Differences of single classifiers and arms have "
            "bounds that hold for all of them at once."
        )
    return text


def _software(report: Mapping) -> str:
    versions = report.get("versions")
    if not isinstance(versions, Mapping) or not versions:
        return f"Software: {THIS}."
    named = [
        f"{name} {versions[name]}"
        for name in (THIS, "tensorflow", "scikit-learn")
        if isinstance(versions.get(name), str)
    ]
    commit = report.get("commit")
    return f"Software: {', '.join(named or [THIS])}{f' (commit {commit})' if isinstance(commit, str) else ''}."
