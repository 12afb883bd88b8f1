"""The U-Nets that were trained without a part of the training patients each (--cross_fit), beside that of all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.segmentation import class_aware, unet_export, unet_fitting


@dataclasses.dataclass(frozen=True, eq=False)
class UnetParts:
    """Those of a run.

    Attributes:
      networks: by the number of the part that each was trained without; none without --cross_fit.
      part_of: training patient to the number of its part.
    """

    networks: list[tf.keras.Model]
    part_of: dict[str, int]


@dataclasses.dataclass(frozen=True, eq=False)
class Training:
    """What the trainings of a run have in common.

    Attributes:
      recipe: of each.
      start: the U-Net as training begins; from the number of a collapse, from 1, as it begins again.
      slices: folder of the stage prepare_slices.
      classes: of the run.
    """

    recipe: unet_fitting.Recipe
    start: Callable[..., tf.keras.Model]
    slices: Path
    classes: Classes

    def fit(
        self,
        unet: tf.keras.Model,
        *,
        folder: Path,
        logs: Path,
        kept: np.ndarray | None = None,
        title: str = "U-Net",
        extra: Sequence[tf.keras.callbacks.Callback] = (),
    ) -> dict:
        """`unet_fitting.fit` of a U-Net as training begins; `kept` [n] bool are the slices that it learns from."""
        return unet_fitting.fit(
            unet,
            self.recipe,
            slices=self.slices,
            folder=folder,
            logs=logs,
            weights=class_aware.class_weights(
                self.slices,
                self.classes,
                weight=self.recipe.class_weight,
                sampling=self.recipe.sampling,
                kept=kept,
            ),
            initial_weights=lambda number: self.start(number).get_weights(),
            kept=kept,
            title=title,
            extra=extra,
        )


def fit_parts(training: Training, part_of: Mapping[str, int], *, folder: Path, logs: Path) -> list[dict]:
    """Trains a U-Net without each part of the training patients, one after another, from the same initial weights.

    Args:
      training: what they have in common.
      part_of: training patient to the number of its part.
      folder: gets part0/best.npz and so on, from which a killed training resumes.
      logs: of TensorBoard.

    Returns:
      Of each, "best_epoch", "epochs" and "collapses", see `unet_fitting.fit`.
    """
    patients, parts = Store(training.slices, "train").patients, []
    for part, name in enumerate(names(part_of)):
        (folder / name).mkdir(exist_ok=True)
        kept = np.array([part_of[patient] != part for patient in patients])
        trained = training.fit(
            training.start(), folder=folder / name, logs=logs / name, kept=kept, title=f"U-Net, {name}"
        )
        parts.append({what: trained[what] for what in ("best_epoch", "epochs", "collapses")})
    return parts


def name_of(part: int) -> str:
    """The folder of the network that was trained without a part, in that of the stage train_unet."""
    return f"part{part}"


def names(part_of: Mapping[str, int]) -> list[str]:
    """The folders of all, by the number of the part."""
    return [name_of(part) for part in range(max(part_of.values(), default=-1) + 1)]


def restore_parts(folder: Path, *, record: Mapping, slices: Mapping, precision: str) -> UnetParts:
    """Reads them back.

    Args:
      folder: run_dir/unet.
      record: its stage.json.
      slices: stage.json of the stage prepare_slices.
      precision: in which they compute from now on.
    """
    part_of = record["figures"].get("part_of", {})  # which records of before lack
    networks = [
        unet_export.restore_unet(folder / name, config=record["config"], slices=slices, precision=precision)
        for name in names(part_of)
    ]
    return UnetParts(networks, part_of)
