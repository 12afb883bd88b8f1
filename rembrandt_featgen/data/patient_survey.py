"""What one patient's files hold, as the report of a cohort shows it: sizes, intensities, tumour, and a picture."""

from __future__ import annotations

import base64
import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rembrandt_featgen.cohort import duplicates
from rembrandt_featgen.cohort.patients import Patient
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import intensities
from rembrandt_featgen.data.patient_volumes import PatientVolume, is_ct, read_patient
from rembrandt_featgen.data.preparation import Preparation, kept_share, place, restore_volume
from rembrandt_featgen.data.preparation_choice import AUTO, Request

QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}  # of the foreground
PICTURE = 160  # pixels of a picture's longer side, at most
_DARKEST, _BRIGHTEST = 0.001, 0.995  # shares of voxels at which pictures are black and white
_FINE = (24, 96, 96)  # what a fingerprint needs of slices, height and width; it is much coarser itself


class Picture(NamedTuple):
    """The slice of a patient with most tumour, or the middle one, with pixels as wide as high, in mm.

    Attributes:
      greys: [modalities, height, width] uint8.
      mask: [height, width] bool.
    """

    greys: np.ndarray
    mask: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class PatientSurvey:
    """What was read of a patient; of one who cannot be read, the problem alone.

    Attributes:
      patient, label, group, site: as `Patient` has them.
      problem: why the files cannot be used; "" where they can.
      shape: [3] slices, height, width.
      spacing: [3] mm between slices, rows and columns.
      file_shape, file_spacing, plane, unoriented, moved: as `PatientVolume` has them.
      content_cut, tumour_cut: shares of the head or body, and of the tumour, outside the slices that are asked for.
      tumour_voxels: of the mask.
      tumour_slices: slices with tumour.
      largest_slice: number, from 1, of the slice with most tumour, or of the middle one.
      intensities: modality to "lowest" (all but the darkest 0.1% lie above it), `QUANTILES` of the foreground, and its
        "share" of the voxels.
      same: two modalities that hold the same image; () where there are none.
      fingerprint: of `duplicates`, float32; empty where there is none.
      picture: None where there is none.
    """

    patient: str
    label: str
    group: str
    site: str
    problem: str = ""
    shape: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    file_shape: tuple[int, ...] = ()
    file_spacing: tuple[float, ...] = ()
    plane: str = "axial"
    unoriented: str = ""
    moved: str = ""
    content_cut: float = 0.0
    tumour_cut: float = 0.0
    tumour_voxels: int = 0
    tumour_slices: int = 0
    largest_slice: int = 0
    intensities: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    same: tuple[str, ...] = ()
    fingerprint: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.float32))
    picture: Picture | None = None

    @property
    def record(self) -> dict:
        """All but the arrays."""
        names = [field.name for field in dataclasses.fields(self) if field.name not in ("fingerprint", "picture")]
        return {name: getattr(self, name) for name in names}

    @property
    def row(self) -> dict:
        """All of it, as JSON can hold it."""
        row = {**self.record, "fingerprint": _packed(self.fingerprint.tobytes())}
        if self.picture is not None:
            shape, bits = self.picture.greys.shape, np.packbits(self.picture.mask)
            row["picture"] = [list(shape), _packed(self.picture.greys.tobytes()), _packed(bits.tobytes())]
        return row

    @classmethod
    def of_row(cls, row: Mapping) -> PatientSurvey:
        """Undoes `row`."""
        picture = None
        if "picture" in row:
            shape, greys, bits = row["picture"]
            size = shape[-2:]
            mask = np.unpackbits(_unpacked(bits, np.uint8), count=int(np.prod(size))).astype(bool)
            picture = Picture(_unpacked(greys, np.uint8).reshape([-1, *size]), mask.reshape(size))
        tuples = {name: tuple(row[name]) for name in ("shape", "spacing", "file_shape", "file_spacing", "same")}
        return cls(**{**row, **tuples, "fingerprint": _unpacked(row["fingerprint"], np.float32), "picture": picture})


def survey(patient: Patient, request: Request) -> PatientSurvey:
    """Reads a patient's files; what cannot be used is named in `problem`, and nothing is raised.

    Args:
      patient: whose files are read.
      request: the modalities, how they are read, and how slices are cut.
    """
    known = PatientSurvey(patient.id, patient.label, group=patient.group, site=patient.site)
    try:
        read = read_patient(patient, request.modalities, reading=request.reading)
    except InputError as error:
        return dataclasses.replace(known, problem=str(error))
    return dataclasses.replace(known, **_measured(read, request))


def _measured(read: PatientVolume, request: Request) -> dict:
    """What is measured of volumes that could be read."""
    modalities = request.modalities
    ordered = intensities.sampled(tf.constant(read.image))
    thresholds = intensities.thresholds(ordered).numpy()
    of_modality, bounds = {}, []
    for name, values, threshold in zip(modalities, (one.numpy() for one in ordered), thresholds):
        above = values[np.searchsorted(values, threshold, "right") :]
        bounds.append([_at(values, share) for share in (_DARKEST, _BRIGHTEST, 1 - _DARKEST)])
        of_modality[name] = {
            "lowest": bounds[-1][0],
            **{key: _at(above, share) for key, share in QUANTILES.items()},
            "share": len(above) / len(values),
        }
    areas = read.mask.sum((1, 2), dtype=np.int64)
    largest = int(areas.argmax()) if areas.any() else len(areas) // 2
    low, _, high = bounds[0]
    return {
        "shape": tuple(read.mask.shape),
        "spacing": tuple(float(step) for step in read.spacing),
        "file_shape": tuple(read.file_shape),
        "file_spacing": tuple(float(step) for step in read.file_spacing),
        "plane": read.plane,
        "unoriented": read.unoriented,
        "moved": read.moved,
        **_cut(read, thresholds, request),
        "tumour_voxels": int(areas.sum()),
        "tumour_slices": int((areas > 0).sum()),
        "largest_slice": largest + 1,
        "intensities": of_modality,
        "same": _same(read.image, modalities),
        "fingerprint": _fingerprint(read.image[..., 0], low, high),
        "picture": _picture(
            read.image[largest], read.mask[largest], bounds=[one[:2] for one in bounds], steps=read.spacing[1:].tolist()
        ),
    }


def _at(ordered: np.ndarray, share: float) -> float:
    """Nearest of some ordered values; 0 of none."""
    return float(ordered[round(share * (len(ordered) - 1))]) if len(ordered) else 0.0


def _cut(read: PatientVolume, thresholds: np.ndarray, request: Request) -> dict[str, float]:
    """Shares outside the slices that are asked for; none where slices are shrunk to their size, or fit."""
    if request.fit != "crop" or max(read.mask.shape[1:]) <= request.size:
        return {}
    channels = read.image.shape[-1]
    crop = request.crop
    if crop == AUTO:  # the cohort's choice, but for its volumes' majority
        crop = "none" if is_ct(request.modalities, [float(read.image.min())]) else "foreground"
    preparation = Preparation(
        "volume",
        crop,
        request.fit,
        size=request.size,
        slices_in=1,
        mean=(0.0,) * channels,
        deviation=(1.0,) * channels,
    )
    volume = tf.constant(read.image)
    where = place(volume, tf.constant(thresholds), preparation)
    kept = restore_volume(tf.ones([1, request.size, request.size, 1]), where).numpy()[0, ..., 0] > 0.5
    tumour, inside = int(read.mask.sum(dtype=np.int64)), int(read.mask[:, kept].sum(dtype=np.int64))
    return {
        "content_cut": 1.0 - float(kept_share(volume, where, preparation, threshold=thresholds)),
        "tumour_cut": 1.0 - inside / tumour if tumour else 0.0,
    }


def _same(image: np.ndarray, modalities: Sequence[str]) -> tuple[str, ...]:
    """The first two modalities that hold the same image."""
    for second in range(1, len(modalities)):
        for first in range(second):
            if np.array_equal(image[..., first], image[..., second]):
                return modalities[first], modalities[second]
    return ()


def _fingerprint(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """`duplicates.fingerprint` of [slices, height, width], thinned to means of blocks first: the same, but quicker."""
    steps = [max(size // fine, 1) for size, fine in zip(image.shape, _FINE)]
    kept = [size // step * step for size, step in zip(image.shape, steps)]
    blocks = np.clip(image[tuple(map(slice, kept))], low, high)
    blocks = blocks.reshape([part for size, step in zip(kept, steps) for part in (size // step, step)]).mean((1, 3, 5))
    return duplicates.fingerprint(np.moveaxis(blocks, 0, 2)).astype(np.float32)


def _picture(
    image: np.ndarray, mask: np.ndarray, *, bounds: Sequence[Sequence[float]], steps: Sequence[float]
) -> Picture:
    """A slice, shrunk where it is larger than `PICTURE`, and stretched where its pixels are not as wide as high.

    Args:
      image: [height, width, modalities].
      mask: [height, width].
      bounds: of each modality: what is black, and what is white.
      steps: [2] mm between rows and columns.
    """
    low, white = np.array(bounds, np.float32).T
    grey = (np.clip(image, low, white) - low) / np.maximum(white - low, 1e-12) * 255
    share = mask.astype(np.float32)
    wanted = np.array(mask.shape) * np.asarray(steps, float) / min(steps)
    wanted *= min(PICTURE / wanted.max(), 1.0)
    size = [max(round(side), 1) for side in wanted]
    if size != list(mask.shape):
        both = tf.image.resize(np.concatenate([grey, share[..., np.newaxis]], -1), size, antialias=True).numpy()
        grey, share = both[..., :-1], both[..., -1]
    shown = share > 0.5
    greys = np.moveaxis(np.rint(np.clip(grey, 0, 255)).astype(np.uint8), -1, 0)
    return Picture(np.ascontiguousarray(greys), shown if shown.any() else share > 0.05)


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 6)).decode()


def _unpacked(text: str, dtype: type) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype)
