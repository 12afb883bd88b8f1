"""Answers to what reporting checklists ask of data and design; `checklist_results` has those of model and results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rembrandt_featgen.reporting import contrast_words, records, study_design

REPORTED, PARTLY, NOT_DONE, AUTHORS = "reported", "partly", "not done", "authors"
STATUSES = (REPORTED, PARTLY, NOT_DONE, AUTHORS)


class Answer(NamedTuple):
    """An answer, and how far it answers."""

    status: str  # one of STATUSES
    text: str


def for_authors(question: str) -> Answer:
    """What the run cannot know."""
    return Answer(AUTHORS, f"to be filled in by the authors: {question}")


def not_done(reason: str) -> Answer:
    """What nobody did."""
    return Answer(NOT_DONE, f"not done: {reason}")


def setting(report: Mapping, name: str) -> str:
    """A flag's value as text."""
    value = records.dig(report, "settings", name)
    if value is None:
        return "(not recorded)"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def by_authors() -> dict[str, Answer]:
    """Questions that no run can answer."""
    questions = {
        "title": "a title that says: development and internal evaluation of deep learning, what is classified, and the "
        "imaging modality",
        "background": "clinical and scientific background, and models that exist",
        "population": "whom the model is for, and its place in the care pathway",
        "inequalities": "what is known of inequalities between groups of these patients",
        "dates": "when the patients were imaged",
        "setting": "kind and place of the centres",
        "treatments": "treatments before imaging",
        "deidentification": "how images were de-identified; the run shows only the patient names that it was given",
        "acquisition": "scanners and sequences; the run reads NIfTI volumes, which do not record them",
        "outcome_reason": "why this reference standard",
        "annotators": "who assigned the classes and who drew the masks, and their qualifications",
        "test_annotation": "how; the run takes classes and masks of all patients from the same source",
        "raters": "agreement of raters; the run sees one class and one mask for each patient",
        "blinding": "whether those who assigned the classes knew the images",
        "predictor_assessors": "who drew the tumour masks that the U-Net learns from",
        "implications": "what follows for practice; the run itself supports no clinical use",
        "trial": "registration, if the images come from a trial",
        "registration": "where the study was registered, or that it was not",
        "funding": "sources of funding and the role of the funders",
        "conflicts": "conflicts of interest",
        "ethics": "ethics committee and consent",
        "involvement": "how patients and the public were involved, or that they were not",
        "next_steps": "next steps of research",
        "data_sharing": "where others get the images; the run holds paths, not rights",
    }
    return {key: for_authors(question) for key, question in questions.items()}


def of_data(report: Mapping) -> dict[str, Answer]:
    """Answers on images, patients and reference standard; any key of the report may be missing."""
    patients, sites = records.dig(report, "cohort", "patients"), records.dig(report, "cohort", "sites")
    source = records.dig(report, "cohort", "source")
    counted, classes = study_design.counted(patients), " or ".join(records.class_names(report))
    places = f"; {len(sites)} sites" if isinstance(sites, Mapping) and sites else ""
    answers = {
        "source": for_authors("the source of the images; the run recorded none"),
        "eligibility": for_authors(f"criteria; the run used {counted or 'an unrecorded number of patients'}"),
        "flow": for_authors("numbers included and excluded; the run recorded none"),
        "preprocessing": Answer(
            REPORTED,
            f"{_prepared(report)} Truncated, constant or non-finite volumes stop the program. Not compared between "
            "groups of patients.",
        ),
        "missing": Answer(
            PARTLY,
            "Nothing is imputed: a patient without class, mask or a modality stops the program until that is fixed or "
            "the patient left out. The run does not know whom the authors left out.",
        ),
        "outcome": Answer(
            PARTLY,
            f"Class of the patient{f', {classes}' if classes else ''}, as given with the images; no time horizon. "
            "Authors: what the classes mean, and how they were established.",
        ),
        "poor_input": Answer(
            REPORTED, "The program refuses unreadable, constant or non-finite volumes by name and imputes nothing."
        ),
        "users": Answer(
            REPORTED, "Users give NIfTI volumes of one patient, of the modalities trained on; there is no interaction."
        ),
    }
    if source:
        text = f"{source}; {counted or 'number of patients not recorded'}{places}. Authors: why these."
        answers["source"] = Answer(PARTLY, text)
    if counted:
        answers["flow"] = Answer(PARTLY, f"Included: {counted}. Excluded before the run: for the authors to say.")
    return answers


def _prepared(report: Mapping) -> str:
    """What was done to volumes; of studies before there was a choice, what was always done."""
    known = records.dig(report, "cohort", "preparation")
    size = records.dig(known, "size") or records.dig(report, "settings", "image_size")
    resized = records.dig(known, "fit") == "resize"
    cropped, normalised = (str(records.dig(known, name) or "").split(" or ") for name in ("crop", "normalise"))
    steps = []
    if "foreground" in cropped:
        steps += [f"cropped to the foreground{' in some of the runs' if len(cropped) > 1 else ''}"]
    if size:
        sizes = " or ".join(f"{one} x {one}" for one in str(size).split(" or "))  # where runs differ
        steps += [f"{'shrunk where larger, and padded' if resized else 'cropped or padded'} to {sizes} pixels"]
    of_volume = ["each volume clipped to percentiles and z-scored over its foreground"] * ("volume" in normalised)
    of_training = "intensities minus the mean, divided by the standard deviation, of each run's training patients"
    steps += [", or ".join(of_volume + [of_training] * (normalised != ["volume"]))]
    if records.dig(known, "slices_in") == 3:
        steps += ["each slice with its two neighbours"]
    return f"Volumes cut into axial slices; {'; '.join(steps)}."


def of_design(report: Mapping) -> dict[str, Answer]:
    """Answers on aims and on how patients were divided; any key of the report may be missing."""
    validation = records.dig(report, "cross_validation")
    grouping = records.grouping(report)
    by_site = grouping == "site"
    rule, conclusion = report.get("verdict_rule"), contrast_words.conclusion(report)
    aim = "Whether generated features improve classification over the best pipeline that generates nothing"
    arms = len({row.get("arm") for row in records.arms(report)})
    answers = {
        "abstract": for_authors("the structured abstract"),
        "aims": Answer(PARTLY, f"{aim}. The run recorded no rule for the verdict."),
        "design": Answer(PARTLY, "Stored images were analysed. Authors: whether they were collected for this study."),
        "goal": Answer(
            REPORTED,
            f"Comparison of methods ({arms} arms), development and internal validation; no clinical claim.",
        ),
        "partitions": for_authors("how patients were assigned; the run recorded no cross-validation"),
        "level": for_authors("level of separation; the run recorded none"),
        "sample_size": not_done("all patients at hand were used, and power was not estimated."),
        "internal": not_done("the run recorded no cross-validation."),
        "external": not_done("all test patients come from the cohort that was trained on."),
        "difference_of_data": Answer(
            REPORTED,
            "Test patients come from the same cohort, with the same definitions, as training patients"
            + (", but from other sites." if by_site else "; nothing is known of other settings."),
        ),
        "numbers": _numbers(report, validation),
        "comparison_of_data": not_done("the run kept no record of its folds."),
        "characteristics": Answer(
            PARTLY, "Classes are tabled. Age, sex and clinical findings: not seen by the run; for the authors to say."
        ),
    }
    if conclusion:
        answers["abstract"] = Answer(PARTLY, f"Conclusion: {conclusion} Authors: the structured abstract.")
    if rule:
        answers["aims"] = Answer(REPORTED, f"{aim}. Rule, fixed in the program before the comparison: {rule}")
    if folded := study_design.division(report):
        some = validation.get("plan") in ("hold-out", "fresh")
        every = "" if some else " Every patient is predicted out of fold."
        answers["partitions"] = Answer(REPORTED, folded)
        answers["internal"] = Answer(REPORTED, f"{folded}{every}")
    if grouping in ("patient", "group", "site"):
        whole = "" if grouping == "patient" else f" and all patients of a {grouping}"
        unit = "sample" if records.made_elsewhere(report) else "slice"
        answers["level"] = Answer(REPORTED, f"By {grouping}: all {unit}s of a patient{whole} are in one part.")
    if by_site:
        number = study_design.sites(report)
        few = f" {number} sites say little of new ones." if 0 < number < study_design.FEW_SITES else ""
        answers["external"] = Answer(PARTLY, f"Whole sites were held out in turn; no other cohort was tested.{few}")
    if power := _power(report):
        answers["sample_size"] = Answer(PARTLY, f"All patients at hand; no size was set in advance. {power}")
    if records.finite(records.dig(validation, "folds")):
        alike = "Sites were tested as they are" if by_site else "Classes were divided alike"
        text = f"{alike}; predictions.csv names the patients whom each run tested. Nothing else was compared."
        answers["comparison_of_data"] = Answer(PARTLY, text)
    if records.entries(validation, "fold_records"):
        text = "Classes of training and test patients of each run are tabled; no other characteristics are known."
        answers["comparison_of_data"] = Answer(PARTLY, text)
    return answers


def _power(report: Mapping) -> str:
    """What could have been found, and of what; "" where it was not estimated."""
    total = records.total(study_design.tested(report))
    lines: list[str] = []
    points = [
        [records.finite(entry.get(key)) for key in ("patients", "difference", "power")]
        for entry in records.entries(report, "power_of_differences")
    ]
    found = [f"{power:.2f} if it is {gap:.2f}" for n, gap, power in points if n == total and None not in (gap, power)]
    if total and found:
        lines.append(
            f"Power, estimated afterwards, to find a difference of AUROC between the best pipelines with the {total} "
            f"patients tested: {', '.join(found)}."
        )
    if chance := [f"{share:.2f} with {patients:.0f} patients" for patients, share in records.power(report)]:
        arm = records.dig(report, "reference", "arm")
        lines.append(
            f"Power to find {f'the reference {arm}' if isinstance(arm, str) else 'the reference'} above chance at all, "
            f"which is not that of the difference: {', '.join(chance)}."
        )
    return " ".join(lines)


def _numbers(report: Mapping, validation) -> Answer:
    """Patients in each part of the runs."""
    folds = records.entries(validation, "fold_records")
    parts = []
    for part in ("train", "validation", "test"):
        totals = [total for total in (records.total(fold.get(part)) for fold in folds) if total is not None]
        if totals:
            parts.append(f"{part} {min(totals)}" + (f" to {max(totals)}" if max(totals) > min(totals) else ""))
    tested, runs = study_design.counted(study_design.tested(report)), records.finite(records.dig(validation, "runs"))
    if not parts and tested and runs:
        text = (
            f"{tested} are tested, by {runs:.0f} runs in all, and by all arms alike; predictions.csv names those whom "
        )
        return Answer(PARTLY, f"{text}each run tested. The others of a run are not tabled.")
    if not parts:
        return for_authors("numbers in each analysis; the run kept no record of its folds")
    return Answer(REPORTED, f"Patients in each of {len(folds)} runs: {', '.join(parts)} (table of runs).")
