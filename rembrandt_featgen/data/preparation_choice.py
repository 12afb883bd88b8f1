"""What --normalise=auto, --crop=auto and the size of slices come to, from training patients alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from rembrandt_featgen.cohort.patients import Patient
from rembrandt_featgen.data.patient_volumes import is_ct, read_patient
from rembrandt_featgen.data.preparation import Preparation, content_box, prepare_volume, size_for
from rembrandt_featgen.data.slicing import Moments

AUTO = "auto"


def choose_preparation(
    training: Sequence[Patient],
    modalities: Sequence[str],
    *,
    normalise: str,
    crop: str,
    fit: str,
    size: int,
    slices_in: int,
) -> Preparation:
    """The preparation that the flags ask for, with what the training patients add to it.

    Args:
      training: patients.
      modalities: in the order of the channels.
      normalise: one of `preparation.NORMALISATIONS`, or "auto": "cohort" for CT, else "volume".
      crop: one of `preparation.CROPS`, or "auto": "none" for CT, where air is not only background, else "foreground".
      fit: one of `preparation.FITS`.
      size: of the slices with "crop"; with "resize" the largest one: less, where most training volumes fit into less.
      slices_in: 1 or 3.

    Raises:
      InputError: as `patient_volumes.read_patient`.
    """
    lowest, boxes = [], []
    if AUTO in (normalise, crop) or fit == "resize":
        for patient in tqdm(training, "training patients' content", unit="patient"):
            image = read_patient(patient, modalities).image
            lowest.append(float(image.min()))
            boxes.append((image.shape[1:3], content_box(tf.constant(image)).numpy()[2:]))
    if AUTO in (normalise, crop):
        ct = is_ct(modalities, lowest)
        normalise = normalise if normalise != AUTO else ("cohort" if ct else "volume")
        crop = crop if crop != AUTO else ("none" if ct else "foreground")
        kind = "CT" if ct else "not CT"
        logging.info("images are %s: --normalise=%s, --crop=%s", kind, normalise, crop)
    if fit == "resize":
        sides = np.array([box if crop == "foreground" else full for full, box in boxes])
        size = size_for(sides, size)
        larger = int((sides.max(1) > size).sum())
        logging.info(
            "slices are %d x %d; %d of %d training volumes are larger, and shrunk", size, size, larger, len(sides)
        )
    channels = len(modalities)
    plain = Preparation(
        normalise=normalise,
        crop=crop,
        fit=fit,
        size=size,
        slices_in=1,
        mean=(0.0,) * channels,
        deviation=(1.0,) * channels,
    )
    mean, deviation = plain.mean, plain.deviation
    if normalise == "cohort":
        moments = Moments(channels)
        for patient in tqdm(training, "training patients' mean", unit="patient"):
            slices, geometry = prepare_volume(tf.constant(read_patient(patient, modalities).image), plain)
            if fit == "resize":  # the paper's padding, with "crop", counts; here it would depend on the size alone
                slices = tf.image.resize_with_crop_or_pad(slices, geometry.scaled[0], geometry.scaled[1])
            moments.add(slices.numpy())
        mean, deviation = tuple(moments.mean().tolist()), tuple(moments.deviation().tolist())
    return dataclasses.replace(plain, slices_in=slices_in, mean=mean, deviation=deviation)
