"""Folders of nnU-Net and of the Medical Segmentation Decathlon: imagesTr, labelsTr and dataset.json; no labels of
patients."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rembrandt_featgen.cohort import case_files, modality_names
from rembrandt_featgen.cohort.patients import MASK, Entry, Problem, ways_out
from rembrandt_featgen.core import json_files, system_errors
from rembrandt_featgen.core.errors import InputError

DATASET = "dataset.json"
IMAGES, LABELS = "imagesTr", "labelsTr"
_CHANNEL = re.compile(r"(.+)_(\d{4})")  # BraTS2021_00000_0000: case and number of the channel


def has_channel_files(cohort: Path) -> bool:
    """Whether each channel is a file of its own, as in nnU-Net; in the Decathlon they are volumes of one 4-D file."""
    return any(_CHANNEL.fullmatch(case_files.stem(file.name)) for file in case_files.images_in(cohort / IMAGES))


def read_nnunet(cohort: Path, modalities: Sequence[str]) -> Iterator[Entry]:
    """nnU-Net, version 1 or 2: `imagesTr/<case>_0000.nii.gz`, its channels named by `channel_names` (or `modality`) of
    dataset.json, and `labelsTr/<case>.nii.gz`."""
    channels = _channels(cohort, modalities)
    cases: dict[str, dict[int, Path]] = {}
    for file in case_files.images_in(cohort / IMAGES):
        found = _CHANNEL.fullmatch(case_files.stem(file.name))
        if found:
            cases.setdefault(found[1], {})[int(found[2])] = file
    masks = _masks(cohort)
    for name, files in sorted(cases.items()):
        yield _entry(cohort, name, channels=channels, files=files, masks=masks)


def read_decathlon(cohort: Path, modalities: Sequence[str]) -> Iterator[Entry]:
    """Medical Segmentation Decathlon: `imagesTr/BRATS_001.nii.gz`, 4-D where dataset.json names several under
    `modality`, and `labelsTr/BRATS_001.nii.gz`."""
    channels = _channels(cohort, modalities)
    masks = _masks(cohort)
    for file in case_files.images_in(cohort / IMAGES):
        name = case_files.stem(file.name)
        several = len(channels) > 1
        files = {number: file.with_name(f"{file.name}#{number}") if several else file for number in channels.values()}
        yield _entry(cohort, name, channels=channels, files=files, masks=masks)


def _channels(cohort: Path, modalities: Sequence[str]) -> dict[str, int]:
    """Names of the channels in dataset.json to their numbers; InputError where a modality is none of them."""
    path = cohort / DATASET
    if not path.is_file():
        raise InputError(
            f"--cohort={cohort}: no {DATASET}, which names the channels of {IMAGES}, found "
            f'{case_files.shown(cohort, [])}; add it, such as {{"channel_names": {{"0": "FLAIR"}}}}, or choose another '
            "--layout"
        )
    try:
        record = json_files.parse(path.read_text(encoding="utf-8-sig"))
        names = record.get("channel_names") or record.get("modality")
        channels = {str(name): int(number) for number, name in names.items()}
    except (OSError, ValueError, AttributeError, TypeError, OverflowError) as error:
        system_errors.raise_of_drive(error)
        raise InputError(
            f"--cohort={cohort}: {path.name} has no channel_names (nnU-Net) or modality (Decathlon) that could be read "
            f"({' '.join(str(error).split())}); correct it, or choose another --layout"
        ) from error
    for modality in modalities:
        if modality_names.position(channels, modality) is None:
            raise InputError(
                f"--modalities={','.join(modalities)}: {path} has the channels {', '.join(channels)}, and {modality} "
                "is none of them; name those"
            )
    return channels


def _masks(cohort: Path) -> dict[str, Path]:
    return {case_files.stem(file.name): file for file in case_files.images_in(cohort / LABELS)}


def _entry(
    cohort: Path, name: str, *, channels: dict[str, int], files: dict[int, Path], masks: dict[str, Path]
) -> Entry:
    find = _finder(cohort, name, channels=channels, files=files, masks=masks)
    return Entry(str(cohort / IMAGES), name, "", is_grade=False, find=find)


def _finder(
    cohort: Path, name: str, *, channels: dict[str, int], files: dict[int, Path], masks: dict[str, Path]
) -> Callable[[str], Path]:
    def find(wanted: str) -> Path:
        if wanted == MASK:
            if name not in masks:
                raise Problem(
                    wanted,
                    f"{cohort / LABELS}: no {wanted} of {name}, found {case_files.shown(cohort / LABELS, [])}, "
                    f"expected {name}.nii.gz; add it, or {ways_out(wanted)}",
                )
            return masks[name]
        position = modality_names.position(channels, wanted)
        number = -1 if position is None else list(channels.values())[position]
        if number not in files:
            found = ", ".join(file.name for file in files.values())
            raise Problem(
                wanted,
                f"{cohort / IMAGES}: no {wanted} of {name}, found {found}, expected "
                f"{name}_{max(number, 0):04d}.nii.gz; add it, or {ways_out(wanted)}",
            )
        return files[number]

    return find
