"""The paper's figures 3 to 11: arrays and histories in, a PNG with its words out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rembrandt_featgen.interpretation.feature_points import most_active_channels
from rembrandt_featgen.reporting import run_figures
from rembrandt_featgen.reporting.drawing import Figure, mosaic
from rembrandt_featgen.reporting.panels import Panel, grid

MAPS = 25  # of Figs 9 and 10
_MAPS_OF_A_BLOCK = 9
_TIMES = "\N{MULTIPLICATION SIGN}"


def sample_slices(images: np.ndarray, masks: np.ndarray, titles: Sequence[str]) -> Figure:
    """Fig. 3: slices and, below each, its mask.

    Args:
      images, masks: [n, height, width].
      titles: n lines: class and patient.
    """
    above = [Panel(image, title) for image, title in zip(images, titles)]
    below = [Panel(mask) for mask in masks]
    return Figure(
        grid([above, below], ["slice", "mask"]),
        f"{len(titles)} slices ({listed(titles)}), and below each the mask of its tumour.",
        "Fig. 3: sample slices of each class with their masks: of each training patient the slice with most tumour.",
    )


def volumes(images: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray]) -> Figure:
    """Fig. 4: slices of whole volumes, a volume a row.

    Args:
      images, masks: what the row shows (class, patient, modality) to [n, height, width].
    """
    rows = [[Panel(image, truth=mask) for image, mask in zip(images[name], masks[name])] for name in images]
    return Figure(
        grid(rows, [name.replace(", ", "\n") for name in images]),
        f"Slices from the bottom to the top of {len(images)} volumes ({listed(images)}), the tumour outlined.",
        "Fig. 4: samples, from the bottom of a volume to its top. Every slice is a sample, also those without tumour.",
    )


_OF_TABLE_1 = (
    "the augmentations of Table 1, each alone at its strongest, and all together at random, as in training; image and "
    "mask alike."
)
_MODES = {  # of augmentation, and what is said of them
    "correct": _OF_TABLE_1,
    "reference": f"{_OF_TABLE_1} They have the quirks of the reference implementation (--augmentation=reference).",
    "standard": "the augmentations of --augmentation=standard, milder than Table 1's: each movement alone at its "
    "strongest, of image and mask alike, and all together at random, as in training, with changes of the image's "
    "intensities.",
}


def augmentations(images: np.ndarray, masks: np.ndarray, names: Sequence[str], *, in_use: bool, mode: str) -> Figure:
    """Fig. 5: one slice after each augmentation, the paper's of Table 1 or those of another mode.

    Args:
      images, masks: [n, height, width], first the slice as it is.
      names: n lines: technique and amount.
      in_use: whether the run trained with them.
      mode: --augmentation of the run, one of `AUGMENTATIONS` of `data.pipelines`.
    """
    panels = [Panel(image, name, mask) for image, name, mask in zip(images, names, masks)]
    half = -(-len(panels) // 2)
    used = "" if in_use else " This run trained without them (--augment=false)."
    return Figure(
        grid([panels[:half], panels[half:]]),
        f"One slice, the tumour outlined, {len(names)} times: {listed(names)}.",
        f"Fig. 5: {_MODES[mode]}{used}",
    )


def before_and_after(
    images: np.ndarray,
    truths: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    *,
    titles: Sequence[Sequence[str]],
    note: str,
) -> Figure:
    """Fig. 7: segmentation of the same slices by the U-Net before and after fine-tuning.

    Args:
      images, truths: [n, height, width].
      predictions: name of a U-Net ("pre-trained") to its probabilities, [n, height, width].
      titles: for each U-Net, n lines: patient, class, dice.
      note: ends the caption.
    """
    rows = [
        [
            Panel(image, title, truth, prediction=prediction)
            for image, title, truth, prediction in zip(images, lines, truths, predicted)
        ]
        for lines, predicted in zip(titles, predictions.values())
    ]
    return Figure(
        grid(rows, list(predictions)),
        f"{len(images)} test slices with the contours of the true and of the predicted tumour, by the "
        f"{' and by the '.join(predictions)} U-Net.",
        f"Fig. 7: segmentation by the {' against the '.join(predictions)} U-Net. {note}".strip(),
    )


def blocks(image: np.ndarray, maps: Mapping[str, np.ndarray]) -> Figure:
    """Fig. 8: features of one slice at each block.

    Args:
      image: [height, width], the slice.
      maps: name of a block to its features [height, width, filters], the encoder's (5) first.
    """
    sizes = {name: _TIMES.join(map(str, features.shape)) for name, features in maps.items()}
    panels = [
        Panel(_each_to_one(_most_active(features, _MAPS_OF_A_BLOCK)), f"{name}\n{sizes[name]}", colours="viridis")
        for name, features in maps.items()
    ]
    encoder, decoder = panels[:5], panels[5:]
    plain = Panel(image, "the slice\n" + _TIMES.join(map(str, image.shape)))
    return Figure(
        grid([encoder, [plain, *decoder]]),
        f"Feature maps of one slice at each block of the U-Net: {', '.join(f'{k} {v}' for k, v in sizes.items())}.",
        f"Fig. 8: features of each block of the U-Net and their sizes. Of each block the {_MAPS_OF_A_BLOCK} channels "
        "that fire most, each on a colour scale of its own.",
    )


def feature_maps(real: np.ndarray, synthetic: np.ndarray, *, name: str, number: int) -> Figure:
    """Figs 9 and 10: the channels that fire most in a real feature, and the same of a synthetic one.

    Args:
      real, synthetic: [height, width, channels].
      name: of the class.
      number: of the figure.
    """
    channels = most_active_channels(real, MAPS)
    shown, beside = (np.moveaxis(feature[..., channels], -1, 0) for feature in (real, synthetic))
    return Figure(
        run_figures.feature_maps(shown, beside, name),
        f"Two mosaics of the same {len(channels)} channels, of a real {name} feature and of a synthetic one.",
        f"Fig. {number}: the same channels of a real and a synthetic {name} feature; a channel has the same colour "
        "scale in both.",
    )


def generated_slices(rows: Mapping[str, tuple[np.ndarray, np.ndarray | None]], kind: str) -> Figure:
    """Generated slices, below real ones.

    Args:
      rows: name of each row to its slices [n, height, width], and whether each was accepted, [n] bool; None for real
        ones.
      kind: of GAN, such as "image_acgan".
    """
    panels = [
        [
            Panel(image, "" if accepted is None else "accepted" if accepted[i] else "not accepted")
            for i, image in enumerate(images)
        ]
        for images, accepted in rows.values()
    ]
    return Figure(
        grid(panels, list(rows)),
        f"Slices in rows: {listed(list(rows))}.",
        f"Slices by the {kind}, drawn at random, below the training slices with the most tumour; accepted means that "
        "the discriminator's auxiliary classifier agrees with the class that was asked for. The generator was trained "
        "on all slices of a volume, also those without tumour.",
    )


def gan_curves(history: Mapping[str, Sequence[float]], kind: str) -> Figure:
    """Fig. 11 of one run: losses, class accuracy and probability of being real by epoch.

    Args:
      history: name to values by epoch; what a kind of GAN does not measure is missing.
      kind: of GAN, such as "acgan".
    """
    panels = {
        "Loss": {"discriminator": "d_loss", "generator": "g_loss"},
        "Class accuracy by the discriminator": {
            "real, training": "real_class_accuracy",
            "real, validation": "val_real_class_accuracy",
            "synthetic": "fake_class_accuracy",
        },
        "Probability of being real": {"real": "real_source", "synthetic": "fake_source"},
        "Mutual information of codes": {"bound": "information"},
    }
    known = _in_history(panels, history)
    return Figure(
        run_figures.training_curves(known),
        f"Training curves of the {kind} over {len(history['d_loss'])} epochs: {listed(known)}.",
        f"Fig. 11: training of generator and discriminator ({kind}).",
    )


def gan_sweep(histories: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Fig. 11 of several runs: loss and class accuracy by epoch, a line for each.

    Args:
      histories: number of filters (ndf = ngf) as text to history.
    """
    titles = {
        "d_loss": "Loss of the discriminator",
        "g_loss": "Loss of the generator",
        "fake_class_accuracy": "Class accuracy of synthetic features",
    }
    panels = {
        title: {name: history[key] for name, history in histories.items() if key in history}
        for key, title in titles.items()
    }
    return Figure(
        run_figures.training_curves({title: series for title, series in panels.items() if series}),
        "Losses of discriminator and generator and class accuracy of synthetic features over epochs, a line for each "
        f"of {listed(histories)}.",
        "Fig. 11: training of generator and discriminator with different numbers of filters (ndf = ngf).",
    )


def listed(names: Iterable[str]) -> str:
    """Names of panels on one line."""
    return "; ".join(name.replace("\n", " ") for name in names)


def _most_active(feature: np.ndarray, most: int) -> np.ndarray:
    """Maps [most, height, width] of the channels that fire most."""
    return np.moveaxis(feature[..., most_active_channels(feature, most)], -1, 0)


def _each_to_one(maps: np.ndarray) -> np.ndarray:
    """A mosaic of [channels, height, width] >= 0 in which the maximum of each is 1."""
    return mosaic(maps / np.maximum(maps.max((1, 2), keepdims=True), 1e-12))


def _in_history(panels: Mapping[str, Mapping[str, str]], history: Mapping) -> dict[str, dict[str, Sequence[float]]]:
    """Panels with the values of what `history` holds; those without any are left out."""
    kept = {title: {n: history[k] for n, k in series.items() if k in history} for title, series in panels.items()}
    return {title: series for title, series in kept.items() if series}
