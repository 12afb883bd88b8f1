"""Figures of the U-Net: its training by epoch, and test slices with true and predicted tumour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import array_files
from rembrandt_featgen.reporting import run_figures
from rembrandt_featgen.reporting.drawing import Figure

# Measures of slices, which every history has, and those that say more: key to title.
_OF_SLICES = {"soft_dice_loss": "Soft-dice loss", "hard_dice": "Hard dice", "iou": "IOU"}
_OF_VOLUMES = {"volume_dice": "Dice of whole volumes", "tumour_found": "Share of the tumour found"}


def unet_curves(history: Mapping[str, Sequence[float]], best_epoch: int, collapses: Sequence[Mapping] = ()) -> Figure:
    """Fig. 6: measures of the U-Net by epoch.

    Args:
      history: name to values by epoch, those of validation with "val_" before. Dice of whole volumes and the share of
        the tumour found are drawn where they are there.
      best_epoch: index from 0.
      collapses: as `collapse_sentence` takes them.
    """
    panels = {}
    for key, title in {**_OF_SLICES, **_OF_VOLUMES}.items():
        series = {"training": history.get(key), "validation": history.get(f"val_{key}")}
        panels[title] = {name: values for name, values in series.items() if values is not None}
    panels = {title: series for title, series in panels.items() if series}
    first, *others = panels
    titles = [first, *(title if title == "IOU" else title.lower() for title in others)]
    said = collapse_sentence(collapses)
    return Figure(
        run_figures.training_curves(panels, best_epoch),
        f"{', '.join(titles[:-1])} and {titles[-1]} of the U-Net on training and validation patients over "
        f"{len(history['iou'])} epochs, with a line at the best epoch, {best_epoch + 1}.",
        "Fig. 6: training of the U-Net; the vertical line marks the epoch whose weights are used."
        + (f" {said}" if said else ""),
    )


def collapse_sentence(collapses: Sequence[Mapping]) -> str:
    """Says in which epochs the U-Net had collapsed to predicting next to no tumour, and what it went on from.

    Args:
      collapses: of each "epoch", from 1, and "back_to_epoch", whose weights came back, None for new initial ones.

    Returns:
      A sentence; "" where there was none.
    """
    back = [(entry["epoch"], entry.get("back_to_epoch")) for entry in collapses]
    said = [f"{epoch} (went on from {'new weights' if at is None else f'those of epoch {at}'})" for epoch, at in back]
    return f"The U-Net collapsed to predicting next to no tumour in epoch {', '.join(said)}." if said else ""


def shown_slices(path: Path, classes: Classes) -> Figure:
    """The slices of overlays.npz, as `overlays.save_overlays` writes it."""
    return Figure(
        _drawn(array_files.read_own_npz(path), "", classes, measure="dice"),
        "Slices of test patients with the contours of the true and of the predicted tumour.",
        "The slice with most tumour of the first test patients; the table says how good the U-Net is.",
    )


def worst_volumes(path: Path, classes: Classes) -> Figure | None:
    """The test volumes of lowest dice in overlays.npz; None where it has none."""
    arrays = array_files.read_own_npz(path)
    if not len(arrays.get("worst_patients", ())):
        return None
    values = [f"{name} {dice:.2f}" for name, dice in zip(arrays["worst_patients"], arrays["worst_dice"])]
    number = f"{len(values)} test volumes" if len(values) > 1 else "test volume"
    return Figure(
        _drawn(arrays, "worst_", classes, measure="volume's dice"),
        f"A slice of each of the {number} of lowest dice, with the contours of the true and of the predicted "
        f"tumour: {', '.join(values)}.",
        f"The {number} of lowest dice, and of each the slice with most wrong pixels. Dice of the whole volume: "
        f"{', '.join(values)}. Volumes without tumour have no dice and are left out.",
    )


def _drawn(arrays: Mapping[str, np.ndarray], start: str, classes: Classes, *, measure: str) -> bytes:
    """The slices whose arrays' names begin with `start`; `measure` says what their dice is of."""
    names = ("images", "truths", "predictions", "patients", "labels", "dice")
    images, truths, predictions, patients, labels, dice = (arrays[start + name] for name in names)
    titles = [
        f"{patient}, {classes.names[label]}, {measure} {value:.2f}"
        for patient, label, value in zip(patients, labels, dice)
    ]
    return run_figures.segmentation_overlays(images, truths, predictions, titles=titles)
