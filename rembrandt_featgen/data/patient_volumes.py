"""A patient's volumes and mask, read, as displayed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rembrandt_featgen.cohort import spacing
from rembrandt_featgen.cohort.cohort_warnings import CT_BELOW
from rembrandt_featgen.cohort.patients import Patient
from rembrandt_featgen.cohort.reading_choice import AS_STORED, Reading
from rembrandt_featgen.cohort.volumes import Volume, read_placed_mask, read_volumes
from rembrandt_featgen.core import withheld
from rembrandt_featgen.data import slicing

_CT_NAMES = ("ct", "cbct")


@dataclasses.dataclass(frozen=True, eq=False)
class PatientVolume:
    """What was read of a patient.

    Attributes:
      image: [slices, height, width, channels] float32, raw.
      mask: [slices, height, width] uint8 in {0, 1}.
      spacing: [3] mm, of slices, rows and columns.
      file_spacing: [3] mm, of the file's voxels to the right, the front and up: before they were brought to another.
      file_shape: [3] number of these.
      plane: of the slices, a key of `geometry.AXES`.
      unoriented: the first file whose header does not say how it lies, and how it was read; "" where all do.
      moved: what --geometry did to files that lie elsewhere than the first image, with mm; "" where none does.
    """

    image: np.ndarray
    mask: np.ndarray
    spacing: np.ndarray
    file_spacing: np.ndarray
    file_shape: tuple[int, ...]
    plane: str
    unoriented: str
    moved: str = ""


def read_patient(patient: Patient, modalities: Sequence[str], *, reading: Reading = AS_STORED) -> PatientVolume:
    """Reads a patient's volumes, a channel for each modality.

    Args:
      patient: whose files are read.
      modalities: in the order of the channels.
      reading: what is done where they lie apart, along which axes, at which spacing.

    Raises:
      InputError: as `cohort.volumes` has it.
    """
    read = read_volumes([patient.images[modality] for modality in modalities], reading=reading)
    mask = read_placed_mask(patient.mask, read[0], reading=reading, others=read[1:])
    shown = np.moveaxis(slicing.as_displayed(mask.voxels), 2, 0)
    sides, sizes = file_geometry(read[0])
    return PatientVolume(
        stacked(read),
        np.ascontiguousarray(shown),
        spacing_of(read[0]),
        file_spacing=sides,
        file_shape=sizes,
        plane=read[0].plane,
        unoriented=next((how_read(volume) for volume in read if not volume.oriented), ""),
        moved="; ".join(filter(None, [*(volume.moved for volume in read), mask.moved])),
    )


def stacked(volumes: Sequence[Volume]) -> np.ndarray:
    """[x, y, slices] of each modality to [slices, height, width, channels] float32, as displayed."""
    displayed = slicing.as_displayed(np.stack([volume.voxels for volume in volumes], -1))
    return np.ascontiguousarray(np.moveaxis(displayed, 2, 0))


def spacing_of(volume: Volume) -> np.ndarray:
    """[3] mm between slices, rows and columns as displayed."""
    return spacing.of_affine(volume.affine)[[2, 1, 0]]


def file_geometry(volume: Volume) -> tuple[np.ndarray, tuple[int, ...]]:
    """[3] mm between the file's voxels, and number of them, to the right, the front and up."""
    order = [volume.axes.index(letter) for letter in "RAS"]
    return spacing.of_affine(volume.file.affine)[order], tuple(volume.file.shape[axis] for axis in order)


def how_read(volume: Volume) -> str:
    """A file whose header does not say how it lies, and what its axes were taken for."""
    return f"{withheld.said(Path(volume.path).name)}, its axes read as {volume.file_axes}"


def is_ct(modalities: Sequence[str], lowest: Sequence[float]) -> bool:
    """Whether values are Hounsfield units: by the modalities' names, or because most volumes have air far below 0.

    Args:
      modalities: names of the channels.
      lowest: least value of each training volume.
    """
    named = all(name.lower() in _CT_NAMES for name in modalities)
    return named or float(np.median(np.asarray(lowest))) < CT_BELOW
