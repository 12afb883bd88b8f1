"""Grids of pictures: slices with contours, heat laid over them, and mosaics of feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.lines import Line2D

from rembrandt_featgen.reporting.drawing import ORANGE, SKY, canvas, contour, styled

_WIDEST = 10.5  # inches of a figure
_CELL = 2.0  # inches of a picture, unless a row has many


class Panel(NamedTuple):
    """One picture of a grid.

    Attributes:
      image: [height, width], any range; NaN is left blank.
      title: one or two lines above it.
      truth, prediction: [height, width] masks or probabilities, drawn as contours at 0.5, solid and dashed.
      heat: [rows, columns] >= 0 that span the image, laid over it; its maximum is the brightest.
      colours: of the image, a matplotlib colour map.
    """

    image: np.ndarray
    title: str = ""
    truth: np.ndarray | None = None
    prediction: np.ndarray | None = None
    heat: np.ndarray | None = None
    colours: str = "gray"


@styled
def grid(rows: Sequence[Sequence[Panel | None]], names: Sequence[str] = ()):
    """Draws panels in rows.

    Args:
      rows: from the top down; None leaves a place blank, and so does what is missing at the end of a row.
      names: of the rows, printed left of them.
    """
    columns = max(map(len, rows))
    cell = min(_CELL, _WIDEST / columns)
    lines = sum(max((panel.title.count("\n") + bool(panel.title) for panel in row if panel), default=0) for row in rows)
    width, height = cell * columns + (0.35 if names else 0.0), (cell + 0.08) * len(rows) + 0.16 * lines + 0.3
    figure, axes = canvas(width, height, rows=len(rows), columns=columns)
    for number, (row, places) in enumerate(zip(rows, axes)):
        for ax in places:
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
            ax.spines[:].set_visible(False)
        for ax, panel in zip(places, row):
            if panel:
                _draw(ax, panel)
        if names:
            places[0].set_ylabel(names[number], fontsize=9)
    _legend(figure, [panel for row in rows for panel in row if panel])
    return figure


def _draw(ax, panel: Panel) -> None:
    image = np.asarray(panel.image, float)
    finite = image[np.isfinite(image)]
    low, high = (finite.min(), np.percentile(finite, 99.5)) if finite.size else (0.0, 1.0)
    ax.imshow(image, cmap=panel.colours, vmin=low, vmax=max(high, low + 1e-6), interpolation="nearest")
    if panel.heat is not None:
        heat = np.nan_to_num(np.asarray(panel.heat, float))
        heat = heat / max(heat.max(), 1e-12)
        colours = matplotlib.colormaps["inferno"](heat)
        colours[..., 3] = 0.8 * np.sqrt(heat)  # what is weak lets the image through
        height, width = image.shape
        ax.imshow(colours, interpolation="bilinear", extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    if panel.truth is not None:
        contour(ax, panel.truth, colour=SKY, style="solid")
    if panel.prediction is not None and not contour(ax, panel.prediction, colour=ORANGE, style="dashed"):
        ax.text(0.5, 0.03, "no tumour predicted", color=ORANGE, ha="center", transform=ax.transAxes, fontsize=7)
    ax.set_title(panel.title, fontsize=8)


def _legend(figure, panels) -> None:
    """Says whose the contours are."""
    kinds = []
    if any(panel.truth is not None for panel in panels):
        kinds.append(("true tumour", SKY, "-"))
    if any(panel.prediction is not None for panel in panels):
        kinds.append(("predicted tumour", ORANGE, "--"))
    if kinds:
        handles = [Line2D([], [], color=colour, lw=2, ls=style) for _, colour, style in kinds]
        names = [name for name, _, _ in kinds]
        figure.legend(handles, names, loc="outside lower center", ncols=2, handlelength=3, fontsize=8)
