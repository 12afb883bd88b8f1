"""Every figure of a run by its name: what to draw it from, and how."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from rembrandt_featgen.core import json_files
from rembrandt_featgen.interpretation import explanations, network_outputs, samples
from rembrandt_featgen.interpretation.artifacts import SYNTHETIC, Artifacts
from rembrandt_featgen.reporting import attribution_figures, paper_figures, unet_figures
from rembrandt_featgen.reporting.drawing import Figure
from rembrandt_featgen.reporting.panels import grid

_OF_CLASSES = (9, 10)  # numbers of the paper's figures of feature maps, one for each class


def figures_of_run(
    run: Artifacts, *, steps: int, generators_of_slices: Mapping[str, Path]
) -> dict[str, Callable[[], Figure]]:
    """Name of each figure to what draws it; they share networks and random numbers, so their order matters.

    Args:
      run: what is shown.
      steps: of gradient ascent in activation maximisation.
      generators_of_slices: kind to folder of each.
    """
    draw: dict[str, Callable[[Artifacts], Figure]] = {
        "figure_03": _sample_slices,
        "figure_04": _volumes,
        "figure_05": _augmentations,
        "figure_06": _unet_curves,
        "figure_07": _before_and_after,
        "figure_08": _blocks,
    }
    for name, number in numbers_of_classes(run.classes.positive_first).items():
        draw[f"figure_{number:02}"] = functools.partial(_feature_maps, name=name, number=number)
    draw |= {
        "figure_11": _gan_curves,
        "figure_grad_cam": _grad_cam,
        "figure_activation_maximisation": functools.partial(_activation_maximisation, steps=steps),
    }
    for kind, folder in generators_of_slices.items():
        draw[f"figure_{kind}"] = functools.partial(_generated_slices, kind=kind, folder=folder)
    return {name: functools.partial(function, run) for name, function in draw.items()}


def numbers_of_classes(names: tuple[str, ...]) -> dict[str, int]:
    """Class to the number of the paper's figure that shows its feature maps; `names` with the positive one first."""
    return dict(zip(names, _OF_CLASSES))


def _sample_slices(run: Artifacts) -> Figure:
    slices = run.slices("train")
    titles = [f"{run.classes.names[label]}\n{patient}" for patient, label in zip(slices.patients, slices.labels)]
    return paper_figures.sample_slices(slices.images[..., 0], slices.masks, titles)


def _volumes(run: Artifacts) -> Figure:
    images, masks = run.volumes("train")
    return paper_figures.volumes(images, masks)


def _augmentations(run: Artifacts) -> Figure:
    slices, settings = run.slices("train", 1), run.records["train_unet"]["config"]
    images, masks, names = samples.augmented(
        slices.images[0], slices.masks[0], seed=run.seed, augmentation=settings["augmentation"]
    )
    mode = settings["augmentation"]
    return paper_figures.augmentations(images[..., 0], masks, names, in_use=settings["augment"], mode=mode)


def _unet_curves(run: Artifacts) -> Figure:
    history = json_files.read_json(run.folders["train_unet"] / "history.json")
    figures = run.records["train_unet"]["figures"]
    return unet_figures.unet_curves(history, figures["best_epoch"], figures.get("collapses", ()))


def _before_and_after(run: Artifacts) -> Figure:
    segmented = network_outputs.segment_before_and_after(run)
    return paper_figures.before_and_after(
        segmented.images, segmented.masks, segmented.predictions, titles=segmented.titles, note=segmented.note
    )


def _blocks(run: Artifacts) -> Figure:
    image, maps = network_outputs.block_features(run)
    return paper_figures.blocks(image, maps)


def _feature_maps(run: Artifacts, name: str, number: int) -> Figure:
    real, synthetic = run.typical("train", name), run.typical(SYNTHETIC, name)
    if real is None or synthetic is None:
        why = f"No synthetic {name} feature was accepted."
        return Figure(grid([]), why, why)
    return paper_figures.feature_maps(real, synthetic, name=name, number=number)


def _gan_curves(run: Artifacts) -> Figure:
    history = json_files.read_json(run.folders["train_generators"] / "history.json")
    return paper_figures.gan_curves(history, run.records["train_generators"]["kind"])


def _grad_cam(run: Artifacts) -> Figure:
    examples = explanations.explain_decisions(run)
    return attribution_figures.grad_cam(examples, run.records["export"]["figures"]["classifier"])


def _activation_maximisation(run: Artifacts, steps: int) -> Figure:
    channels = explanations.maximise_channels(run, steps)
    return attribution_figures.activation_maximisation(channels, explanations.maximise_classes(run, steps))


def _generated_slices(run: Artifacts, kind: str, folder: Path) -> Figure:
    return paper_figures.generated_slices(network_outputs.generate_slices(run, folder), kind)
