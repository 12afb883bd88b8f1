"""What a cohort is: patients with their class, images and mask; and what a layout says of a patient before that."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError

MASK = "mask"


@dataclasses.dataclass(frozen=True)
class Patient:
    """A patient.

    Attributes:
      id: unique in the cohort.
      label: name of the class.
      images: modality (flair, ...) to file.
      mask: file of the tumour's labels.
    """

    id: str
    label: str
    images: Mapping[str, Path]
    mask: Path


class Cohort(NamedTuple):
    """Patients, sorted by id, and the classes that they may have."""

    patients: list[Patient]
    classes: Classes


class Entry(NamedTuple):
    """What a layout says of a patient.

    Attributes:
      where: file and line, or folder, for messages.
      id: of the patient.
      text: the class as it is written there; "" if it is not.
      is_grade: whether that place is for grades of gliomas.
      find: from a modality or MASK to the file; it raises `Problem`.
    """

    where: str
    id: str
    text: str
    is_grade: bool
    find: Callable[[str], Path]


class Problem(InputError):
    """A problem with one patient, of a kind that others may share."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


def ways_out(name: str) -> str:
    """How to do without the file of a modality, or without the mask."""
    without = "leave this patient out of --cohort"
    return without if name == MASK else f"{without} or {name} out of --modalities"
