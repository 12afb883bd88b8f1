"""What --normalise=auto, --crop=auto, the size of slices and the mean come to, from training patients alone.

Volumes are read once for their content and once more to be prepared; each split then chooses from what was measured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from rembrandt_featgen.cohort.patients import Patient
from rembrandt_featgen.cohort.reading_choice import AS_STORED, Reading
from rembrandt_featgen.data.patient_volumes import is_ct, read_patient
from rembrandt_featgen.data.preparation import Preparation, content_box, size_for
from rembrandt_featgen.data.slicing import Moments, Part

AUTO = "auto"


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
      modalities: in the order of the channels.
      normalise: one of `preparation.NORMALISATIONS`, or "auto": "cohort" for CT, else "volume".
      crop: one of `preparation.CROPS`, or "auto": "none" for CT, where air is not only background, else "foreground".
      fit: one of `preparation.FITS`.
      size: of the slices with "crop"; with "resize" the largest one: less, where most training volumes fit into less.
      slices_in: 1 or 3.
      reading: how volumes are read.
    """

    modalities: tuple[str, ...]
    normalise: str
    crop: str
    fit: str
    size: int
    slices_in: int
    reading: Reading = AS_STORED

    @property
    def needs_contents(self) -> bool:
        """Whether the choice looks into volumes."""
        return AUTO in (self.normalise, self.crop) or self.fit == "resize"


@dataclasses.dataclass(frozen=True)
class Content:
    """What the choice looks at in a volume; JSON holds it.

    Attributes:
      lowest: its least value.
      full, box: height and width of its slices and of the foreground's box, pixels.
    """

    lowest: float
    full: tuple[int, int]
    box: tuple[int, int]


def contents(patients: Sequence[Patient], request: Request) -> dict[str, Content]:
    """The content of each patient's volumes, by id; {} where nothing of it is asked for.

    Raises:
      InputError: as `patient_volumes.read_patient`.
    """
    found: dict[str, Content] = {}
    for patient in tqdm(patients, "patients' content", unit="patient", disable=not request.needs_contents):
        if request.needs_contents:
            image = read_patient(patient, request.modalities, reading=request.reading).image
            box = content_box(tf.constant(image)).numpy()[2:].tolist()
            found[patient.id] = Content(float(image.min()), (image.shape[1], image.shape[2]), (box[0], box[1]))
    return found


def choose_preparation(request: Request, found: Mapping[str, Content], training: Sequence[str]) -> Preparation:
    """The preparation that is asked for, but for the mean and deviation of training slices (`with_moments`).

    Args:
      request: what is asked for.
      found: of `contents`.
      training: ids of the training patients.
    """
    normalise, crop, size = request.normalise, request.crop, request.size
    volumes = [found[patient] for patient in training] if request.needs_contents else []
    if AUTO in (normalise, crop):
        ct = is_ct(request.modalities, [volume.lowest for volume in volumes])
        normalise = normalise if normalise != AUTO else ("cohort" if ct else "volume")
        crop = crop if crop != AUTO else ("none" if ct else "foreground")
    if request.fit == "resize":
        size = size_for(_sides(volumes, crop), size)
    channels = len(request.modalities)
    return Preparation(
        normalise=normalise,
        crop=crop,
        fit=request.fit,
        size=size,
        slices_in=request.slices_in,
        mean=(0.0,) * channels,
        deviation=(1.0,) * channels,
    )


def with_moments(preparation: Preparation, parts: Sequence[Part]) -> Preparation:
    """The same with the mean and deviation of the training slices, where it normalises by them; `parts` of each."""
    if preparation.normalise != "cohort":
        return preparation
    moments = Moments(len(preparation.mean))
    for part in parts:
        moments.add(part)
    mean, deviation = moments.mean().tolist(), moments.deviation().tolist()
    return dataclasses.replace(preparation, mean=tuple(mean), deviation=tuple(deviation))


def log_choice(
    preparation: Preparation, *, request: Request, found: Mapping[str, Content], training: Sequence[str]
) -> None:
    """Says what was chosen, and why; the others as for `choose_preparation`."""
    volumes = [found[patient] for patient in training] if request.needs_contents else []
    if AUTO in (request.normalise, request.crop):
        kind = "CT" if is_ct(request.modalities, [volume.lowest for volume in volumes]) else "not CT"
        logging.info("images are %s: --normalise=%s, --crop=%s", kind, preparation.normalise, preparation.crop)
    if request.fit == "resize":
        size = preparation.size
        larger = int((_sides(volumes, preparation.crop).max(1) > size).sum())
        logging.info(
            "slices are %d x %d; %d of %d training volumes are larger, and shrunk", size, size, larger, len(volumes)
        )


def _sides(volumes: Sequence[Content], crop: str) -> np.ndarray:
    """[n, 2] heights and widths of what is kept of each volume, pixels."""
    return np.array([volume.box if crop == "foreground" else volume.full for volume in volumes])
