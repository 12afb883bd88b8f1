"""What networks look at (Grad-CAM, saliency), and what they look for (activation maximisation)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rembrandt_featgen.interpretation.explanations import ChannelMaximum, ClassMaximum, Explanation
from rembrandt_featgen.interpretation.feature_points import most_active_channels
from rembrandt_featgen.reporting.drawing import Figure, mosaic
from rembrandt_featgen.reporting.panels import Panel, grid
from rembrandt_featgen.reporting.paper_figures import MAPS, listed


def grad_cam(examples: Sequence[Explanation], classifier: str) -> Figure:
    """Grad-CAM and saliency of the classifier, for slices and for synthetic features.

    Args:
      examples: one column each.
      classifier: its name.
    """
    rows = [
        [Panel(one.image, one.title, one.mask, colours=_colours(one)) for one in examples],
        [Panel(one.image, heat=one.cam) for one in examples],
        [Panel(one.saliency, colours="magma") for one in examples],
    ]
    return Figure(
        grid(rows, ["slice or feature", "Grad-CAM", "saliency"]),
        f"Slices and synthetic features ({listed(one.title for one in examples)}), and below each "
        "where the classifier finds its evidence, by Grad-CAM and by saliency.",
        f"Where the classifier ({classifier}) finds evidence for the class that it calls. Of slices, the gradient is "
        "carried back through the U-Net; a synthetic feature has no slice, so its grid is shown, as the mean of its "
        "channels. Grad-CAM is as coarse as the block whose features are classified. Bright places moved the decision; "
        "that does not make it right.",
    )


def activation_maximisation(channels: Sequence[ChannelMaximum], classes: Sequence[ClassMaximum]) -> Figure:
    """What maximises a channel of the features and the class head of the discriminator, beside real and synthetic.

    Args:
      channels: one row each.
      classes: one row each; empty for a discriminator without class head.
    """
    rows = [_channel_row(channel) for channel in channels] + [_class_row(one) for one in classes]
    names = [f"{channel.channel},\nmore in {channel.name}" for channel in channels]
    names += [f"discriminator,\n{one.name}" for one in classes]
    of_heads = (
        "Discriminator: a feature that maximises the log-odds of a class by its class head, and the same "
        f"{MAPS} channels of a typical real and synthetic feature, each with its log-odds."
    )
    return Figure(
        grid(rows, names),
        f"What maximises {' and '.join(channel.channel for channel in channels)}"
        + "".join(f", and what the discriminator takes for {one.name}" for one in classes)
        + ", beside a real and a synthetic counterpart.",
        "Activation maximisation. Features: of each class the channel that fires most in it, compared with the other "
        "class; a slice that maximises it, found from the training slice in which it fires most; that slice; and its "
        "map in the synthetic feature in which it fires most. "
        + (of_heads if classes else "The discriminator has no class head to maximise."),
    )


def _channel_row(channel: ChannelMaximum) -> list[Panel]:
    image, heat = channel.real
    means = [f"mean {value:.2g}" for value in channel.means]
    row = [
        Panel(channel.maximised, f"maximised slice\n{means[0]}"),
        Panel(image, f"real slice and its map\n{means[1]}", heat=heat),
    ]
    if channel.synthetic is not None:
        row.append(Panel(channel.synthetic, f"map in a synthetic feature\n{means[2]}", colours="viridis"))
    return row


def _class_row(one: ClassMaximum) -> list[Panel]:
    channels = most_active_channels(one.features[1], MAPS)
    maps = np.stack([np.moveaxis(feature[..., channels], -1, 0) for feature in one.features])
    maps = maps / np.maximum(maps.max((0, 2, 3), keepdims=True), 1e-12)  # a channel's colours hold for all three
    odds = [f"{value:+.1f}".replace("-", "\N{MINUS SIGN}") for value in one.log_odds]
    titles = [f"{kind} feature, {value}" for kind, value in zip(("maximised", "real", "synthetic"), odds)]
    return [Panel(mosaic(each), title, colours="viridis") for each, title in zip(maps, titles)]


def _colours(example: Explanation) -> str:
    return "viridis" if example.mask is None else "gray"
