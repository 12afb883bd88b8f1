"""A patient's vector from a volume that was just read, by an exported U-Net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rembrandt_featgen.cohort import duplicates
from rembrandt_featgen.cohort.volumes import Volume
from rembrandt_featgen.data import patient_volumes
from rembrandt_featgen.data.truth import Truth
from rembrandt_featgen.features import patient_vectors
from rembrandt_featgen.features.patient_vectors import Settings
from rembrandt_featgen.segmentation import exported_unet
from rembrandt_featgen.segmentation.exported_unet import ExportedUnet, SegmentedVolume
from rembrandt_featgen.segmentation.unet_export import TAP


class VolumeVector(NamedTuple):
    """What is known of a patient.

    Attributes:
      numbers: name of a column to value, NaN where missing.
      empty: whether no tumour is predicted.
      segmented: the volume.
      fingerprint: of `duplicates`, of the first channel as the network sees it, on the volume's own grid.
    """

    numbers: dict[str, float]
    empty: bool
    segmented: SegmentedVolume
    fingerprint: np.ndarray


def vector_of(unet: ExportedUnet, volumes: Sequence[Volume], settings: Settings, *, shown: bool = True) -> VolumeVector:
    """The vector of a patient, as `patient_vectors` makes it of slices on disk.

    Args:
      unet: exported with the taps of the settings.
      volumes: of the patient, one for each channel.
      settings: how vectors are made.
      shown: whether there is a progress bar.
    """
    taps = settings.taps if settings.vectors != "numbers" else ()

    def outputs(batch):
        return batch["probability"], [batch[f"{TAP}{tap}"] for tap in taps]

    segmented = exported_unet.segment(unet, volumes, batch=settings.batch, each=outputs, shown=shown)
    prepared = segmented.prepared
    truth = Truth(
        patient="",
        mask=np.zeros((len(prepared["slices"]), *prepared["full"].numpy()), bool),
        box=prepared["box"].numpy(),
        scaled=prepared["scaled"].numpy(),
        spacing=patient_volumes.spacing_of(volumes[0]),
        areas=np.zeros(0, np.int64),
    )
    numbers, empty = patient_vectors.numbers_of(
        segmented.gathered, truth, prepared["slices"].numpy(), settings=settings
    )
    return VolumeVector(numbers, empty, segmented=segmented, fingerprint=fingerprint(unet, prepared))


def fingerprint(unet: ExportedUnet, prepared: Mapping[str, tf.Tensor]) -> np.ndarray:
    """Of a volume that `prepare` prepared, as `weight_records` makes it of slices on disk."""
    first = prepared["slices"][..., :1]
    on_volume = exported_unet.restored(unet, prepared, first - tf.reduce_min(first))
    return duplicates.fingerprint(np.moveaxis(on_volume, 0, 2)).astype(np.float32)
