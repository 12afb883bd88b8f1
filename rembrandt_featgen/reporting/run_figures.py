"""Figures of the report: each takes arrays or dictionaries and returns a PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.reporting.drawing import (
    BLUE,
    GREY,
    ORANGE,
    SERIES,
    SKY,
    THRESHOLD,
    canvas,
    class_marks,
    contour,
    floats,
    mosaic,
    name_rows,
    spread,
    styled,
)


@styled
def segmentation_overlays(
    images: np.ndarray, truths: np.ndarray, predictions: np.ndarray, *, titles: Sequence[str]
) -> bytes:
    """Grid of grey slices with the contours of the true and the predicted tumour.

    Args:
      images: [n, height, width], any range.
      truths: [n, height, width] in {0, 1}.
      predictions: [n, height, width] probabilities in [0, 1]; their contour is drawn at 0.5.
      titles: n lines: patient, class, dice.
    """
    columns = min(len(images), 4 if len(images) in (4, 7, 8) or len(images) > 9 else 3)
    rows = -(-len(images) // columns)
    height = 2.2 * images.shape[1] / images.shape[2] + 0.45
    figure, axes = canvas(2.2 * columns, height * rows + 0.35, rows=rows, columns=columns)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, image, truth, prediction, title in zip(axes.flat, images, truths, predictions, titles):
        image = np.nan_to_num(np.asarray(image, float))
        ax.imshow(image, cmap="gray", vmin=image.min(), vmax=max(np.percentile(image, 99.5), image.min() + 1e-6))
        contour(ax, truth, colour=SKY, style="solid")
        if not contour(ax, prediction, colour=ORANGE, style="dashed"):
            ax.text(0.5, 0.03, "no tumour predicted", color=ORANGE, ha="center", transform=ax.transAxes, fontsize=8)
        ax.set_title(title if len(title) < 27 else title.replace(", ", "\n", 1), fontsize=8)
    handles = [Line2D([], [], color=SKY, lw=2), Line2D([], [], color=ORANGE, lw=2, ls="dashed")]
    figure.legend(handles, ["true tumour", "predicted tumour"], loc="outside lower center", ncols=2, handlelength=3)
    return figure


@styled
def feature_maps(real: np.ndarray, synthetic: np.ndarray, name: str) -> bytes:
    """Mosaics of the same channels of a real and a synthetic feature, side by side (paper Figs 9-10).

    Args:
      real, synthetic: [channels, height, width], 25 channels for mosaics of 5x5; both share each channel's colours.
      name: of the class, for the titles "real <name>" and "synthetic <name>".
    """
    real, synthetic = (np.nan_to_num(np.asarray(maps, float)) for maps in (real, synthetic))
    low, high = (reduce([real, synthetic], axis=(0, 2, 3), keepdims=True)[0] for reduce in (np.min, np.max))
    figure, axes = canvas(6.9, 3.6, columns=2)
    figure.get_layout_engine().set(wspace=0.06)
    for ax, maps, kind in zip(axes.flat, (real, synthetic), ("real", "synthetic")):
        ax.imshow(mosaic((maps - low) / np.maximum(high - low, 1e-12)), cmap="viridis", vmin=0, vmax=1)
        ax.set_axis_off()
        ax.set_title(f"{kind} {name}")
    return figure


@styled
def training_curves(
    panels: Mapping[str, Mapping[str, Sequence[float]]], best_epoch: int | None = None, ylabel: str = ""
) -> bytes:
    """Lines over epochs, one panel a quantity, with a vertical line at the best epoch (paper Figs 6 and 11).

    Args:
      panels: panel title to series name to values by epoch; None and NaN leave gaps.
      best_epoch: index from 0; the axis counts from 1. None draws no line.
      ylabel: of the leftmost panels.
    """
    rows, columns = -(-len(panels) // 3), min(len(panels), 3)
    figure, axes = canvas(max(3.3 * columns, 4.8), 3.0 * rows, rows=rows, columns=columns)
    for blank in axes.flat[len(panels) :]:
        blank.set_axis_off()
    for number, (ax, (title, series)) in enumerate(zip(axes.flat, panels.items())):
        for i, (name, values) in enumerate(series.items()):
            colour, style = SERIES[i % len(SERIES)]
            marker = "o" if len(values) < 3 else None
            ax.plot(range(1, len(values) + 1), floats(values), style, color=colour, lw=1.8, marker=marker, label=name)
        if best_epoch is not None:
            ax.axvline(best_epoch + 1, color=GREY, lw=1.2, ls=(0, (1, 2)), label=f"best epoch, {best_epoch + 1}")
        ax.set(title=title, xlabel="epoch", ylabel=ylabel if number % columns == 0 else "")
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
        ax.margins(x=0.02, y=0.08)
        ax.set_xlim(left=0.5)
        ax.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.2), handlelength=3)
    return figure


@styled
def forest(
    rows: Sequence[tuple[str, float, float, float]], xlabel: str = "Balanced accuracy", reference: float | None = None
) -> bytes:
    """Values with their intervals, one line each.

    Args:
      rows: (label, value, low, high), top row first; None or NaN is "not defined".
      xlabel: what is measured, its unit and the interval's level.
      reference: where to draw a dashed line, such as 0.5 for chance.
    """
    figure, ((ax,),) = canvas(7.0, 0.34 * len(rows) + 0.95)
    numbers = floats([row[1:] for row in rows])
    for y, (value, low, high) in enumerate(numbers):
        ax.plot([low, high], [y, y], color=BLUE, lw=2.2, solid_capstyle="butt")
        ax.plot(value, y, "s", color=BLUE, ms=6.5)
        text = f"{value:.3f}" if np.isfinite(value) else "not defined"
        if np.isfinite([low, high]).all():
            text += f" [{low:.3f}, {high:.3f}]"
        ax.text(1.02, y, text.replace("-", "\N{MINUS SIGN}"), transform=ax.get_yaxis_transform(), va="center")
    if reference is not None:
        ax.axvline(reference, color=GREY, lw=1.2, ls="--")
    finite = numbers[np.isfinite(numbers)]
    if not finite.size or 0 <= finite.min() <= finite.max() <= 1:
        ax.set_xlim(-0.02, 1.02)
    name_rows(ax, [row[0] for row in rows], xlabel)
    return figure


@styled
def probability_strip(by_arm: Mapping[str, Sequence[float]], truths: Sequence[str], classes: Classes) -> bytes:
    """One dot a patient at a probability, a strip for each arm, coloured by true class.

    Args:
      by_arm: arm to probabilities in [0, 1], by patient: of the positive class of two, of the true class of more.
      truths: name of each patient's true class.
      classes: of the run.
    """
    marks, positive = class_marks(classes.positive_first), classes.positive
    figure, ((ax,),) = canvas(7.0, 0.62 * len(by_arm) + 1.35)
    of_two = len(marks) == 2
    if of_two:
        ax.axvline(THRESHOLD, color=GREY, lw=1.2, ls="--")
    heights = dict(zip(marks, np.linspace(-0.2, 0.2, len(marks))))
    for y, values in enumerate(by_arm.values()):
        probabilities = floats(values)
        for name, (colour, marker) in marks.items():
            x = np.sort(probabilities[(np.asarray(truths) == name) & np.isfinite(probabilities)])
            style = {"s": 36, "color": colour, "alpha": 0.75, "edgecolors": "white", "linewidths": 0.6}
            ax.scatter(
                x, y + heights[name] + spread(x) * 2 / len(marks), marker=marker, clip_on=False, zorder=3, **style
            )
        ax.axhline(y - 0.5, color="#c4c7cc", lw=0.8)
    if of_two:
        sides = f"\N{LEFTWARDS ARROW} called {[*marks][1]}      called {positive} \N{RIGHTWARDS ARROW}"
        ax.text(0.5, 1.01, sides, transform=ax.transAxes, ha="center", va="bottom", fontsize=8.5, color=GREY)
    ax.set_xlim(-0.02, 1.02)
    name_rows(ax, by_arm, f"Patient's probability of {positive if of_two else 'the true class'}")
    handles = [Line2D([], [], color=c, marker=marker, ls="", ms=7) for c, marker in marks.values()]
    numbers = {name: list(truths).count(name) for name in marks}
    counts = [f"truly {name} ({n} patient{'' if n == 1 else 's'})" for name, n in numbers.items()]
    figure.legend(handles, counts, loc="outside lower center", ncols=2)
    return figure
