"""What networks look at (Grad-CAM, saliency), and what they look for (activation maximisation)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.reporting.drawing import Figure, mosaic
from rembrandt_featgen.reporting.panels import Panel, grid
from rembrandt_featgen.reporting.paper_figures import MAPS, listed, liveliest_channels


class Explained(NamedTuple):
    """A decision of the classifier and where it comes from.

    Attributes:
      title: whose it is, and the probability of HGG.
      image: [height, width]: a slice, or the mean of a feature's channels.
      cam, saliency: [height, width] >= 0.
      mask: of the tumour, [height, width]; None for a feature.
    """

    title: str
    image: np.ndarray
    cam: np.ndarray
    saliency: np.ndarray
    mask: np.ndarray | None = None


class Sought(NamedTuple):
    """What a channel of the U-Net looks for, all [height, width].

    Attributes:
      channel: name of block and channel.
      grade: in which the channel fires more.
      maximised: the slice that maximises it.
      real: the training slice in which it fires most, and its map there, of the slice's size.
      synthetic: its map in the synthetic feature in which it fires most; None where there is none.
      means: of the channel in each of them.
    """

    channel: str
    grade: str
    maximised: np.ndarray
    real: tuple[np.ndarray, np.ndarray]
    synthetic: np.ndarray | None
    means: Sequence[float]


class Wanted(NamedTuple):
    """What the discriminator's class head takes for a grade.

    Attributes:
      grade: "HGG" or "LGG".
      features: maximised, real and synthetic, [height, width, channels] each.
      log_odds: of the grade by the head, for each.
    """

    grade: str
    features: Sequence[np.ndarray]
    log_odds: Sequence[float]


def grad_cam(examples: Sequence[Explained], classifier: str) -> Figure:
    """Grad-CAM and saliency of the classifier, for slices and for synthetic features.

    Args:
      examples: one column each.
      classifier: its name.
    """
    rows = [
        [Panel(e.image, e.title, e.mask, colours=_colours(e)) for e in examples],
        [Panel(e.image, heat=e.cam) for e in examples],
        [Panel(e.saliency, colours="magma") for e in examples],
    ]
    return Figure(
        grid(rows, ["slice or feature", "Grad-CAM", "saliency"]),
        f"Slices and synthetic features ({listed(e.title for e in examples)}), and below each "
        "where the classifier finds its evidence, by Grad-CAM and by saliency.",
        f"Where the classifier ({classifier}) finds evidence for the grade that it calls. Of slices, the gradient is "
        "carried back through the U-Net; a synthetic feature has no slice, so its grid is shown, as the mean of its "
        "channels. Grad-CAM is as coarse as the block whose features are classified. Bright places moved the decision; "
        "that does not make it right.",
    )


def activation_maximisation(sought: Sequence[Sought], wanted: Sequence[Wanted]) -> Figure:
    """What maximises a channel of the U-Net and the class head of the discriminator, beside what is real and synthetic.

    Args:
      sought: one row each.
      wanted: one row each; empty for a discriminator without class head.
    """
    rows: list[list[Panel]] = []
    names = []
    for channel in sought:
        image, heat = channel.real
        means = [f"mean {value:.2g}" for value in channel.means]
        row = [
            Panel(channel.maximised, f"maximised slice\n{means[0]}"),
            Panel(image, f"real slice and its map\n{means[1]}", heat=heat),
        ]
        if channel.synthetic is not None:
            row.append(Panel(channel.synthetic, f"map in a synthetic feature\n{means[2]}", colours="viridis"))
        rows.append(row)
        names.append(f"{channel.channel},\nmore in {channel.grade}")
    for head in wanted:
        channels = liveliest_channels(head.features[1], MAPS)
        maps = np.stack([np.moveaxis(feature[..., channels], -1, 0) for feature in head.features])
        maps = maps / np.maximum(maps.max((0, 2, 3), keepdims=True), 1e-12)  # a channel's colours hold for all three
        odds = [f"{value:+.1f}".replace("-", "\N{MINUS SIGN}") for value in head.log_odds]
        titles = [f"{kind} feature, {value}" for kind, value in zip(("maximised", "real", "synthetic"), odds)]
        rows.append([Panel(mosaic(each), title, colours="viridis") for each, title in zip(maps, titles)])
        names.append(f"discriminator,\n{head.grade}")
    of_heads = (
        "Discriminator: a feature that maximises the log-odds of a grade by its class head, and the same "
        f"{MAPS} channels of a typical real and synthetic feature, each with its log-odds."
    )
    return Figure(
        grid(rows, names),
        f"What maximises {' and '.join(channel.channel for channel in sought)}"
        + "".join(f", and what the discriminator takes for {head.grade}" for head in wanted)
        + ", beside a real and a synthetic counterpart.",
        "Activation maximisation. Features: of each grade the channel that fires most in it, compared with the other "
        "grade; a slice that maximises it, found from the training slice in which it fires most; that slice; and its "
        "map in the synthetic feature in which it fires most. "
        + (of_heads if wanted else "The discriminator has no class head to maximise."),
    )


def _colours(example: Explained) -> str:
    return "viridis" if example.mask is None else "gray"
