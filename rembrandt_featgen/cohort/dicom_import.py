"""From chosen DICOM series to NIfTI files with nothing in them that identifies a patient.

Of a header only the place of the voxels is written. Names of files and patients are pseudonyms, or the ids of the
download (`keep`); dates of visits become numbers.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from rembrandt_featgen.cohort import dicom_files, geometry, image_files, image_paths, nifti_files
from rembrandt_featgen.cohort.dicom_choice import Taken
from rembrandt_featgen.cohort.dicom_series import DicomSeries
from rembrandt_featgen.cohort.geometry import Grid
from rembrandt_featgen.cohort.patients import MASK
from rembrandt_featgen.core import json_files
from rembrandt_featgen.core.errors import InputError

PATIENT_IDS = ("pseudonym", "keep")
JOURNAL = "imported.jsonl"  # what is written already
_ENDINGS = image_files.ENDINGS
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from DICOM's mm to NIfTI's


@dataclasses.dataclass(frozen=True)
class Visit:
    """A visit of a patient.

    Attributes:
      patient: id in the download.
      date: of the visit, as in the download.
      id: of the visit in the manifest.
      group: of the patient in the manifest.
      series: modality to what is taken for it.
    """

    patient: str
    date: str
    id: str
    group: str
    series: Mapping[str, DicomSeries]


def visits_of(taken: Sequence[Taken], names: Mapping[str, str]) -> list[Visit]:
    """The visits of which something is taken, in the order of their dates, which become numbers.

    Args:
      taken: of `dicom_choice.choose`.
      names: patient's id in the download to that in the manifest.
    """
    by_patient: dict[str, dict[tuple[str, str], dict[str, DicomSeries]]] = {}
    for one in taken:
        by_patient.setdefault(one.patient, {}).setdefault(one.visit, {})[one.modality] = one.series
    found = []
    for patient, visits in by_patient.items():
        for number, (visit, series) in enumerate(sorted(visits.items()), 1):
            name = names[patient]
            shown = f"{name}_visit{number}" if len(visits) > 1 else name
            found.append(Visit(patient, visit[0], shown, group=name, series=series))
    return sorted(found, key=lambda one: one.id)


def kept_names(patients: Sequence[str]) -> dict[str, str]:
    """The download's own ids as names of files; InputError where two become the same."""
    names: dict[str, str] = {}
    taken: dict[str, str] = {}
    for patient in patients:
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", patient).strip("._") or "unnamed"
        first = taken.setdefault(name.casefold(), patient)
        if first != patient:
            raise InputError(
                f"--patient_ids=keep: the ids {first!r} and {patient!r} are one as names of files; give "
                "--patient_ids=pseudonym"
            )
        names[patient] = name
    return names


def pseudonyms(patients: Sequence[str], key: Path) -> dict[str, str]:
    """P0001 and so on, in no order that tells anything; those of earlier imports stay as the file `key` has them."""
    names = {}
    if key.is_file():
        with key.open(newline="", encoding="utf-8") as file:
            names = {row["patient"]: row["pseudonym"] for row in csv.DictReader(file)}
    number = max((int(name[1:]) for name in names.values()), default=0)
    fresh = sorted(set(patients) - set(names), key=lambda one: hashlib.sha256(one.encode()).hexdigest())
    names |= {patient: f"P{number + index:04d}" for index, patient in enumerate(fresh, 1)}
    if fresh:
        part = key.with_name(f".{key.name}.part")
        part.touch(mode=0o600)  # it identifies patients
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["patient", "pseudonym"])
            writer.writerows((patient, name) for name, patient in sorted((name, one) for one, name in names.items()))
        part.replace(key)
    return {patient: names[patient] for patient in patients}


class Written(NamedTuple):
    """The volumes, by visit and modality; and the visits that are of other slices than those of that id before."""

    files: dict[tuple[str, str], Path]
    changed: set[str]


def write_volumes(visits: Sequence[Visit], out: Path) -> Written:
    """Writes `<out>/<visit>/<visit>_<modality>.nii.gz`; what was written before of the same slices is left.

    Raises:
      InputError: the voxels of a series cannot be read.
    """
    done = {row["file"]: row["digest"] for row in json_files.resume_journal(out / JOURNAL)}
    wanted = [(visit, modality, series) for visit in visits for modality, series in visit.series.items()]
    written = Written({}, set())
    with (out / JOURNAL).open("a", encoding="utf-8") as journal:
        for visit, modality, series in tqdm(wanted, "volumes", unit="volume"):
            path = out / visit.id / f"{visit.id}_{modality}.nii.gz"
            digest, name = _digest(series), path.relative_to(out).as_posix()
            if done.get(name, digest) != digest:
                written.changed.add(visit.id)
            if done.get(name) != digest or not path.is_file():
                array, affine = dicom_files.read_slices(series.slices, f"--dicom: {series.slices[0].path.parent}")
                path.parent.mkdir(exist_ok=True)
                nifti_files.write_nifti(path, array, _LPS @ affine)
                json_files.append_row(journal, {"file": name, "digest": digest})
            written.files[visit.id, modality] = path
    return written


def on_different_grids(visit: Visit) -> bool:
    """Whether the series of a visit lie apart, or have other voxels."""
    grids = []
    for series in visit.series.values():
        _, affine = dicom_files.arrange(series.slices, visit.id)
        shape = (int(series.header["columns"]), int(series.header["rows"]), len(series.slices))
        grids.append(Grid(shape, affine))
    return not all(geometry.alike(grids[0], grid) for grid in grids)


def _digest(series: DicomSeries) -> str:
    """Of which slices these are; nothing can be read from it."""
    known = [f"{one.header['instance']} {one.path.stat().st_size}" for one in series.slices]
    return hashlib.sha256("\n".join(known).encode()).hexdigest()


def write_masks(visits: Sequence[Visit], folder: Path, out: Path) -> tuple[dict[str, Path], list[Path]]:
    """Writes the masks of visits as `<out>/<visit>/<visit>_mask.nii.gz`, each where its own file says it lies.

    Args:
      visits: whose masks are looked for: by the patient's id in the file's name, and, where the patient has several
        visits, the date as well, as 19960823, 1996.08.23 or 1996-08-23.
      folder: with masks at any depth.
      out: where the volumes are.

    Returns:
      Id of the visit to its mask; and the masks that are of no visit.

    Raises:
      InputError: no such folder, no masks in it, or several for one visit.
    """
    files = [file for file in sorted(folder.rglob("*")) if image_paths.ending(file) in _ENDINGS]
    if not files:
        raise InputError(
            f"--masks={folder}: no images in it, or no such folder; they end in {', '.join(_ENDINGS)} (convert "
            "DICOM-SEG by dcmqi, RTSTRUCT by plastimatch)"
        )
    several = {visit.patient for visit in visits if visit.id != visit.group}
    masks: dict[str, Path] = {}
    left = set(files)
    for visit in visits:
        fitting = [file for file in files if _is_of(file, visit, dated=visit.patient in several)]
        if len(fitting) > 1:
            raise InputError(
                f"--masks={folder}: {fitting[0].name} and {fitting[1].name} are both of patient {visit.patient}; keep "
                "one of them there"
            )
        if fitting:
            masks[visit.id] = out / visit.id / f"{visit.id}_{MASK}.nii.gz"
            stored = image_files.load(fitting[0], "--masks")
            nifti_files.write_nifti(masks[visit.id], stored.array, stored.affine)
            left.discard(fitting[0])
    return masks, sorted(left)


def _is_of(file: Path, visit: Visit, *, dated: bool) -> bool:
    named = re.search(rf"(?<![A-Za-z0-9]){re.escape(visit.patient)}(?![A-Za-z0-9])", file.name, re.IGNORECASE)
    date = [visit.date, f"{visit.date[:4]}.{visit.date[4:6]}.{visit.date[6:]}"]
    date.append(date[1].replace(".", "-"))
    return bool(named) and (not dated or (len(visit.date) == 8 and any(one in file.name for one in date)))
