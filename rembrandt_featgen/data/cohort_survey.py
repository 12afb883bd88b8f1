"""The survey of a cohort: each patient's files read once, and what the report of the cohort says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rembrandt_featgen.cohort import cohort_warnings, duplicates, spacing, visit_names
from rembrandt_featgen.cohort.patients import Cohort
from rembrandt_featgen.core import json_files
from rembrandt_featgen.data import survey_tables, volume_warnings
from rembrandt_featgen.data.patient_survey import PatientSurvey, survey
from rembrandt_featgen.data.preparation_choice import Request


def survey_cohort(cohort: Cohort, request: Request, *, journal: Path) -> list[PatientSurvey]:
    """What each patient's files hold, in the order of the cohort.

    Args:
      cohort: of the patients.
      request: the modalities, how they are read, and how slices are cut.
      journal: file that keeps each patient who is done, for a later run.
    """
    done = {row["patient"]: row for row in json_files.resume_journal(journal)}
    with journal.open("a", encoding="utf-8") as file:
        for patient in tqdm(cohort.patients, "patients", unit="patient"):
            if patient.id not in done:
                done[patient.id] = json_files.plain(survey(patient, request).row)
                json_files.append_row(file, done[patient.id])
    return [PatientSurvey.of_row(done[patient.id]) for patient in cohort.patients]


def report(
    found: Sequence[PatientSurvey],
    cohort: Cohort,
    request: Request,
    *,
    source: str,
    trust_spacing: str,
    remarks: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> dict:
    """What report.json of the cohort holds.

    Args:
      found: of `survey_cohort`.
      cohort: of the same patients.
      request: as it had it.
      source: where the cohort is.
      trust_spacing: as `spacing.judge` takes it.
      remarks: on what is wrong with the cohort, from when its files were found.
      notes: on how they were found.
    """
    read = [one for one in found if not one.problem]
    problems = [{"patient": one.patient, "problem": one.problem} for one in found if one.problem]
    judgement = spacing.judge(
        [np.array(one.file_spacing) for one in read], [one.file_shape for one in read], trust_spacing
    )
    findings = [*remarks, *warnings(read, cohort, request)]
    groups = {patient.id: patient.group for patient in cohort.patients}
    noun, whole = visit_names.nouns(groups)
    return {
        "classes": cohort.classes.record,
        "cohort": {
            "source": source,
            "layout": cohort.layout,
            "table": cohort.table,
            "notes": list(notes),
            "noun": noun,
            "patients": survey_tables.by_class(cohort, Counter(one.label for one in found)),
            "groups": len(set(groups.values())) if whole else None,
            "groups_noun": whole,
            "sites": survey_tables.sites(found, cohort),
        },
        "modalities": list(request.modalities),
        "spacing": judgement._asdict(),
        "sizes": survey_tables.sizes(read),
        "intensities": {name: survey_tables.intensities(read, name) for name in request.modalities},
        "tumours": survey_tables.tumours(read, cohort, in_ml=judgement.real),
        "patients": [_listed(one, judgement.real) for one in found],
        "problems": problems,
        "findings": findings,
        "verdict": _sentence(found, cohort, problems=len(problems), findings=len(findings)),
    }


def warnings(read: Sequence[PatientSurvey], cohort: Cohort, request: Request) -> list[str]:
    """A sentence for each thing that somebody should look at.

    Args:
      read: patients who could be read.
      cohort: with all of them.
      request: the modalities, how they were read, and how slices are cut.
    """
    everyone = {patient.id: patient for patient in cohort.patients}
    labels = {name: patient.label for name, patient in everyone.items()}
    sites = {name: patient.site for name, patient in everyone.items()}
    voxels = {one.patient: one.tumour_voxels for one in read}
    spacings = {one.patient: one.spacing for one in read}
    # volumes whose spacing differs are compared in mm3
    sizes = {one.patient: one.tumour_voxels * float(np.prod(one.spacing)) for one in read}
    groups = {name: patient.group for name, patient in everyone.items()}
    said = cohort_warnings.groups(cohort.patients, cohort.classes)
    said += cohort_warnings.classes_by_site(labels, sites, cohort.classes)
    if read:
        pairs = duplicates.find_duplicates({one.patient: one.fingerprint for one in read})
        said += cohort_warnings.look_alikes(pairs, groups)
    said += cohort_warnings.few_slices({one.patient: one.shape[0] for one in read})
    said += cohort_warnings.mixed_spacing(spacings) + cohort_warnings.thick_in_plane(spacings)
    said += cohort_warnings.without_orientation({one.patient: one.unoriented for one in read if one.unoriented})
    said += volume_warnings.planes({one.patient: one.plane for one in read})
    said += volume_warnings.moved({one.patient: one.moved for one in read if one.moved})
    said += volume_warnings.cut_off(
        {one.patient: one.content_cut for one in read},
        {one.patient: one.tumour_cut for one in read if one.tumour_cut},
        f"--image_size={request.size} --crop={request.crop} --fit={request.fit}",
    )
    for name in request.modalities:
        levels = {one.patient: _level(one, name) for one in read}
        said += cohort_warnings.brightness(levels, sites, name)
        said += cohort_warnings.mixed_kinds({one.patient: one.intensities[name]["lowest"] for one in read}, name)
    said += cohort_warnings.same_images({one.patient: one.same for one in read if one.same})
    said += cohort_warnings.masks(voxels)
    return said + cohort_warnings.volume_tells_class(sizes, labels, cohort.classes, groups_of=groups)


def _level(one: PatientSurvey, modality: str) -> float:
    """How far the median of the foreground lies above the darkest voxels."""
    values = one.intensities[modality]
    return values["q50"] - values["lowest"]


def _listed(one: PatientSurvey, in_ml: bool) -> dict:
    """A patient's record; "tumour_ml" is None where spacing is unknown."""
    ml = one.tumour_voxels * float(np.prod(one.spacing)) / 1000 if in_ml and one.spacing else None
    return {**one.record, "tumour_ml": ml}


def _sentence(found: Sequence[PatientSurvey], cohort: Cohort, *, problems: int, findings: int) -> str:
    """The whole report in a line."""
    counts = survey_tables.by_class(cohort, Counter(one.label for one in found))
    sites = len({one.site for one in found} - {""})
    who = visit_names.counted({one.patient: one.group for one in found})
    who += f" ({', '.join(f'{name}: {count}' for name, count in counts.items())})"
    who += f" of {sites} sites" if sites > 1 else ""
    can = f"{problems} of them cannot be used" if problems else "all of them can be used"
    look = f"{findings} thing{'s' * (findings != 1)} to look at" if findings else "the numbers look right"
    return f"{who}; {can}; {look}. Look at the pictures."
