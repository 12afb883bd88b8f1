"""DICOM files by SimpleITK: what their headers say, and the volume that the slices of one series are."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK

from rembrandt_featgen.cohort import dicom_claims
from rembrandt_featgen.core import system_errors
from rembrandt_featgen.core.errors import InputError

SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
# What is read of a header; all else in it, as names and dates of birth, is never looked at.
TAGS = {
    "patient": "0010|0020",
    "study": "0020|000d",
    "date": "0008|0020",
    "series": "0020|000e",
    "number": "0020|0011",
    "description": "0008|103e",
    "protocol": "0018|1030",
    "sequence": "0018|0024",
    "scanning": "0018|0020",
    "repetition": "0018|0080",
    "echo": "0018|0081",
    "inversion": "0018|0082",
    "diffusion": "0018|9087",
    "phase": "0020|0100",
    "agent": "0018|0010",
    "modality": "0008|0060",
    "type": "0008|0008",
    "thickness": "0018|0050",
    "position": "0020|0032",
    "orientation": "0020|0037",
    "spacing": "0028|0030",
    "rows": "0028|0010",
    "columns": "0028|0011",
    "samples": "0028|0002",
    "frames": "0028|0008",
    "bits": "0028|0100",
    "syntax": "0002|0010",
    "instance": "0008|0018",
}
_STORAGE = re.compile(rb"1\.2\.840\.10008\.5\.1\.4\.1\.1\.(\d+)")  # what a file holds
_NO_IMAGES = ("9", "11", "66", "67", "88", "104", "481")  # curves, presentations, segmentations, reports, plans
_COSINE = 1e-3  # two orientations are the same if their cosines differ by less
_NAMED = 4  # folders that a message names
_MOST_PACKED = 2000  # pixels for a byte of a file: no way to pack them makes empty slices smaller
_EVEN = 0.1  # of the median gap: by how much gaps between slices may differ from it


@dataclasses.dataclass(frozen=True)
class DicomSlice:
    """A DICOM file with an image: where it is, and what of `TAGS` its header says ("" where nothing)."""

    path: Path
    header: dict[str, str]

    def numbers(self, name: str) -> np.ndarray:
        """The numbers of a tag; empty where it has none."""
        try:
            return np.array([float(word) for word in self.header[name].split("\\") if word.strip()])
        except ValueError:
            return np.array([])


def read_header(path: Path) -> DicomSlice | None:
    """The header of a file; None where it is no DICOM file, or one without an image (a report, a plan).

    Raises:
      InputError: it is a DICOM image, and damaged; or no file can be read there.
    """
    try:
        with path.open("rb") as file:
            head = file.read(2048)
    except OSError as error:
        system_errors.raise_of_drive(error)
        raise InputError(f"{path}: cannot be read ({error.strerror}); correct its permissions or its link") from error
    if head[128:132] != b"DICM" and head[:2] not in (b"\x08\x00", b"\x02\x00"):
        return None
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        dicom_claims.check_lengths(path)
        reader.ReadImageInformation()
        known = set(reader.GetMetaDataKeys())
        header = {name: _text(reader.GetMetaData(tag)) if tag in known else "" for name, tag in TAGS.items()}
    except (RuntimeError, ValueError) as error:
        system_errors.check_drive(path)
        stored = _STORAGE.search(head)
        if stored and stored[1].decode() in _NO_IMAGES:
            return None
        why = f" ({error})" if isinstance(error, ValueError) else ""
        raise InputError(
            f"{path}: a damaged DICOM file{why}; download it again, or take it out of its folder"
        ) from error
    return DicomSlice(path, header)


def _text(value: str) -> str:
    """A value as printable ASCII of one line: other letters come in the encoding of their file, if at all."""
    plain = value.encode("ascii", "replace").decode("ascii").replace("\x00", " ")
    return " ".join("".join(letter if letter.isprintable() else " " for letter in plain).split())


def read_folder(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The volume of a folder that holds one series.

    Returns:
      [x, y, slices] and [4, 4], as `read_slices`.

    Raises:
      InputError: the folder holds no series or several, or a file is damaged, or as `read_slices`.
    """
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    slices = [one for one in map(read_header, files) if one is not None]
    if not slices:
        below = _with_images(folder)
        if below:
            some = ", ".join(str(one.relative_to(folder)) for one in below[:_NAMED])
            more = f" and {len(below) - _NAMED} more" if below[_NAMED:] else ""
            raise InputError(
                f"{folder}: no DICOM images in this folder itself, but in folders below it ({some}{more}); give the "
                "one that holds the series"
            )
        raise InputError(
            f"{folder}: no DICOM images in this folder ({len(files)} files); name a file, or another folder"
        )
    series = sorted({one.header["series"] for one in slices})
    if len(series) > 1:
        titles = sorted({one.header["description"] for one in slices})
        raise InputError(
            f"{folder}: {len(series)} DICOM series in one folder ({', '.join(titles)[:120]}); take one out of it by "
            "rembrandt_featgen.stages.import_dicom"
        )
    return read_slices(slices, str(folder))


def _with_images(folder: Path) -> list[Path]:
    """Folders below a folder that hold DICOM images, sorted, by the first file of each."""
    found = []
    for below in sorted(one for one in folder.rglob("*") if one.is_dir()):
        first = next((file for file in sorted(below.iterdir()) if file.is_file() and file.name[0] != "."), None)
        if first and read_header(first):
            found.append(below)
    return found


def read_slices(slices: Sequence[DicomSlice], where: str) -> tuple[np.ndarray, np.ndarray]:
    """The volume that the slices of one series are, whatever the order of the files.

    Args:
      slices: of one series.
      where: it is, for messages.

    Returns:
      [x, y, slices] int16 or float32, each slice rescaled as its file says, sorted along the slices' normal; and [4, 4]
      from indices to DICOM's mm, to the patient's left, back and head (LPS).

    Raises:
      InputError: as `arrange`, or the voxels of a file cannot be read.
    """
    ordered, affine = arrange(slices, where)
    held = sum(one.path.stat().st_size for one in ordered)
    claimed = [math.prod(int(one.numbers(name)[:1].sum()) for name in ("rows", "columns")) for one in ordered]
    plain = [
        count * int(one.numbers("bits")[:1].sum() or 8) // 8  # bytes
        for count, one in zip(claimed, ordered, strict=True)
        if one.header["syntax"] in dicom_claims.NATIVE
    ]
    if sum(claimed) > _MOST_PACKED * held or sum(plain) > held:
        raise InputError(
            f"{where}: headers say {sum(claimed)} pixels, the files have {held} bytes: damaged; download the series "
            "again"
        )
    reader = SimpleITK.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames([str(one.path) for one in ordered])
    reader.SetOutputPixelType(SimpleITK.sitkFloat64)  # slices may have scales of their own
    try:
        array = SimpleITK.GetArrayFromImage(reader.Execute()).transpose(2, 1, 0)
    except RuntimeError as error:
        system_errors.check_drive(*(one.path for one in ordered))
        reason = " ".join(str(error).split())[-200:]
        raise InputError(
            f"{where}: the voxels of the DICOM series cannot be read ({reason}); download it again"
        ) from error
    whole = np.array_equal(array, np.rint(array)) and np.abs(array).max(initial=0) < 2**15
    return array.astype(np.int16 if whole else np.float32), affine


def arrange(slices: Sequence[DicomSlice], where: str) -> tuple[list[DicomSlice], np.ndarray]:
    """Sorts slices by where they lie.

    Returns:
      The slices in the direction of the normal of rows and columns; and [4, 4] as `read_slices`. Where slices lie
      askew (a tilted gantry), the affine is sheared as they are.

    Raises:
      InputError: the slices make no volume: of several orientations or sizes, missing, doubled, unevenly spaced, in
        colour, or several in a file.
    """
    problem = _unlike(slices)
    if problem:
        raise InputError(f"{where}: {problem}")
    rows, columns = slices[0].numbers("orientation").reshape(2, 3)
    normal = np.cross(rows, columns)
    positions = np.array([one.numbers("position") for one in slices])  # [slices, 3]
    order = np.argsort(positions @ normal, kind="stable")
    positions, ordered = positions[order], [slices[index] for index in order]
    step = normal * (slices[0].numbers("thickness")[:1].sum() or 1.0)
    if len(ordered) > 1:
        step = (positions[-1] - positions[0]) / (len(ordered) - 1)
        problem = _uneven(positions, normal, step)
        if problem:
            raise InputError(f"{where}: {problem}")
    down, across = slices[0].numbers("spacing")
    affine = np.eye(4)
    affine[:3] = np.stack([rows * across, columns * down, step, positions[0]], 1)
    return ordered, affine


def _unlike(slices: Sequence[DicomSlice]) -> str:
    """Why files are no slices of one stack; empty where they are."""
    first = slices[0]
    for one in slices:
        if one.numbers("frames")[:1].sum() > 1 or "MOSAIC" in one.header["type"].upper():
            return (
                f"{one.path.name} holds several slices in one file (enhanced DICOM or a mosaic); convert it by dcm2niix"
            )
        if one.numbers("samples")[:1].sum() > 1:
            return f"{one.path.name} is a picture in colour, not of grey values; leave the series out"
        for name, count in (("orientation", 6), ("position", 3), ("spacing", 2)):
            if len(one.numbers(name)) != count:
                return f"{one.path.name} does not say its {name} ({TAGS[name]}); leave the file out, it has no place"
        if (one.header["rows"], one.header["columns"]) != (first.header["rows"], first.header["columns"]):
            return f"slices of several sizes ({first.path.name}, {one.path.name}); leave the series out"
        if np.abs(one.numbers("orientation") - first.numbers("orientation")).max() > _COSINE:
            return (
                f"slices of several orientations ({first.path.name}, {one.path.name}), as of a localizer; they are no "
                "volume, leave the series out"
            )
        if not np.allclose(one.numbers("spacing"), first.numbers("spacing"), rtol=1e-3):
            return f"pixels of several sizes ({first.path.name}, {one.path.name}); leave the series out"
    return ""


def _uneven(positions: np.ndarray, normal: np.ndarray, step: np.ndarray) -> str:
    """Why sorted positions [slices, 3] are no evenly spaced stack; empty where they are."""
    gaps = np.diff(positions @ normal)
    usual = float(np.median(gaps))
    places = 1 + int((gaps > 1e-2).sum())
    if places < len(positions):
        return (
            f"{len(positions)} slices lie at {places} places: files are there twice, or there are several "
            "volumes (echoes, times); keep one slice at each place"
        )
    if gaps.max() > (1 + _EVEN) * usual or gaps.min() < (1 - _EVEN) * usual:
        at = int(np.argmax(gaps))
        missing = round(float(gaps[at]) / usual) - 1
        what = f"{missing} slices are missing" if missing > 0 else "slices are unevenly spaced"
        return (
            f"{what} (gaps of {gaps.min():.2f} to {gaps.max():.2f} mm, the widest after slice {at + 1} of "
            f"{len(positions)}); download the series again, or leave it out"
        )
    if np.abs(positions - positions[0] - np.arange(len(positions))[:, None] * step).max() > max(0.5, _EVEN * usual):
        return "the slices do not lie along a line; they are no volume, leave the series out"
    return ""
