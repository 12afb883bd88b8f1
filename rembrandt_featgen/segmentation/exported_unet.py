"""An exported U-Net at work on a volume that was just read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from rembrandt_featgen.cohort.reading_choice import Reading
from rembrandt_featgen.cohort.volumes import Volume
from rembrandt_featgen.data import familiarity, patient_volumes
from rembrandt_featgen.data.preparation import MULTIPLE
from rembrandt_featgen.nn import saved_models
from rembrandt_featgen.segmentation import postprocessing

_LEAST_KEPT = 0.97  # of what is not background; less is warned of


class ExportedUnet(NamedTuple):
    """The signatures of `unet_export.segmenter` that take a volume in steps."""

    prepare: Callable[..., dict]
    segment_slices: Callable[..., dict]
    restore: Callable[..., dict]

    @property
    def channels(self) -> int:
        """How many volumes of a patient it takes."""
        return self.prepare.structured_input_signature[1]["image"].shape[-1]  # type: ignore[attr-defined]

    @property
    def reading(self) -> Reading:
        """How the volumes that it was trained on were read."""
        nothing = tf.zeros([1, MULTIPLE, MULTIPLE, self.channels])  # settings come with a volume, of any kind
        return Reading.of_record(json.loads(self.prepare(image=nothing)["settings"].numpy()).get("reading"))


def load(folder: str | Path) -> ExportedUnet:
    """The U-Net in a folder of exported models; InputError where there is none."""
    return ExportedUnet(*saved_models.signatures_of(str(folder), "unet", ExportedUnet._fields))


@dataclasses.dataclass(frozen=True, eq=False)
class SegmentedVolume:
    """What the network makes of a volume.

    Attributes:
      mask: [slices, height, width] bool, as displayed, on the volume's own grid.
      probability: [slices, size, size, 1] on that of the prepared slices.
      prepared: what `prepare` gave: slices, full, box, scaled and others.
      gathered: of each batch of slices, what was made of the network's outputs.
      settings: what the network knows of its training.
      warnings: in which ways the volume is unlike those of the training.
      spacing_is_real: whether that of the training volumes is, and the volume's is like it.
    """

    mask: np.ndarray
    probability: tf.Tensor
    prepared: Mapping[str, tf.Tensor]
    gathered: list
    settings: dict
    warnings: list[str]
    spacing_is_real: bool


def segment(
    unet: ExportedUnet, volumes: Sequence[Volume], *, batch: int, each: Callable[[dict], Any], shown: bool = True
) -> SegmentedVolume:
    """Segments a volume.

    Args:
      unet: exported.
      volumes: of a patient, one for each channel.
      batch: slices that are computed at a time.
      each: from what `segment_slices` gives for a batch to what is to be kept of it.
      shown: whether there is a progress bar.
    """
    image = tf.constant(patient_volumes.stacked(volumes))
    prepared = unet.prepare(image=image)
    settings = json.loads(prepared["settings"].numpy())
    slices, probabilities, gathered = prepared["slices"], [], []
    for start in tqdm(range(0, len(slices), batch), "predict", unit="batch", disable=not shown):
        outputs = unet.segment_slices(slices=slices[start : start + batch])
        probabilities.append(outputs["probability"])
        gathered.append(each(outputs))
    whole = tf.concat(probabilities, 0)
    on_volume = restored(unet, prepared, whole)
    warnings = [
        f"the header of {patient_volumes.how_read(volume)}, does not say how it lies: slices may be mirrored, or cut "
        "across another axis than those of the training"
        for volume in volumes
        if not volume.oriented
    ]
    warnings += [
        f"{volume.moved}: it lies elsewhere than the first image, and --geometry brought it there"
        for volume in volumes
        if volume.moved
    ]
    kept, real = settings.get("familiarity"), settings.get("spacing", {}).get("real", False)
    if kept:
        mm, shape = patient_volumes.spacing_of(volumes[0]), tuple(image.shape[:3])
        description = prepared["description"].numpy()
        reasons = familiarity.unlike(kept, description, shape=shape, spacing=mm if real else None)
        real = real and not familiarity.unlike_spacing(kept, mm)
        warnings += [f"unlike the training volumes: {reason}" for reason in reasons]
    if float(prepared["kept"]) < _LEAST_KEPT:
        warnings.append(
            f"{1.0 - float(prepared['kept']):.0%} of what is not background lies outside the part that the model looks "
            "at; tumour there is not found: crop the volume around the head or body first"
        )
    return SegmentedVolume(
        mask=postprocessing.mask_of(on_volume, settings.get("largest_component", False)),
        probability=whole,
        prepared=prepared,
        gathered=gathered,
        settings=settings,
        warnings=warnings,
        spacing_is_real=real,
    )


def restored(unet: ExportedUnet, prepared: Mapping[str, tf.Tensor], values: tf.Tensor) -> np.ndarray:
    """[slices, height, width] on the volume's own grid, of values [slices, size, size, 1] on that of the slices."""
    geometry = {name: prepared[name] for name in ("full", "box", "scaled")}
    return unet.restore(probability=values, **geometry)["probability"].numpy()[..., 0]
