"""Answers to reporting checklists of a study whose features were made elsewhere: it saw no volume, no mask."""

from __future__ import annotations

from collections.abc import Mapping

from rembrandt_featgen.features import vector_preparation
from rembrandt_featgen.reporting import records, study_design, study_methods
from rembrandt_featgen.reporting.checklist_answers import PARTLY, REPORTED, Answer, for_authors, not_done


def of_table(report: Mapping) -> dict[str, Answer]:
    """Answers that take the place of those on volumes and U-Nets; see `records.made_elsewhere`."""
    shape = records.dig(report, "cohort", "numbers")
    vectors = isinstance(shape, list) and len(shape) == 1
    samples = records.finite(records.dig(report, "cohort", "samples"))
    sizes = [records.finite(one) for one in shape] if isinstance(shape, list) else []
    size = " x ".join(f"{one:.0f}" for one in sizes if one is not None) or "an unrecorded number of"
    counted = f"{samples:.0f} samples of {size} numbers" if samples else f"samples of {size} numbers"
    prepared = _prepared(report) if vectors else "Channels are scaled by training patients."
    classes, column = " or ".join(records.class_names(report)), records.dig(report, "settings", "label_column")
    given = f"as the column {column} gives it" if isinstance(column, str) and column else "as given with the features"
    answers = {
        "preprocessing": Answer(
            PARTLY,
            f"Features were made elsewhere; the run read {counted}. {prepared} Not compared between groups of "
            "patients. Authors: what was done to the data before.",
        ),
        "subset": Answer(PARTLY, f"All of the {counted}. Authors: what they are of."),
        "missing": _missing(report, vectors),
        "poor_input": _poor_input(vectors),
        "users": Answer(
            PARTLY,
            "Users give a row of the same columns for each sample; there is no other interaction. Authors: how the "
            "features are made."
            if vectors
            else "Users give maps of the same shape and channels; there is no other interaction. Authors: how they are "
            "made.",
        ),
        "predictors": Answer(
            PARTLY,
            f"All {'columns' if vectors else 'channels'} that were given{_components(report)}; the run selected none "
            "by the outcome. Authors: how they were chosen before.",
        ),
        "predictors_defined": for_authors("what each feature measures; the run read numbers that were made elsewhere"),
        "predictor_assessors": for_authors("who or what made the features, and whether the classes were known to them"),
        "predictor_handling": Answer(REPORTED, prepared),
        "model": _model(report, vectors),
        "selection": Answer(REPORTED, _selection(report, vectors)),
        "specification": Answer(PARTLY, "Source, settings and data reproduce every model. Authors: where they are."),
        "predictions": Answer(
            REPORTED, "By the classifiers that each run trained, for patients whom that run did not train on."
        ),
        "output": Answer(REPORTED, _output(report)),
        "ensembles": not_done("each run's model predicts alone; only a patient's samples are pooled."),
        "design": Answer(PARTLY, "Stored data were analysed. Authors: whether they were collected for this study."),
        "robustness": _robustness(report),
        "title": for_authors(
            "a title that says: development and internal evaluation of machine learning, what is "
            "classified, and from what"
        ),
        "acquisition": for_authors("how the data were acquired; the run read features that were made elsewhere"),
        "deidentification": for_authors("how data were de-identified; the run shows only the names that it was given"),
        "annotators": for_authors("who assigned the classes, and their qualifications"),
        "test_annotation": for_authors("how; the run takes the classes of all patients from the same source"),
        "raters": for_authors("agreement of raters; the run sees one class for each sample"),
        "blinding": for_authors("whether those who assigned the classes knew the features"),
        "data_sharing": for_authors("where others get the data; the run holds paths, not rights"),
        "dates": for_authors("when the data were collected"),
        "treatments": for_authors("treatments before the data were collected"),
        "outcome": Answer(
            PARTLY,
            f"Class of the patient{f', {classes}' if classes else ''}, {given}; no time horizon. Authors: what the "
            "classes mean, and how they were established.",
        ),
    }
    known = study_methods.classifiers(report)
    if vectors and known:
        listed = "; ".join(f"{name}{f': {words}' if words else ''}" for name, words in known.items())
        answers["training"] = Answer(REPORTED, f"{listed}. Steps and stopping: the program's source.")
    return answers


def _prepared(report: Mapping) -> str:
    return (
        "Learnt from training patients alone: a missing value becomes the median of its column, columns are "
        f"standardised and stop at {vector_preparation.FAR:g} deviations, and a column that is constant in training "
        f"becomes 0{_components(report)}."
    )


def _components(report: Mapping) -> str:
    number = records.finite(records.dig(report, "settings", "components"))
    return f", as at most {number:.0f} principal components of training patients" if number else ""


def _missing(report: Mapping, vectors: bool) -> Answer:
    count = records.finite(records.dig(report, "cohort", "missing"))
    left_out = "A sample without patient or class stops the program. The run does not know whom the authors left out."
    if not vectors:
        return Answer(PARTLY, f"Maps with missing values stop the program. {left_out}")
    amount = "an unrecorded number of" if count is None else f"{count:.0f}"
    return Answer(
        PARTLY,
        f"Missing among the features: {amount} values. Each becomes the median of its column in the training part, "
        f"also in patients who are tested; there is no multiple imputation. {left_out}",
    )


def _poor_input(vectors: bool) -> Answer:
    if not vectors:
        return Answer(REPORTED, "The program refuses maps with missing values and imputes nothing.")
    return Answer(
        REPORTED,
        "A missing value becomes the median of its column in training patients. Nothing else tells of poor input.",
    )


def _chosen(report: Mapping, vectors: bool) -> str:
    """What validation patients choose."""
    rows = records.arms(report)
    names = [] if vectors else ["epochs"]
    names += ["thresholds"] * _thresholds(report)
    names += ["amounts of samples added"] * any(row.get("amounts") for row in rows)
    return ", ".join(names) or "nothing recorded"


def _thresholds(report: Mapping) -> bool:
    """Whether any thresholds were recorded that differ between classes."""
    folds = [fold for row in records.arms(report) for fold in records.entries(row, "by_fold")]
    return any(isinstance(kept := fold.get("thresholds"), list) and len(set(kept)) > 1 for fold in folds)


def _model(report: Mapping, vectors: bool) -> Answer:
    rows = records.arms(report)
    classifiers = ", ".join(sorted({str(row["classifier"]) for row in rows if row.get("classifier")}))
    generative = ", ".join(
        dict.fromkeys(str(row.get("arm") or "unnamed") for row in rows if records.kind(row) == "generative")
    )
    tuned = ""
    if report.get("tuning"):
        parts = records.finite(records.dig(report, "settings", "inner_folds"))
        tuned = " Regularisation: by inner cross-validation over training patients"
        tuned += f", in {parts:.0f} parts." if parts else "."
    return Answer(
        REPORTED if classifiers else PARTLY,
        f"Classifiers of {'vectors' if vectors else 'maps'} ({classifiers or 'not recorded'}), generators of samples "
        f"({generative or 'none recorded'}). Details: the program's source.{tuned} Chosen on "
        f"validation patients: {_chosen(report, vectors)}.",
    )


def _selection(report: Mapping, vectors: bool) -> str:
    why = records.dig(report, "reference", "why")
    chosen = f"Chosen on validation patients of each run: {_chosen(report, vectors)}"
    return f"{chosen}. Test patients chose nothing" + (f". The reference: {why}." if why else ".")


def _output(report: Mapping) -> str:
    names = records.class_names(report)
    each = f"each of {', '.join(names)}" if len(names) > 2 else records.positive_class(report)
    decided = (
        "chosen on validation patients of each run, but in arms that choose none"
        if _thresholds(report)
        else "the same for each class"
    )
    mean = "geometric mean" if len(names) > 2 else "mean log-odds"
    return f"Probability of {each} for a sample, and for a patient by the {mean} of its samples. Thresholds: {decided}."


def _robustness(report: Mapping) -> Answer:
    examined = study_design.repetitions(report)
    examined += ["amounts of samples added"] * bool(records.entries(report, "amount_curve"))
    if not examined:
        return not_done("one seed, one setting.")
    return Answer(PARTLY, f"Examined: {', '.join(examined)}. Not examined: features of other origin, worse data.")
