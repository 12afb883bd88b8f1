"""What is measured of each volume as its slices are written, kept in a file beside them: it serves every split."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rembrandt_featgen.core import array_files, folders
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.preparation import Preparation
from rembrandt_featgen.data.slicing import Part


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of one patient.

    Attributes:
      slices, empty_slices: how many were written, and how many of them have no tumour.
      has_tumour: whether the mask of the volume has any, on its own grid.
      tumour, pixels: of the prepared slices.
      cut, mask_voxels: voxels of tumour outside the prepared slices, and of the whole mask.
      content_cut: share of the head or body (`preparation.kept_share`) outside of them; NaN where not measured.
      fingerprint: of `duplicates`.
      description: of `preparation.describe`, float32, without the mean and deviation of a cohort.
      shape: [3] slices, height and width of the volume.
      spacing: [3] mm between slices, rows and columns.
      file_spacing, file_shape: as `patient_volumes.PatientVolume` has them, [3] each.
      plane, unoriented, moved: as there.
      number, mean, squares: of `slicing.Part`, for the mean and deviation of a cohort; 0 where there are none.
    """

    slices: int
    empty_slices: int
    has_tumour: bool
    tumour: int
    pixels: int
    cut: int
    mask_voxels: int
    content_cut: float
    fingerprint: np.ndarray
    description: np.ndarray
    shape: tuple[int, ...]
    spacing: np.ndarray
    file_spacing: np.ndarray
    file_shape: tuple[int, ...]
    plane: str
    unoriented: str
    number: int
    mean: np.ndarray
    squares: np.ndarray
    moved: str = ""

    @property
    def tumour_cut(self) -> float:
        """Share of the tumour outside the prepared slices; NaN where the whole was not measured."""
        return self.cut / self.mask_voxels if self.mask_voxels else 0.0 if not self.cut else float("nan")

    @property
    def record(self) -> dict:
        """What stage.json says of it."""
        names = ("plane", "shape", "spacing", "file_shape", "file_spacing", "content_cut", "tumour_cut", "moved")
        return {name: getattr(self, name) for name in names}

    @property
    def part(self) -> Part:
        """Its part of the moments of the slices of many."""
        return Part(self.number, self.mean, self.squares)


_NAMES = tuple(field.name for field in dataclasses.fields(Measured))


def write_measured(folder: Path, name: str, measured: Mapping[str, Measured]) -> None:
    """Writes `measured-<name>.npz`, whole or not at all; patient id to what was measured, of one patient or more."""
    columns = {key: np.stack([np.asarray(getattr(one, key)) for one in measured.values()]) for key in _NAMES}
    with folders.whole(_path(folder, name)) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, patients=np.array(list(measured), str), **columns)


def read_measured(folder: Path, name: str) -> dict[str, Measured]:
    """Reads what `write_measured` wrote; InputError where it is missing or damaged."""
    path = _path(folder, name)
    try:
        arrays = array_files.read_npz(path)
        patients, columns = arrays["patients"], {key: arrays[key] for key in _NAMES if key in arrays}
        columns = {**_of_before(columns), **columns}
        if len(columns) < len(_NAMES) or any(column.shape[:1] != patients.shape for column in columns.values()):
            raise ValueError("its columns are not those of its patients")
        return {
            str(patient): Measured(**{key: _value(key, column[row]) for key, column in columns.items()})
            for row, patient in enumerate(patients)
        }
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path} is missing or damaged; delete {folder} so that its stage is done again") from error


def is_measured(folder: Path, name: str) -> bool:
    """Whether the file is there, which is written when all slices are."""
    return _path(folder, name).exists()


def normalised_description(one: Measured, preparation: Preparation) -> np.ndarray:
    """`preparation.describe` of that volume, with the mean and deviation that `preparation` has."""
    shift, scale = (np.array(values, np.float32)[:, np.newaxis] for values in preparation.shift_and_scale)
    share, quantiles = one.description[:, :1], one.description[:, 1:]
    return np.concatenate([share, (quantiles - shift) / scale], 1)


def _of_before(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What stores of earlier versions lack, which had axial slices at the spacing of the files."""
    count = len(columns["slices"])
    return {
        "mask_voxels": np.zeros(count, np.int64),
        "content_cut": np.full(count, np.nan),
        "file_spacing": columns["spacing"][:, ::-1],
        "file_shape": columns["shape"][:, ::-1],
        "plane": np.full(count, "axial"),
        "unoriented": np.full(count, ""),
        "moved": np.full(count, ""),
    }


def _value(key: str, entry: np.ndarray):
    """An entry of a column as it was: a number, a tuple, or an array."""
    return tuple(entry.tolist()) if key in ("shape", "file_shape") else entry.item() if entry.ndim == 0 else entry


def _path(folder: Path, name: str) -> Path:
    return Path(folder) / f"measured-{name}.npz"
