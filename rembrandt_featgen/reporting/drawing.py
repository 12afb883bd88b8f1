"""What all figures share: colours, style and canvas; no pyplot, hence no global state."""

from __future__ import annotations

import dataclasses
import functools
import io
import math
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure as Canvas

THRESHOLD = 0.5  # of masks and probabilities
DPI = 192  # two pixels for each CSS pixel, sharp on phones
# Okabe and Ito's colours, which the colour-blind can distinguish; line styles and markers say the same in grey print.
BLUE, SKY, ORANGE, VERMILION = "#0072B2", "#56B4E9", "#E69F00", "#D55E00"
GREEN, PURPLE, GREY = "#009E73", "#CC79A7", "#5f6368"
SERIES = ((BLUE, "-"), (VERMILION, "--"), (GREEN, "-."), (PURPLE, ":"), (ORANGE, "-"), (SKY, "--"))
_OF_CLASSES = ((VERMILION, "o"), (BLUE, "D"), (GREEN, "s"), (PURPLE, "^"), (ORANGE, "v"), (SKY, "P"))  # positive first
_STYLE: dict[Any, Any] = {  # matplotlib's names
    "font.size": 10,
    "axes.titlesize": 10,
    "text.parse_math": False,  # a "$" in a patient's name is a dollar
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e6e9",
    "legend.frameon": False,
}


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure and the words that go with it."""

    png: bytes
    alt: str  # what it shows, for those who cannot see it
    caption: str = ""


def class_marks(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each class; `names` with the positive one first."""
    return {name: _OF_CLASSES[i % len(_OF_CLASSES)] for i, name in enumerate(names)}


def styled(draw):
    """Makes `draw`, which returns a matplotlib figure, return PNG bytes in the style of all figures here."""

    @functools.wraps(draw)
    def wrapper(*args, **kwargs) -> bytes:
        with matplotlib.rc_context(_STYLE):
            buffer = io.BytesIO()
            figure = draw(*args, **kwargs) if len([*args, *kwargs.values()][0]) else _empty()
            figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
        return buffer.getvalue()

    return wrapper


def canvas(width: float, height: float, *, rows: int = 1, columns: int = 1):
    """A figure of [width, height] inches and its axes as an array [rows, columns]."""
    figure = Canvas(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _empty():
    """A figure that says that there is nothing to show."""
    figure = Canvas(figsize=(6.4, 1.2))
    figure.text(0.5, 0.5, "Nothing to show in this run.", ha="center", va="center", color=GREY)
    return figure


def contour(ax, mask: np.ndarray, *, colour: str, style: str) -> bool:
    """Draws the border of `mask` [height, width] at 0.5; False if there is none."""
    padded = np.pad(np.nan_to_num(np.asarray(mask, float)), 1)  # closes borders that touch the image's edge
    if padded.max() <= THRESHOLD:
        return False
    y, x = (np.arange(size) - 1 for size in padded.shape)
    ax.contour(x, y, padded, [THRESHOLD], colors=[colour], linestyles=[style], linewidths=1.5)
    ax.set(xlim=(-0.5, x[-2] + 0.5), ylim=(y[-2] + 0.5, -0.5))
    return True


def mosaic(maps: np.ndarray) -> np.ndarray:
    """[channels, height, width] to one image, row by row, with blank (NaN) lines between."""
    side = math.ceil(math.sqrt(len(maps)))
    gap = max(1, maps.shape[1] // 15)
    cells = np.full((side * side, maps.shape[1] + gap, maps.shape[2] + gap), np.nan)
    cells[: len(maps), :-gap, :-gap] = maps
    # [side x side, h, w] -> [side, h, side, w] -> [side x h, side x w]
    cells = cells.reshape(side, side, *cells.shape[1:]).transpose(0, 2, 1, 3)
    return cells.reshape(side * cells.shape[1], -1)[:-gap, :-gap]


def name_rows(ax, names, xlabel: str) -> None:
    """Names the rows y = 0, 1, ... of `ax`, from the top down."""
    ax.set_yticks(range(len(names)), [textwrap.fill(str(name), 34) for name in names])
    ax.set(ylim=(len(names) - 0.5, -0.5), xlabel=xlabel)
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)


def clipped(name: str, length: int) -> str:
    """`name`, cut to `length` characters with an ellipsis."""
    return name if len(name) <= length else f"{name[: length - 1]}\N{HORIZONTAL ELLIPSIS}"


def spread(x: np.ndarray) -> np.ndarray:
    """Heights, within 0.12 of 0, that keep dots at nearly equal (sorted) x apart."""
    steps, heights = (0.0, 0.12, -0.12, 0.06, -0.06), np.zeros(len(x))
    for i in range(len(x)):
        taken = heights[:i][x[:i] > x[i] - 0.02]
        heights[i] = next((step for step in steps if step not in taken), steps[i % len(steps)])
    return heights


def floats(values) -> np.ndarray:
    """Numbers as an array, None as NaN."""
    return np.array(values, dtype=object).astype(float) if len(values) else np.zeros(0)
