"""What a finished run left, for the figures that show it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.classification import classifier_export
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.splits import SPLITS
from rembrandt_featgen.core import array_files
from rembrandt_featgen.features import crops, encoders
from rembrandt_featgen.generation import gan_export
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.interpretation import attribution, feature_points, samples
from rembrandt_featgen.segmentation import unet_export

SYNTHETIC = "synthetic"  # split of the generated features
PATIENTS = 3  # of each class whose slices are shown
SLICES_OF_A_VOLUME = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Artifacts:
    """Networks, slices and features of a run, each read when it is first asked for.

    Attributes:
      folders, records: by name of stage, those that `draw_figures` reads; records as stage.json holds them.
      classes: of the run.
      most: features that are pooled to points at most.
      seed: of the choice of these features.
    """

    folders: Mapping[str, Path]
    records: Mapping[str, dict]
    classes: Classes
    most: int
    seed: int
    _slices: dict[str, samples.Slices] = dataclasses.field(default_factory=dict, init=False)

    @property
    def tap(self) -> str:
        """Block of the U-Net whose features were generated and classified."""
        return self.records["extract_features"]["figures"]["tap"]

    @functools.cached_property
    def unet(self) -> tf.keras.Model:
        """The fine-tuned U-Net."""
        return unet_export.restore_unet(
            self.folders["train_unet"],
            config=self.records["train_unet"]["config"],
            slices=self.records["prepare_slices"],
            precision="float32",
        )

    @functools.cached_property
    def encoder(self) -> tf.keras.Model:
        """What makes features of slices, sharing its weights with `unet`."""
        return encoders.encoder(self.unet, self.folders["extract_features"])

    def encoder_inputs(self, slices: samples.Slices) -> tuple[tf.keras.Model, np.ndarray, np.ndarray]:
        """What features of slices are computed from: the slices, or the crops around their predicted tumours.

        Returns:
          Model from these to features; images [n, height, width, channels]; masks [n, height, width].
        """
        if self.tap != crops.TAP:
            return self.encoder, slices.images, slices.masks
        of_crops = self.encoder.get_layer("crop_features")
        size = of_crops.input_shape[1]
        where = crops.places(tf.constant(self.unet.predict(slices.images, batch_size=4, verbose=0)), size)
        images, masks = (crops.cut(tf.constant(part), where, size) for part in (slices.images, slices.masks[..., None]))
        return of_crops, images.numpy(), masks.numpy()[..., 0]

    @functools.cached_property
    def points(self) -> feature_points.Points:
        """Real and synthetic features, pooled."""
        sources = [(self.folders["extract_features"], split) for split in SPLITS]
        sources.append((self.folders["generate_synthetic"], SYNTHETIC))
        return feature_points.pooled(sources, self.most, self.seed)

    def slices(self, split: str, most: int = PATIENTS) -> samples.Slices:
        """The slice with most tumour of `most` patients of each class, at most `PATIENTS`, the positive class first."""
        labels = [self.classes.label(name) for name in self.classes.positive_first]
        if split not in self._slices:
            folder = self.folders["prepare_slices"]
            patients = [
                patient for label in labels for patient in samples.patients(folder, split, label, most=PATIENTS)
            ]
            self._slices[split] = samples.largest_tumours(folder, split, patients)
        slices = self._slices[split]
        return slices.take([n for label in labels for n in np.flatnonzero(slices.labels == label)[:most]])

    def volumes(self, split: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Slices from the bottom to the top of a volume of each class.

        Returns:
          Images and masks, [n, height, width], by class, patient and modality.
        """
        images, masks = {}, {}
        for name in self.classes.positive_first:
            folder = self.folders["prepare_slices"]
            for patient in samples.patients(folder, split, self.classes.label(name), most=1):
                volume = samples.volume(folder, split, patient)
                spaced = np.unique(np.linspace(0, len(volume.patients) - 1, SLICES_OF_A_VOLUME).astype(int))
                for channel, modality in enumerate(self.records["prepare_slices"]["figures"]["channels"]):
                    row = f"{name}, {patient}, {modality}"
                    images[row], masks[row] = volume.images[spaced, ..., channel], volume.masks[spaced]
        return images, masks

    def feature(self, split: str, number: int) -> np.ndarray:
        """A feature by its number in its split, [h, w, channels]."""
        folder = self.folders["generate_synthetic" if split == SYNTHETIC else "extract_features"]
        return feature_points.read_feature(folder, split, number)

    def typical(self, split: str, name: str) -> np.ndarray | None:
        """The feature of a class whose mean is the median; None where there is none of that class."""
        number = feature_points.typical(self.points, split, self.classes.label(name))
        return None if number is None else self.feature(split, number)

    def classifier(self) -> tf.keras.Model:
        """The classifier that was exported."""
        record = self.records["train_classifiers"]
        name, shape = self.records["export"]["figures"]["classifier"], tuple(record["figures"]["shape"])
        return classifier_export.restore_classifier(
            self.folders["train_classifiers"],
            name,
            shape=shape,
            filters=record["config"]["classifier_filters"],
            units=record["config"]["classifier_units"],
            num_classes=self.classes.count,
        )

    def class_head(self) -> tf.keras.Model | None:
        """The discriminator up to its class head, from scaled features; None where it has none, or sees slices."""
        record = self.records["train_generators"]
        if KINDS[record["config"]["generators"][0]].of_images:
            return None
        gan = gan_export.restore_gan(self.folders["train_generators"])
        return attribution.class_head(gan.discriminator)

    def scaled(self, feature: np.ndarray) -> np.ndarray:
        """A feature as the discriminator sees it."""
        folder = self.folders["train_generators"]
        scale, lowest = array_files.read_own(folder / "scale.npy"), folder / "lowest.npy"
        above = feature - array_files.read_own(lowest) if lowest.exists() else feature
        return np.divide(above, scale, out=np.zeros_like(feature), where=scale > 0)
