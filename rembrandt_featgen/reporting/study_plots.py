"""Figures of a study in which many arms compete: each takes plain values and returns a PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from rembrandt_featgen.reporting.drawing import (
    BLUE,
    GREY,
    SERIES,
    VERMILION,
    canvas,
    clipped,
    floats,
    name_rows,
    spread,
    styled,
)

ENOUGH = 0.8  # power that is customary to ask for
CHANCE = 0.5  # AUROC of an uninformative classifier, of any number of classes
NOTHING = (None, None, None)
Limits = tuple[tuple[float, float], tuple[float, float]]  # of the axes of values and of differences
# Colour and marker of each kind of arm.
MARKS = {
    "none": (GREY, "s"),
    "classical": (BLUE, "D"),
    "generative": (VERMILION, "o"),
    "control": (GREY, "v"),
    "other": (GREY, "^"),
}
_SEEDS = ("o", "D", "s", "^", "v", "P")  # markers


class ForestRow(NamedTuple):
    """An arm of the forest plot."""

    name: str
    kind: str  # a key of `MARKS`
    value: tuple[float | None, float | None, float | None] = NOTHING  # value, low and high
    difference: tuple[float | None, float | None, float | None] = NOTHING  # low and high: of all rows at once
    alone: tuple[float | None, float | None] = NOTHING[:2]  # low and high of this difference alone
    note: str = ""  # printed after the difference
    apart: bool = False  # fills the mark of the difference


class Diagram(NamedTuple):
    """A reliability diagram."""

    kind: str  # a key of `MARKS`
    bins: Sequence[tuple[float | None, float | None, float | None]]  # probability, observed share, samples
    ece: float | None = None  # expected calibration error


def forest_limits(rows: Sequence[ForestRow]) -> Limits:
    """Axes on which forests of the same study can be compared."""
    ends = []
    for line, numbers in (
        (CHANCE, [row.value for row in rows]),
        (0.0, [(*row.difference, *row.alone) for row in rows]),
    ):
        known = floats([line, *(number for of_row in numbers for number in of_row)])
        low, high = np.nanmin(known), np.nanmax(known)
        edge = max(0.04 * (high - low), 0.005)
        ends.append((float(low - edge), float(high + edge)))
    return ends[0], ends[1]


@styled
def forest(rows: Sequence[ForestRow], headings: Mapping[str, str], limits: Limits | None = None) -> bytes:
    """Arms grouped by kind: AUROC per patient, and beside it the difference to a reference.

    Args:
      rows: from the top down, those of a kind together.
      headings: kind to the heading of its rows.
      limits: of `forest_limits`, by default of these rows.
    """
    places, labels, y = [], {}, 0.0
    for i, row in enumerate(rows):
        if i == 0 or row.kind != rows[i - 1].kind:
            y += 0.3 if i else 0.0
            labels[y] = headings[row.kind]
            y += 0.95
        labels[y] = clipped(row.name, 30)
        places.append(y)
        y += 1.0
    figure, ((left, right),) = canvas(11.2, 0.31 * y + 1.0, columns=2)
    for ax, form, ends in zip((left, right), (".3f", "+.3f"), limits or forest_limits(rows)):
        for place, row in zip(places, rows):
            colour, marker = MARKS[row.kind]
            middle, low, high = floats(row.value if ax is left else row.difference)
            face = colour if ax is left or row.apart else "white"
            ax.plot([low, high], [place, place], color=colour, lw=2 if ax is left else 1.1, solid_capstyle="butt")
            if ax is right:
                ax.plot(floats(row.alone), [place, place], color=colour, lw=3, solid_capstyle="butt")
            ax.plot(middle, place, marker, color=colour, ms=6.5, mfc=face, mew=1.6)
            text = "not defined" if ax is left else ""
            if np.isfinite(middle):
                text = f"{middle:{form}}" + (f" [{low:{form}}, {high:{form}}]" if np.isfinite(low + high) else "")
            text = f"{text}  {row.note}".strip() if ax is right else text
            text = text.replace("-", "\N{MINUS SIGN}")
            ax.text(1.02, place, text, transform=ax.get_yaxis_transform(), va="center", fontsize=9)
        ax.axvline(CHANCE if ax is left else 0.0, color=GREY, lw=1.2, ls="--")
        ax.set(ylim=(y - 0.4, -0.6), xlim=ends)
        ax.grid(False, axis="y")
        ax.tick_params(axis="y", length=0)
    left.set_yticks(list(labels), list(labels.values()))
    for label, place in zip(left.get_yticklabels(), labels):
        label.set_fontweight("normal" if place in places else "bold")
    right.set_yticks([])
    left.set_xlabel("AUROC per patient, 95% interval")
    right.set_xlabel("Difference of AUROC to the reference")
    return figure


@styled
def fold_strip(by_arm: Mapping[str, Sequence[tuple[float, int | None]]], chance: float = 0.5) -> bytes:
    """A dot for each fold and seed, a strip for each arm.

    Args:
      by_arm: arm to (balanced accuracy, seed) of each of its runs; a seed of None is not known.
      chance: balanced accuracy of an uninformative classifier.
    """
    seeds = sorted({seed for runs in by_arm.values() for _, seed in runs if seed is not None})
    styles = {seed: (SERIES[i % len(SERIES)][0], _SEEDS[i % len(_SEEDS)]) for i, seed in enumerate(seeds)}
    figure, ((ax,),) = canvas(8.0, 0.42 * len(by_arm) + 1.2)
    ax.axvline(chance, color=GREY, lw=1.2, ls="--")
    for y, runs in enumerate(by_arm.values()):
        runs = sorted(runs, key=lambda run: run[0])
        values = floats([value for value, _ in runs])
        for x, height, (_, seed) in zip(values, spread(values), runs):
            colour, marker = (BLUE, "o") if seed is None else styles[seed]
            style = {"s": 30, "color": colour, "alpha": 0.8, "edgecolors": "white", "linewidths": 0.6}
            ax.scatter(x, y + 1.8 * height, marker=marker, clip_on=False, zorder=3, **style)
        if len(values):
            ax.plot([values.mean()] * 2, [y - 0.36, y + 0.36], color="black", lw=2.2, zorder=4)
        ax.axhline(y - 0.5, color="#dfe2e6", lw=0.8)
    known = [chance, *(value for runs in by_arm.values() for value, _ in runs)]
    ax.set_xlim(min(known) - 0.03, max(known) + 0.03)
    name_rows(ax, by_arm, "Balanced accuracy per patient in a test fold")
    if styles:
        handles = [Line2D([], [], color=c, marker=marker, ls="", ms=6) for c, marker in styles.values()]
        figure.legend(handles, [f"seed {seed}" for seed in styles], loc="outside lower center", ncols=6)
    return figure


@styled
def amount_curves(
    curves: Mapping[str, Sequence[tuple[str, float, float | None, float | None]]],
    kinds: Mapping[str, str],
    reference: float | None = None,
) -> bytes:
    """A panel for each arm: its curve with the band of its intervals, the other arms in grey behind.

    Args:
      curves: arm to points (amount as text, balanced accuracy, low, high); the axis has the amounts in the order in
        which they first come.
      kinds: arm to a key of `MARKS`.
      reference: balanced accuracy to draw a dashed line at.
    """
    amounts = list(dict.fromkeys(point[0] for points in curves.values() for point in points))
    lines = {
        arm: ([amounts.index(point[0]) for point in points], floats([point[1:] for point in points]))
        for arm, points in curves.items()
    }
    finite = np.concatenate([numbers[np.isfinite(numbers)] for _, numbers in lines.values()])
    tilt = 35 if max(map(len, amounts)) > 5 else 0
    figure, axes, columns = _multiples(len(curves), most=4, width=2.6, height=2.35)
    for number, (ax, arm) in enumerate(zip(axes, curves)):
        for other, (x, numbers) in lines.items():
            if other != arm:
                ax.plot(x, numbers[:, 0], color="#c9cdd2", lw=1.2)
        (x, numbers), (colour, marker) = lines[arm], MARKS[kinds[arm]]
        ax.fill_between(x, numbers[:, 1], numbers[:, 2], color=colour, alpha=0.18, lw=0)
        ax.plot(x, numbers[:, 0], marker=marker, color=colour, lw=2, ms=5)
        if reference is not None:
            ax.axhline(reference, color=GREY, lw=1.2, ls="--")
        ax.set(title=clipped(arm, 26), ylim=(finite.min() - 0.03, finite.max() + 0.03), xlim=(-0.3, len(amounts) - 0.7))
        ax.set_xticks(range(len(amounts)), amounts, rotation=tilt, fontsize=8.5)
        ax.tick_params(labelleft=number % columns == 0)
    figure.supxlabel("amount of features added", fontsize=10)
    figure.supylabel("balanced accuracy", fontsize=10)
    return figure


@styled
def reliability_diagrams(diagrams: Mapping[str, Diagram], positive: str) -> bytes:
    """Small multiples of the observed share of a class against its predicted probability.

    Args:
      diagrams: by arm.
      positive: name of the class: the positive one of two, or "the most probable class".
    """
    figure, axes, columns = _multiples(len(diagrams), most=5, width=2.05, height=2.2)
    for number, (ax, (arm, diagram)) in enumerate(zip(axes, diagrams.items())):
        colour, marker = MARKS[diagram.kind]
        points = floats(diagram.bins).reshape(-1, 3)
        points = points[np.isfinite(points).all(axis=1) & (points[:, 2] > 0)]
        area = 12 + 120 * points[:, 2] / max(points[:, 2].sum(), 1)
        ax.plot([0, 1], [0, 1], color=GREY, lw=1.1, ls="--")
        ax.plot(points[:, 0], points[:, 1], color=colour, lw=1.1, alpha=0.6)
        style = {"color": colour, "alpha": 0.85, "edgecolors": "white", "linewidths": 0.6, "zorder": 3}
        ax.scatter(points[:, 0], points[:, 1], s=area, marker=marker, clip_on=False, **style)
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        error = "" if diagram.ece is None else f"\nECE {diagram.ece:.3f}"
        ax.set_title(clipped(arm, 22) + error, fontsize=9)
        below = number + columns >= len(diagrams)
        ax.tick_params(labelleft=number % columns == 0, labelbottom=below, labelsize=8)
    figure.supxlabel(f"predicted probability of {positive}", fontsize=10)
    figure.supylabel(f"observed share of {positive}", fontsize=10)
    return figure


@styled
def power_curve(points: Sequence[tuple[float, float]], cohort: int | None = None) -> bytes:
    """Share of simulated studies that detect the effect against their number of patients.

    Args:
      points: (patients, power in [0, 1]).
      cohort: number of patients of this study, to draw a dotted line at.
    """
    figure, ((ax,),) = canvas(6.0, 3.3)
    x, y = floats(sorted(points)).T
    ax.plot(x, y, "-o", color=BLUE, lw=2, ms=5, clip_on=False)
    ax.axhline(ENOUGH, color=GREY, lw=1.2, ls="--")
    if cohort is not None:
        ax.axvline(cohort, color=GREY, lw=1.2, ls=(0, (1, 2)))
    ax.set(ylim=(0, 1.02), xlabel="patients in the study", ylabel="share that detects it")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    return figure


def _multiples(count: int, *, most: int, width: float, height: float):
    """A figure with `count` panels of [width, height] inches, their axes in a row, and the number of columns."""
    columns = min(count, most)
    rows = -(-count // columns)
    figure, axes = canvas(max(width * columns, 4.8), height * rows + 0.35, rows=rows, columns=columns)
    for blank in axes.flat[count:]:
        blank.set_axis_off()
    return figure, axes.flat, columns
