"""Which series a DICOM download holds, what each shows, and which of them are taken for a modality."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging
from tqdm import tqdm

from rembrandt_featgen.cohort import dicom_files, dicom_kinds
from rembrandt_featgen.cohort.dicom_files import DicomSlice
from rembrandt_featgen.cohort.dicom_kinds import Kind
from rembrandt_featgen.core.errors import InputError

_LEAST_SLICES = 4  # of a volume; localizers have three
# Tags that tell volumes apart that one series holds: echoes, diffusion weights, phases.
_VOLUMES = ("echo", "diffusion", "phase")


@dataclasses.dataclass(frozen=True, eq=False)
class DicomSeries:
    """A volume of a series, which most series hold one of.

    Attributes:
      slices: each file once.
      kind: what it shows, and why.
      problem: why its slices are no volume; "" where they are.
      gaps: mm between slices; 0 where they are no volume.
      part: which of the series' volumes it is, as "echo 2 of 2"; "" where it is the only one.
      copies: how many files were there twice.
    """

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
    def patient(self) -> str:
        """The patient's id; where there is none the study's, so that each study is of a patient of its own."""
        return self.header["patient"] or f"study-{self.header['study']}"

    @property
    def visit(self) -> tuple[str, str]:
        """Date of the study; where there is none, its UID."""
        return (self.header["date"], "" if self.header["date"] else self.header["study"])

    def described(self) -> str:
        """Size, spacing and times in words."""
        spacing = self.slices[0].numbers("spacing")
        inplane = " x ".join(f"{value:.2f}" for value in spacing[::-1]) if len(spacing) == 2 else "unknown"
        thick = self.slices[0].numbers("thickness")
        size = f"{len(self.slices)} slices of {self.header['columns']} x {self.header['rows']}"
        apart = f", {self.gaps:.2f} mm apart" if self.gaps else ""
        return f"{size}, pixels of {inplane} mm{apart}{f', {thick[0]:g} mm thick' if len(thick) else ''}"


class Taken(NamedTuple):
    """The series that is taken for a modality of a visit."""

    patient: str
    visit: tuple[str, str]
    modality: str
    series: DicomSeries


class Choice(NamedTuple):
    """What is taken, and of each series in words whether it is and why."""

    taken: list[Taken]
    why: dict[int, str]  # by position in the list of series


def scan(folder: Path) -> list[DicomSeries]:
    """All series below a folder, at any depth, whatever the names of the files; sorted by patient, visit and number.

    Raises:
      InputError: there is no such folder, or no DICOM image in it.
    """
    if not folder.is_dir():
        raise InputError(f"--dicom={folder}: no such folder; give the one that holds the download")
    files = sorted(
        Path(root) / name for root, _, names in os.walk(folder) for name in names if not name.startswith(".")
    )
    stacks: dict[tuple, dict[str, DicomSlice]] = {}
    copies: dict[tuple, int] = {}
    damaged: dict[Path, str] = {}  # folder to what is said of a file in it
    for file in tqdm(files, "headers", unit="file"):
        try:
            one = dicom_files.read_header(file)
        except InputError as error:
            damaged[file.parent] = str(error)
            continue
        if one is not None:
            key = (one.header["patient"], one.header["series"], *(one.header[name] for name in _VOLUMES))
            known = stacks.setdefault(key, {})
            copies[key] = copies.get(key, 0) + (one.header["instance"] in known)
            known.setdefault(one.header["instance"] or str(file), one)
    if damaged:
        first = next(iter(damaged.values()))
        logging.warning("%d folders have damaged files, such as %s", len(damaged), first)
        if not stacks:
            raise InputError(f"--dicom={folder}: no other DICOM images than damaged ones, such as {first}")
    if not stacks:
        raise InputError(
            f"--dicom={folder}: no DICOM images among its {len(files)} files; give the folder of the download (a ZIP "
            "file or a manifest of TCIA has to be unpacked or downloaded first)"
        )
    parts: dict[tuple, list[tuple]] = {}
    for key in sorted(stacks, key=lambda key: (key[:2], [_as_number(value) for value in key[2:]])):
        parts.setdefault(key[:2], []).append(key)
    found = []
    for keys in parts.values():
        for number, key in enumerate(keys):
            part = f"volume {number + 1} of {len(keys)}" if len(keys) > 1 else ""
            slices = tuple(stacks[key].values())
            problem = next((damaged[one.path.parent] for one in slices if one.path.parent in damaged), "")
            found.append(_series(slices, part, copies=copies[key], problem=problem))
    return sorted(found, key=lambda one: (one.patient, one.visit, _as_number(one.header["number"]), one.uid, one.part))


def _as_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _series(listed: tuple[DicomSlice, ...], part: str, *, copies: int, problem: str) -> DicomSeries:
    """What the slices of one volume are; `problem` is of their folder, which may be lacking one of them."""
    gaps = 0.0
    try:
        ordered, affine = dicom_files.arrange(listed, "")
        listed, gaps = tuple(ordered), float(np.linalg.norm(affine[:3, 2]))
    except InputError as error:
        problem = problem or str(error).removeprefix(": ")
    if not problem and len(listed) < _LEAST_SLICES:
        problem = f"{len(listed)} slices are no volume (a localizer, perhaps)"
    return DicomSeries(listed, dicom_kinds.kind_of(listed[0].header), problem, gaps=gaps, part=part, copies=copies)


def choose(series: Sequence[DicomSeries], modalities: Sequence[str], wanted: Sequence[str] = ()) -> Choice:
    """Which series is taken for each modality of each visit: of several of a kind the one with most slices.

    Args:
      series: of `scan`.
      modalities: kinds that are needed.
      wanted: UIDs of --series, which are taken for their kind, or as `modality:UID` for that one.

    Raises:
      InputError: one of `wanted` is not there, is no volume, shows no modality that is needed, or is one of two for
        the same modality of a visit.
    """
    why: dict[int, str] = {}
    taken: dict[tuple[str, tuple[str, str], str], int] = {}
    for text in wanted:
        index, modality = _wanted(series, modalities, text)
        key = (series[index].patient, series[index].visit, modality)
        if key in taken:
            raise InputError(
                f"--series={text}: {series[taken[key]].uid} is another {modality} of the same visit; name one of them"
            )
        taken[key] = index
        why[index] = f"taken for {modality}: --series names it"
    order = sorted(range(len(series)), key=lambda index: _rank(series[index]))
    for index in order:
        one = series[index]
        key = (one.patient, one.visit, one.kind.name)
        if index in why:
            continue
        if one.kind.name not in modalities:
            why[index] = f"not taken: {one.kind.why}"
        elif one.problem:
            why[index] = f"not taken: {one.kind.why}, but {one.problem}"
        elif key in taken:
            first = series[taken[key]]
            why[index] = (
                f"not taken: {one.kind.why}, but {first.header['description'] or first.uid!r} of {len(first.slices)} "
                f"slices is taken (--series={one.kind.name}:{one.uid} takes this one)"
            )
        else:
            taken[key] = index
            why[index] = f"taken for {one.kind.name}: {one.kind.why}"
    chosen = [
        Taken(patient, visit, modality=modality, series=series[index])
        for (patient, visit, modality), index in sorted(taken.items())
    ]
    return Choice(chosen, why)


def _rank(one: DicomSeries) -> tuple:
    """What comes first is taken: most slices, as acquired, the finest pixels, the first."""
    spacing = one.slices[0].numbers("spacing")
    original = one.header["type"].upper().startswith("ORIGINAL")
    fine = float(spacing.max()) if len(spacing) else np.inf
    return (-len(one.slices), not original, round(fine, 3), _as_number(one.header["number"]), one.uid, one.part)


def _wanted(series: Sequence[DicomSeries], modalities: Sequence[str], text: str) -> tuple[int, str]:
    """Position and modality of a series that --series names."""
    named, _, uid = text.rpartition(":")
    indices = [index for index, one in enumerate(series) if one.uid == uid]
    if not indices:
        raise InputError(f"--series={text}: no such series in --dicom; --list lists them")

    def fitting(index: int) -> tuple:
        one = series[index]
        return (bool(one.problem), one.kind.name not in modalities, _rank(one))

    index = min(indices, key=fitting)
    one = series[index]
    modality = named or (one.kind.name if one.kind.name in modalities else "")
    modality = modality or (modalities[0] if len(modalities) == 1 else "")
    if modality not in modalities:
        raise InputError(
            f"--series={text}: it shows none of --modalities={','.join(modalities)} ({one.kind.why}); write "
            f"{modalities[0]}:{uid} to take it for {modalities[0]}"
        )
    if one.problem:
        raise InputError(f"--series={text}: {one.problem}")
    return index, modality
