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
_SHOWN = 5  # patients that a message names
_KINDS = {
    "twice": "given twice",
    "both": "with two files for one",
    "shared": "who share a file",
    "masked": "whose mask is an image",
}


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
      InputError: for the first problem, with the patients who have one like it or another.
    """
    as_grades = {name.upper() for name in names} == set(GLIOMAS) if names else entries[0].is_grade
    open_ids = [entry.id for entry in entries if not entry.group]
    groups = visit_names.groups_by_name(dict.fromkeys(open_ids), group_pattern)
    patients: dict[str, Patient] = {}
    owners: dict[Path, str] = {}
    problems: list[tuple[str, Problem]] = []  # with the patient's id
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
            if masks:
                _check_mask(patients[name], where)
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
                problems.append((name, problem))
    if problems:
        raise InputError(_refusal(problems))
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


def _check_mask(patient: Patient, where: str) -> None:
    """Problem where a patient's mask is the very file of an image."""
    mask = _place(patient.mask)
    for modality, image in patient.images.items():
        if _place(image) == mask:
            raise Problem(
                "masked",
                f"{where}: mask and {modality} of patient {patient.id} are the same file, {patient.mask}; correct the "
                "path of one of them, or leave this patient out of --cohort",
            )


def _place(path: Path) -> tuple[Path, str]:
    """The file, and what part of it a path names: the same for two paths of one image."""
    base, part = image_paths.split(path)
    return base.resolve(), "" if part == "0" else part


def _refusal(problems: Sequence[tuple[str, Problem]]) -> str:
    """The first patient's problem, and which others have one like it, or another."""
    (_, first), *others = problems
    by_kind: dict[str, list[str]] = {first.kind: []}
    for name, problem in others:
        by_kind.setdefault(problem.kind, []).append(name)
    more = []
    for kind, names in by_kind.items():
        what = "more like it" if kind == first.kind else _KINDS.get(kind, f"without {kind}")
        more += [f"{len(names)} {what}: {_some(names)}"] * bool(names)
    return f"{first} (and {'; '.join(more)})" if more else str(first)


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
