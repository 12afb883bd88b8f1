"""Which series a DICOM download holds, of whom, and what each shows."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from absl import logging
from tqdm import tqdm

from rembrandt_featgen.cohort import dicom_files, dicom_kinds, visit_names
from rembrandt_featgen.cohort.dicom_files import DicomSlice
from rembrandt_featgen.cohort.dicom_kinds import Kind
from rembrandt_featgen.core.errors import InputError

# Ids of patients that anonymisers give to all.
_NO_ID = re.compile(r"(anon\w*|unknown|none|no.?name|patient|pat|test|id|x+|0*)[\s^_-]*", re.IGNORECASE)
_LEAST_SLICES = 4  # of a volume; localizers have three
# Tags that tell volumes apart that one series holds: echoes, diffusion weights, phases.
_VOLUMES = ("echo", "diffusion", "phase")


@dataclasses.dataclass(frozen=True, eq=False)
class DicomSeries:
    """A volume of a series, which most series hold one of.

    Attributes:
      patient: the id of the patient.
      slices: each file once.
      kind: what it shows, and why.
      problem: why its slices are no volume; "" where they are.
      gaps: mm between slices; 0 where they are no volume.
      part: which of the series' volumes it is, as "echo 2 of 2"; "" where it is the only one.
      copies: how many files were there twice.
    """

    patient: str
    slices: tuple[DicomSlice, ...]
    kind: Kind
    problem: str
    gaps: float
    part: str = ""
    copies: int = 0

    @property
    def header(self) -> Mapping[str, str]:
        """Of its first slice."""
        return self.slices[0].header

    @property
    def uid(self) -> str:
        """Of the series."""
        return self.header["series"]

    @property
    def visit(self) -> tuple[str, str]:
        """Date of the study, and what tells it from others: its UID where there is no date, an id of the visit alone.

        Such ids may be of other people after all, as P_19560402 is where the date is that of birth: series of two ids
        are of one group, but never of one visit.
        """
        study = "" if self.header["date"] else self.header["study"]
        name = self.header["patient"]
        return (self.header["date"], f"{name if visit_names.patient_of(name) != name else ''}{study}")

    def described(self) -> str:
        """Size, spacing and times in words."""
        spacing = self.slices[0].numbers("spacing")
        inplane = " x ".join(f"{value:.2f}" for value in spacing[::-1]) if len(spacing) == 2 else "unknown"
        thick = self.slices[0].numbers("thickness")
        size = f"{len(self.slices)} slices of {self.header['columns']} x {self.header['rows']}"
        apart = f", {self.gaps:.2f} mm apart" if self.gaps else ""
        return f"{size}, pixels of {inplane} mm{apart}{f', {thick[0]:g} mm thick' if len(thick) else ''}"


def scan(folder: Path) -> list[DicomSeries]:
    """All series below a folder, at any depth, whatever the names of the files; sorted by patient, visit and number.

    A patient is who has an id; visits that have ids of their own are of one (`visit_names.patient_of`).
    Ids that say nothing, as ANONYMOUS, do not make one patient of all: then each folder in `folder` is one.

    Raises:
      InputError: there is no such folder, or no DICOM image in it, or ids that differ in case, blanks, - or _ alone.
    """
    if not folder.is_dir():
        raise InputError(f"--dicom={folder}: no such folder; give the one that holds the download")
    files = sorted(
        Path(root) / name for root, _, names in os.walk(folder) for name in names if not name.startswith(".")
    )
    stacks: dict[tuple, dict[str, DicomSlice]] = {}
    copies: dict[tuple, int] = {}
    nameless = 0
    damaged: dict[Path, str] = {}  # folder to what is said of a file in it
    for file in tqdm(files, "headers", unit="file"):
        try:
            one = dicom_files.read_header(file)
        except InputError as error:
            damaged[file.parent] = str(error)
            continue
        if one is not None:
            patient = visit_names.patient_of(one.header["patient"])
            if _NO_ID.fullmatch(patient):
                patient, nameless = _by_folder(one, folder), nameless + 1
            key = (patient, one.header["series"], *(one.header[name] for name in _VOLUMES))
            known = stacks.setdefault(key, {})
            same = f"{one.header['instance'] or file} {one.header['position']}"
            copies[key] = copies.get(key, 0) + (same in known)
            known.setdefault(same, one)
    if damaged:
        first = next(iter(damaged.values()))
        logging.warning("damaged files in %d folder%s, such as %s", len(damaged), "s" * (len(damaged) > 1), first)
        if not stacks:
            raise InputError(f"--dicom={folder}: no other DICOM images than damaged ones, such as {first}")
    if not stacks:
        raise InputError(
            f"--dicom={folder}: no DICOM images among its {len(files)} files; give the folder of the download (a ZIP "
            "file or a manifest of TCIA has to be unpacked or downloaded first)"
        )
    if nameless:
        logging.warning(
            "the patient's id in %d files says nothing; each folder in %s is taken to be of one patient",
            nameless,
            folder,
        )
    visit_names.check_alike({patient for patient, *_ in stacks}, f"--dicom={folder}")
    parts: dict[tuple, list[tuple]] = {}
    for key in sorted(stacks, key=lambda key: (key[:2], [as_number(value) for value in key[2:]])):
        parts.setdefault(key[:2], []).append(key)
    found = []
    for keys in parts.values():
        for number, key in enumerate(keys):
            part = f"volume {number + 1} of {len(keys)}" if len(keys) > 1 else ""
            slices = tuple(stacks[key].values())
            problem = next((damaged[one.path.parent] for one in slices if one.path.parent in damaged), "")
            found.append(_series(key[0], slices, part=part, copies=copies[key], problem=problem))
    return sorted(found, key=lambda one: (one.patient, one.visit, as_number(one.header["number"]), one.uid, one.part))


def _by_folder(one: DicomSlice, folder: Path) -> str:
    """The folder in `folder` that holds a file; of one that lies there itself, the study."""
    first, *deeper = one.path.relative_to(folder).parts
    return first if deeper else f"study-{one.header['study']}"


def as_number(text: str) -> float:
    """The number that a text is; 0 where it is none."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def _series(patient: str, listed: tuple[DicomSlice, ...], *, part: str, copies: int, problem: str) -> DicomSeries:
    """What the slices of one volume are; `problem` is of their folder, which may be lacking one of them."""
    gaps = 0.0
    try:
        ordered, affine = dicom_files.arrange(listed, "")
        listed, gaps = tuple(ordered), float(np.linalg.norm(affine[:3, 2]))
    except InputError as error:
        problem = problem or str(error).removeprefix(": ")
    if not problem and len(listed) < _LEAST_SLICES:
        problem = f"{len(listed)} slices are no volume (a localizer, perhaps)"
    kind = dicom_kinds.kind_of(listed[0].header)
    return DicomSeries(patient, listed, kind, problem=problem, gaps=gaps, part=part, copies=copies)
