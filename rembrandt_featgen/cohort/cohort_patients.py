"""Patients of what a layout and a table of labels say: with class, group, images and mask, or left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import logging

from rembrandt_featgen.cohort import classes, image_paths, visit_names
from rembrandt_featgen.cohort.patients import MASK, NO_MASK, Entry, Patient, Problem
from rembrandt_featgen.cohort.who_grades import GLIOMAS, parse_grade
from rembrandt_featgen.core.errors import InputError

REFUSE, LEAVE_OUT = "refuse", "leave_out"
INCOMPLETE = (REFUSE, LEAVE_OUT)
_LABEL = "label"  # kind of a problem
_SHOWN = 3  # patients that a message names


def patients_of(
    entries: Sequence[Entry],
    modalities: Sequence[str],
    names: Sequence[str],
    *,
    masks: bool,
    group_pattern: str = "",
    incomplete: str = REFUSE,
) -> dict[str, Patient]:
    """Id to patient, with labels as written.

    Args:
      entries: of a layout.
      modalities: that each patient must have.
      names: the classes of --classes; none to take a known pair.
      masks: whether each patient must have one.
      group_pattern: of --group_pattern, for patients whose group no column says.
      incomplete: what becomes of patients without a class (one of `names`, if any), a modality or a mask.

    Raises:
      InputError: for the first problem, with the number of others like it.
    """
    as_grades = {name.upper() for name in names} == set(GLIOMAS) if names else entries[0].is_grade
    open_ids = [entry.id for entry in entries if not entry.group]
    groups = visit_names.groups_by_name(dict.fromkeys(open_ids), group_pattern)
    patients: dict[str, Patient] = {}
    owners: dict[Path, str] = {}
    problems: list[Problem] = []
    left_out: dict[str, list[str]] = {}
    texts = classes.without_decimals([entry.text for entry in entries])
    for entry, text in zip(entries, texts):
        where, name = entry.where, entry.id
        try:
            if name in patients:
                raise Problem("twice", f"{where}: patient {name} is there twice; keep one of the two in --cohort")
            images = {modality: entry.find(modality) for modality in modalities}
            patients[name] = Patient(
                id=name,
                label=_label(entry, text, names, as_grades=as_grades),
                images=images,
                mask=entry.find(MASK) if masks else NO_MASK,
                group=entry.group or groups[name],
                site=entry.site,
                covariates=entry.covariates,
            )
            for file in image_paths.files_of_all([*images.values(), *[patients[name].mask] * masks]):
                owner = owners.setdefault(file.resolve(), name)
                if owner != name:
                    raise Problem(
                        "shared",
                        f"{where}: patients {owner} and {name} share the file {file}; give each patient separate files "
                        "in --cohort",
                    )
        except Problem as problem:
            if incomplete == LEAVE_OUT and problem.kind in (_LABEL, MASK, *modalities):
                left_out.setdefault(problem.kind, []).append(name)
            else:
                problems.append(problem)
    if problems:
        alike = sum(problem.kind == problems[0].kind for problem in problems) - 1
        raise InputError(f"{problems[0]}{f' (and {alike} more like it)' if alike else ''}")
    _say_left_out(left_out, len(entries), patients)
    visit_names.check_alike(patients, "--cohort")
    visit_names.check_alike(dict.fromkeys(patient.group for patient in patients.values()), "--cohort", "groups")
    _say_divided(patients)
    return patients


def _label(entry: Entry, text: str, names: Sequence[str], *, as_grades: bool) -> str:
    """The class as it is written, or the one of its grade; Problem where there is none, or none of --classes."""
    where = f"{entry.where}: patient {entry.id}"
    if as_grades:
        return parse_grade(text, where)
    if not text.strip():
        raise Problem(
            _LABEL,
            f"{where}: no {entry.column or 'label'}; write the name of a class (--labels_table names a table of them), "
            f"or leave this patient out of --cohort (as --incomplete={LEAVE_OUT} does)",
        )
    if len(names) > 1 and text.strip().casefold() not in {name.strip().casefold() for name in names}:
        raise Problem(
            _LABEL,
            f"{entry.where}: patient {entry.id} is of class {text.strip()!r}, which is none of "
            f"--classes={','.join(names)}; correct the label, leave this patient out, or give --incomplete={LEAVE_OUT}",
        )
    return text.strip()


def _say_left_out(left_out: Mapping[str, Sequence[str]], count: int, patients: Mapping[str, Patient]) -> None:
    """Logs whom --incomplete=leave_out left out; InputError where that is everybody."""
    listed = [f"{len(ids)} without {kind} ({_some(ids)})" for kind, ids in left_out.items()]
    if left_out and not patients:
        raise InputError(
            f"--incomplete={LEAVE_OUT} leaves out all {count} patients of --cohort: {', '.join(listed)}; correct "
            "--labels_table, --label_column, --classes or --modalities, or add what is missing"
        )
    if left_out:
        logging.warning("--incomplete=%s leaves out %s, of %d patients", LEAVE_OUT, ", ".join(listed), count)


def _say_divided(patients: Mapping[str, Patient]) -> None:
    """Warns where a column of groups puts visits apart that are of one patient by their names."""
    first: dict[str, Patient] = {}
    apart = []
    for patient in patients.values():
        other = first.setdefault(visit_names.patient_of(patient.id), patient)
        if other.group != patient.group:
            apart.append((other.id, patient.id))
    if apart:
        logging.warning(
            "%s and %s are visits of one patient by their names, but of different groups%s; see --group_column and "
            "--group_pattern",
            *apart[0],
            f" (and {len(apart) - 1} more such pairs)" if apart[1:] else "",
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
