"""Slices of a whole cohort that several splits share: a store for each preparation that one's training patients choose.

Intensities are normalised over each volume, or left to the index of each split, by which they are normalised when read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rembrandt_featgen.cohort import image_paths
from rembrandt_featgen.cohort.patients import Cohort
from rembrandt_featgen.cohort.reading_choice import Reading
from rembrandt_featgen.core import json_files, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.preparation import Preparation
from rembrandt_featgen.data.preparation_choice import Content, Request, choose_preparation, contents
from rembrandt_featgen.data.slice_writing import write_volumes
from rembrandt_featgen.data.volume_measures import is_measured

_CONTENTS = "contents.json"  # of all volumes, for the choice of any split


@dataclasses.dataclass(frozen=True)
class SharedSlices:
    """What a study shares.

    Attributes:
      folder: of the stage share_slices.
      cohort: digest of the cohort's files and labels (`content_digest`).
      contents: of each patient's volumes, by id, for the choice of any split.
    """

    folder: Path
    cohort: str
    contents: Mapping[str, Content]

    def has(self, preparation: Preparation) -> bool:
        """Whether there is a store of that preparation."""
        return is_measured(self.folder, _name(preparation, self.cohort))

    def store_of(self, preparation: Preparation) -> str:
        """Name of the store of that preparation; InputError where there is none."""
        if not self.has(preparation):
            raise InputError(
                f"--slices_from={self.folder.parent} has no slices of {preparation.size} x {preparation.size} with "
                f"--normalise={preparation.normalise} and --crop={preparation.crop}, which these training patients "
                f"need; delete {self.folder} so that crossvalidate writes them, or leave --slices_from out"
            )
        return _name(preparation, self.cohort)


def write_shared(
    folder: Path, cohort: Cohort, request: Request, *, digest: str, trainings: Iterable[Sequence[str]]
) -> dict[str, Preparation]:
    """Writes what splits share; stores that are there whole, of a writer that was killed, are taken as they are.

    Args:
      folder: of the stage.
      cohort: all patients, and the classes.
      request: the preparation that is asked for.
      digest: of the cohort, of `content_digest`.
      trainings: ids of the training patients of each split.

    Returns:
      Name of each store to its preparation.

    Raises:
      InputError: as `patient_volumes.read_patient`.
    """
    if not (folder / _CONTENTS).exists():
        found = contents(cohort.patients, request)
        json_files.write_json(folder / _CONTENTS, {key: dataclasses.asdict(one) for key, one in found.items()})
    found = _read_contents(folder)
    chosen = [choose_preparation(request, found, training) for training in trainings]
    stores = {_name(preparation, digest): preparation for preparation in chosen}
    for name, preparation in stores.items():
        if not is_measured(folder, name):
            write_volumes(
                folder,
                name,
                cohort,
                modalities=request.modalities,
                preparation=preparation,
                reading=request.reading,
            )
    return stores


def find_shared(study: str, cohort: Cohort, request: Request) -> SharedSlices:
    """Finds what a study shares.

    Args:
      study: its folder, --slices_from.
      cohort: whose slices are wanted.
      request: the preparation that is asked for.

    Raises:
      InputError: there is nothing, or it is of other patients or classes, or of another request.
    """
    found = rundir.find(study, "share_slices")
    labels = {patient.id: patient.label for patient in cohort.patients}
    if found.record["figures"]["labels"] != labels or found.record["classes"] != cohort.classes.record:
        raise InputError(
            f"--slices_from={study} has slices of other patients or classes than --cohort; give both of one cohort, or "
            "leave --slices_from out"
        )
    asked = dataclasses.asdict(request)
    asked = {**asked.pop("reading"), "image_size": asked.pop("size"), **asked}
    config = found.record["config"]
    made = json_files.plain({**config, **dataclasses.asdict(Reading.of_flags(config))})
    for flag, value in json_files.plain(asked).items():
        if (before := made[flag]) != value:
            raise InputError(
                f"--slices_from={study} was made with --{flag}={before}, not {value}; give the same, or leave "
                "--slices_from out"
            )
    return SharedSlices(found.folder, found.record["inputs"]["cohort"], _read_contents(found.folder))


def content_digest(cohort: Cohort) -> str:
    """One digest of the content of all files of the cohort, and of its labels."""
    digest = hashlib.sha256()
    for patient in cohort.patients:
        digest.update(f"{patient.id} {patient.label}".encode())
        for path in [*patient.images.values(), patient.mask]:
            digest.update(image_paths.digest(path))
    return digest.hexdigest()


def _name(preparation: Preparation, cohort: str) -> str:
    """Of the store of a preparation; slices of other files have another name."""
    described = json.dumps([cohort, dataclasses.asdict(preparation.without_cohort)], sort_keys=True)
    return f"volumes_{preparation.size}_{hashlib.sha256(described.encode()).hexdigest()[:12]}"


def _read_contents(folder: Path) -> dict[str, Content]:
    return {
        patient: Content(lowest=one["lowest"], full=tuple(one["full"]), box=tuple(one["box"]))
        for patient, one in json_files.read_json(folder / _CONTENTS).items()
    }
