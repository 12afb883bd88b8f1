"""Which series of a DICOM download is taken for each modality of each visit, and why the others are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.cohort.dicom_series import DicomSeries, as_number
from rembrandt_featgen.core.errors import InputError


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
    return (-len(one.slices), not original, round(fine, 3), as_number(one.header["number"]), one.uid, one.part)


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
