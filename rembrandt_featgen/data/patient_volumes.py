"""A patient's volumes and mask, read, as displayed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from rembrandt_featgen.cohort import spacing
from rembrandt_featgen.cohort.patients import Patient
from rembrandt_featgen.cohort.volumes import Volume, read_mask, read_volumes
from rembrandt_featgen.data import slicing

_CT_NAMES = ("ct", "cbct")
_CT_BELOW = -200.0  # no z-scored or otherwise prepared MRI has such values; air has -1000, fat -100


@dataclasses.dataclass(frozen=True, eq=False)
class PatientVolume:
    """What was read of a patient.

    Attributes:
      image: [slices, height, width, channels] float32, raw.
      mask: [slices, height, width] uint8 in {0, 1}.
      spacing: [3] mm, of slices, rows and columns.
    """

    image: np.ndarray
    mask: np.ndarray
    spacing: np.ndarray


def read_patient(patient: Patient, modalities: Sequence[str], *, compare: bool = False) -> PatientVolume:
    """Reads a patient's volumes, a channel for each modality.

    Args:
      patient: whose files are read.
      modalities: in the order of the channels.
      compare: warns of a mask that lies elsewhere in space than its image.

    Raises:
      InputError: as `cohort.volumes` has it.
    """
    read = read_volumes([patient.images[modality] for modality in modalities])
    mask = read_mask(patient.mask, read[0].voxels.shape, read[0] if compare else None)
    shown = np.moveaxis(slicing.as_displayed(mask), 2, 0)
    return PatientVolume(stacked(read), np.ascontiguousarray(shown), spacing_of(read[0]))


def stacked(volumes: Sequence[Volume]) -> np.ndarray:
    """[x, y, slices] of each modality to [slices, height, width, channels] float32, as displayed."""
    displayed = slicing.as_displayed(np.stack([volume.voxels for volume in volumes], -1))
    return np.ascontiguousarray(np.moveaxis(displayed, 2, 0))


def spacing_of(volume: Volume) -> np.ndarray:
    """[3] mm between slices, rows and columns as displayed."""
    return spacing.of_affine(volume.affine)[[2, 1, 0]]


def is_ct(modalities: Sequence[str], lowest: Sequence[float]) -> bool:
    """Whether values are Hounsfield units: by the modalities' names, or because most volumes have air far below 0.

    Args:
      modalities: names of the channels.
      lowest: least value of each training volume.
    """
    named = all(name.lower() in _CT_NAMES for name in modalities)
    return named or float(np.median(np.asarray(lowest))) < _CT_BELOW
