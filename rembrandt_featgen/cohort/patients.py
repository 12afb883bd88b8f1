"""What a cohort is: patients with their class, images and mask; and what a layout says of a patient before that."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError

MASK = "mask"
NO_MASK = Path()  # of a patient of a cohort whose masks nobody looked for


@dataclasses.dataclass(frozen=True)
class Patient:
    """A patient.

    Attributes:
      id: unique in the cohort.
      label: name of the class.
      images: modality (flair, ...) to file.
      mask: file of the tumour's labels, or `NO_MASK`.
      group: what no split may divide, such as a family; by default the patient's id.
      site: where the patient comes from; "" where it is not known.
      covariates: clinical columns that were asked for, as they are written; "" where missing.
    """

    id: str
    label: str
    images: Mapping[str, Path]
    mask: Path
    group: str = ""
    site: str = ""
    covariates: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not self.group:
            object.__setattr__(self, "group", self.id)  # the dataclass is frozen for all others


class Cohort(NamedTuple):
    """Patients, sorted by id, and the classes that they may have.

    Attributes:
      patients, classes: these.
      layout: name of that of the files; "" where it is not known.
      table: file that says the classes, besides the layout; "" where there is none.
    """

    patients: list[Patient]
    classes: Classes
    layout: str = ""
    table: str = ""


class Entry(NamedTuple):
    """What a layout says of a patient.

    Attributes:
      where: file and line, or folder, for messages.
      id: of the patient.
      text: the class as it is written there; "" if it is not.
      is_grade: whether that place is for grades of gliomas.
      find: from a modality or MASK to the file; it raises `Problem`.
      group, site, covariates: as `Patient` has them.
      column: name of the column of the class, for messages; "" where it is no column, or one of the usual names.
    """

    where: str
    id: str
    text: str
    is_grade: bool
    find: Callable[[str], Path]
    group: str = ""
    site: str = ""
    covariates: Mapping[str, str] = {}
    column: str = ""


class Problem(InputError):
    """A problem with one patient, of a kind that others may share."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


def ways_out(name: str) -> str:
    """How to do without the file of a modality, or without the mask."""
    without = "leave this patient out of --cohort (as --incomplete=leave_out does)"
    return without if name == MASK else f"{without} or {name} out of --modalities"
